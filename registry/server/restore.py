"""The messages of RestoreRegistry, and the reports that a restore takes into account."""

import structlog

from registry.decisions.actors import Actor
from registry.decisions.succession import RestoreRequest, Watched
from registry.restore_registry import Restore, Restored
from registry.server.callers import checked_reason, log_facts
from registry.server.live_state import LiveState
from registry.server.report_checks import checked_name
from understudy.control.wire import deployment_to_wire
from understudy.domain.errors import InvalidInputError
from understudy.registry.v1 import registry_pb2 as pb

# Numbers after a restore continue above the known ones, so one odd report must not use up all of them.
_GREATEST_KNOWN = (1 << 31) - 1

_log = structlog.get_logger()


def watched_by(live: LiveState) -> Watched:
    """Return the beliefs and revisions in the reports of routers and hosts."""
    routers = [heard.report for heard in live.routers()]
    revisions = [model.revision for router in routers for model in router.models]
    beliefs = {each.router_id: each.belief for each in routers if each.belief is not None}
    return Watched(
        beliefs=beliefs | live.observed.beliefs(),
        highest_revision=max((each for each in revisions if each <= _GREATEST_KNOWN), default=0),
    )


def restore_from_wire(
    request: pb.RestoreRegistryRequest, actor: Actor, watched: Watched
) -> Restore:
    """Return the request.

    Raises:
        InvalidInputError: the lineage, the number or the reason is invalid.
    """
    if request.revisions_above > _GREATEST_KNOWN:
        raise InvalidInputError.of(
            "revisions_above", read=request.revisions_above, accepted=f"0 to {_GREATEST_KNOWN}"
        )
    return Restore(
        RestoreRequest(
            successor_of=checked_name(request.successor_of, "successor_of"),
            revisions_above=request.revisions_above,
            ends=tuple(dict.fromkeys(request.ends)),
        ),
        watched,
        actor=actor,
        reason=checked_reason(request.reason),
        dry_run=request.dry_run,
    )


def restored_to_wire(restored: Restored, live: LiveState) -> pb.RestoreRegistryResponse:
    return pb.RestoreRegistryResponse(
        lineage=restored.lineage,
        revision=restored.plan.revision,
        deployments=[deployment_to_wire(each) for each in restored.plan.restored],
        ends=restored.plan.ends,
        applied=restored.applied,
        sequence=live.snapshot.sequence,
    )


def log_restore(asked: Restore, restored: Restored) -> None:
    """Log a restore that was made; a plan is no event."""
    if restored.applied:
        _log.warning(
            "registry_restored",
            **log_facts(asked.actor),
            successor_of=asked.request.successor_of,
            lineage=restored.lineage,
            revision=restored.plan.revision,
            audit_digest=restored.audit_digest,
        )
