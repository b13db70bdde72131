"""The services that all our servers offer: health and reflection."""

from collections.abc import AsyncIterator, Sequence
from functools import partial
from typing import Any

from google.protobuf.descriptor_pool import DescriptorPool
from grpc_reflection.v1alpha import reflection, reflection_pb2_grpc

from understudy.domain.errors import OverloadedError
from understudy.runtime.front.port import Server
from understudy.runtime.health import SERVICE_NAME as HEALTH
from understudy.runtime.health import HealthSwitch
from understudy.runtime.rpc_boundary import Context, add_bounded

MOST_REFLECTIONS = 16  # open calls of a server, each of which lasts for as long as its caller wants
_RETRY_AFTER_MS = 1_000


def add_health(server: Server, services: Sequence[str] = ()) -> HealthSwitch:
    """Add grpc.health.v1, NOT_SERVING until turned."""
    switch = HealthSwitch(services)
    server.add_generic_rpc_handlers((switch.handlers(),))
    return switch


def add_health_and_reflection(
    server: Server, services: Sequence[str], shared: HealthSwitch | None = None
) -> HealthSwitch:
    """Add grpc.health.v1 (NOT_SERVING until turned) and reflection for `services`.

    `shared`: the health of several servers; by default the server has one of its own.
    """
    add_reflection(server, (*services, HEALTH, reflection.SERVICE_NAME))
    if shared is None:
        return add_health(server, services)
    server.add_generic_rpc_handlers((shared.handlers(),))
    return shared


def add_reflection(
    server: Server, services: Sequence[str], pool: DescriptorPool | None = None
) -> None:
    """Add reflection for `services`, which `pool` describes; by default the pool of our imports."""
    servicer = _BoundedReflection(reflection.aio.ReflectionServicer(services, pool=pool))
    add_bounded(
        server, partial(reflection_pb2_grpc.add_ServerReflectionServicer_to_server, servicer)
    )


class _BoundedReflection:
    """Reflection with a limit on its open calls, which would take the places of other streams."""

    def __init__(self, unbounded: Any) -> None:
        """`unbounded`: a servicer of reflection."""
        self._unbounded = unbounded
        self._open = 0

    async def ServerReflectionInfo(self, requests: Any, context: Context) -> AsyncIterator[Any]:  # noqa: N802 - gRPC's name
        if self._open >= MOST_REFLECTIONS:
            full = f"the number of reflection calls ({MOST_REFLECTIONS})"
            raise OverloadedError(full, retry_after_ms=_RETRY_AFTER_MS)
        self._open += 1
        try:
            async for answer in self._unbounded.ServerReflectionInfo(requests, context):
                yield answer
        finally:
            self._open -= 1
