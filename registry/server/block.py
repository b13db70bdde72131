"""Translation of a block of a version from and to its messages."""

from registry.block_version import BlockRequest, BlockSet
from registry.server.callers import checked_reason
from registry.server.live_state import LiveState
from registry.server.wire import ref_of
from understudy.control.wire import deployment_to_wire
from understudy.registry.v1 import registry_pb2 as pb


def block_from_wire(message: pb.SetBlockRequest, actor: str, live: LiveState) -> BlockRequest:
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


def block_to_wire(done: BlockSet) -> pb.SetBlockResponse:
    deployment = None if done.deployment is None else deployment_to_wire(done.deployment)
    return pb.SetBlockResponse(deployment=deployment, applied=bool(done.audit_digest))
