"""The block of a version, and its end: carried out, logged, and answered."""

import structlog

from registry.block_version import Blocker, BlockRequest, BlockSet
from registry.decisions.actors import Actor
from registry.server.callers import checked_reason, log_facts
from registry.server.live_state import LiveState
from registry.server.wire import ref_of
from understudy.control.wire import deployment_to_wire
from understudy.registry.v1 import registry_pb2 as pb

_log = structlog.get_logger()


async def set_block(
    request: pb.SetBlockRequest, actor: Actor, live: LiveState, blocker: Blocker
) -> pb.SetBlockResponse:
    """Block the version or lift its block, or return the effect of a dry run.

    Raises:
        InvalidInputError: the version or the reason is invalid.
        UnderstudyError: see `Blocker.set_block`.
    """
    asked = _block_from_wire(request, actor, live)
    done = await live.change_or_plan(
        lambda: blocker.set_block(asked), models=[asked.ref.model], dry_run=asked.dry_run
    )
    if done.audit_digest:
        event = "version_blocked" if asked.is_block else "version_unblocked"
        _log.info(
            event,
            version=str(asked.ref),
            **log_facts(asked.actor),
            audit_digest=done.audit_digest,
        )
    return _block_to_wire(done, live)


def _block_from_wire(message: pb.SetBlockRequest, actor: Actor, live: LiveState) -> BlockRequest:
    """Return the request.

    Raises:
        InvalidInputError: the version or the reason is invalid.
    """
    ref = ref_of(message.ref, "ref")
    deployed = live.deployments(ref.model)
    return BlockRequest(
        ref=ref,
        is_block=message.blocked,
        actor=actor,
        reason=checked_reason(message.reason),
        dry_run=message.dry_run,
        allow_errors=message.allow_errors,
        deployment=deployed[0] if deployed else None,
    )


def _block_to_wire(done: BlockSet, live: LiveState) -> pb.SetBlockResponse:
    deployment = None if done.deployment is None else deployment_to_wire(done.deployment)
    return pb.SetBlockResponse(
        deployment=deployment,
        applied=bool(done.audit_digest),
        lineage=live.snapshot.lineage,
        sequence=live.snapshot.sequence,
    )
