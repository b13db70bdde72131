"""Say which arm answers a unit key, and why, without scoring."""

from domain.deployments import Arm
from domain.errors import InvalidInputError, NotFoundError
from router.live_model import LiveModel
from understudy.v1 import scoring_pb2 as pb

_ARMS = {Arm.CHAMPION: pb.ARM_CHAMPION, Arm.CHALLENGER: pb.ARM_CHALLENGER}


def explain(model: str, unit_key: str, live: LiveModel | None) -> pb.ExplainAssignmentResponse:
    """Return the arm of `unit_key` with the declared and the acting shares.

    Raises:
        NotFoundError: no deployment of that model.
        InvalidInputError: the unit key is empty.
    """
    if live is None:
        raise NotFoundError("deployment of model", model)
    if not unit_key:
        raise InvalidInputError.of("unit_key", read="", accepted="a text, not empty")
    arm = live.seats[live.assigner.assign(unit_key)]
    return pb.ExplainAssignmentResponse(
        model=live.deployment.model,
        revision=live.deployment.revision,
        arm=_ARMS[arm.arm],
        version=arm.version,
        salt=live.deployment.salt,
        shares=_shares(live),
    )


def withheld_bp(live: LiveModel) -> int:
    """Return the share of declared challengers that are not ready: it stays with the champion."""
    acting = live.effective.challengers
    return sum(seat.weight_bp for seat in live.seats[1:] if seat.version not in acting)


def _shares(live: LiveModel) -> list[pb.ArmShare]:
    effective = live.effective
    shares: list[pb.ArmShare] = []
    for seat in live.seats:
        if seat.arm is Arm.CHAMPION:
            acting_bp = 0 if effective.champion is None else seat.weight_bp + withheld_bp(live)
            is_acting = effective.champion == seat.version
        else:
            is_acting = seat.version in effective.challengers
            acting_bp = seat.weight_bp if is_acting else 0
        shares.append(
            pb.ArmShare(
                arm=_ARMS[seat.arm],
                version=seat.version,
                declared_bp=seat.weight_bp,
                effective_bp=acting_bp,
                withheld_because="" if is_acting else "no ready scorer",
            )
        )
    return shares
