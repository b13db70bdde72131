"""The arm of a unit key, the version that answers for it now, and why, without scoring."""

from router.decisions.assignment import ArmWeight
from router.decisions.buckets import bucket_bp
from router.revision.live_model import LiveModel
from understudy.control.contract_wire import contract_to_wire
from understudy.control.wire_enums import ARMS, WITHHELD_REASONS
from understudy.domain.errors import InvalidInputError, NotFoundError
from understudy.runtime.open_streams import MOST_ID_CHARACTERS
from understudy.scoring.v1 import scoring_pb2 as pb


def explain(model: str, unit_key: str, live: LiveModel | None) -> pb.ExplainAssignmentResponse:
    """Return the arm of `unit_key` with the declared shares and those in effect.

    Raises:
        NotFoundError: no deployment of that model.
        InvalidInputError: the unit key is empty, or too long to score.
    """
    if live is None:
        raise NotFoundError("deployment of model", model)
    if not 1 <= len(unit_key) <= MOST_ID_CHARACTERS:
        raise InvalidInputError.of(
            "unit_key",
            read=f"{len(unit_key)} characters",
            accepted=f"1 to {MOST_ID_CHARACTERS}",
        )
    assigned = live.seats[live.assigner.assign(unit_key)]
    return pb.ExplainAssignmentResponse(
        model=live.deployment.model,
        revision=live.deployment.revision,
        assigned=pb.ArmVersion(arm=ARMS[assigned.arm], version=assigned.version),
        answering=_answering(live, assigned),
        salt=live.deployment.salt,
        shares=_shares(live, unit_key),
        contract=contract_to_wire(live.deployment.contract),
    )


def withheld_bp(live: LiveModel) -> int:
    """Return the share of declared challengers that are not ready, which stays with the champion."""
    return sum(seat.weight_bp for seat in live.seats[1:] if not _acts(live, seat))


def _answering(live: LiveModel, assigned: ArmWeight) -> pb.ArmVersion | None:
    answering = live.effective.answering(assigned.arm, assigned.version)
    if answering is None:
        return None
    return pb.ArmVersion(arm=ARMS[answering.arm], version=answering.version)


def _acts(live: LiveModel, seat: ArmWeight) -> bool:
    return live.effective.answers(seat.arm, seat.version)


def _shares(live: LiveModel, unit_key: str) -> list[pb.ArmShare]:
    """Return the declared arms, champion first, and the version acting for an unready champion."""
    champion, *challengers = live.seats
    acting = live.effective.champion
    champions_bp = champion.weight_bp + withheld_bp(live)
    shares = [
        pb.ArmShare(
            arm=pb.ARM_CHAMPION,
            version=champion.version,
            declared_bp=champion.weight_bp,
            effective_bp=champions_bp if _acts(live, champion) else 0,
            withheld_because=_withheld(live, champion),
        )
    ]
    if acting is not None and not _acts(live, champion):
        shares.append(pb.ArmShare(arm=pb.ARM_CHAMPION, version=acting, effective_bp=champions_bp))
    for seat in challengers:
        acts = _acts(live, seat)
        shares.append(
            pb.ArmShare(
                arm=pb.ARM_CHALLENGER,
                version=seat.version,
                declared_bp=seat.weight_bp,
                effective_bp=seat.weight_bp if acts else 0,
                withheld_because=_withheld(live, seat),
                bucket_bp=bucket_bp(unit_key, salt=live.deployment.salt, challenger=seat.version),
            )
        )
    return shares


def _withheld(live: LiveModel, seat: ArmWeight) -> pb.WithheldReason.ValueType:
    """Return the reason why a declared arm is not in effect; UNSPECIFIED if it is."""
    for part in live.effective.withheld:
        if (part.arm, part.version) == (seat.arm, seat.version):
            return WITHHELD_REASONS[part.reason]
    return pb.WITHHELD_REASON_UNSPECIFIED
