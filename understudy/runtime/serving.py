"""The services that all our servers offer: health and reflection."""

from collections.abc import Sequence
from functools import partial

from google.protobuf.descriptor_pool import DescriptorPool
from grpc_reflection.v1alpha import reflection, reflection_pb2_grpc

from understudy.runtime.front.port import Server
from understudy.runtime.health import SERVICE_NAME as HEALTH
from understudy.runtime.health import HealthSwitch
from understudy.runtime.rpc_boundary import add_bounded


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
    servicer = reflection.aio.ReflectionServicer(services, pool=pool)
    add_bounded(
        server, partial(reflection_pb2_grpc.add_ServerReflectionServicer_to_server, servicer)
    )
