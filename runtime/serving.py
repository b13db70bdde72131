"""A gRPC server as all our processes open it: bounded messages, health, reflection."""

from collections.abc import Sequence
from enum import Enum
from typing import Any

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from domain.errors import UnavailableError

MAX_MESSAGE_BYTES = 64 * 1024 * 1024
_LEAST_PING_INTERVAL_MS = 5_000


class Health(Enum):
    SERVING = health_pb2.HealthCheckResponse.SERVING
    NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


class HealthSwitch:
    """grpc.health.v1 for a server: one state for the whole and for each named service."""

    def __init__(self, server: grpc.aio.Server, services: Sequence[str]) -> None:
        self._servicer = health.aio.HealthServicer()
        self._names = ("", *services)
        self.current = Health.NOT_SERVING
        health_pb2_grpc.add_HealthServicer_to_server(self._servicer, server)

    async def turn(self, state: Health) -> None:
        self.current = state
        for name in self._names:
            await self._servicer.set(name, state.value)


def new_server(
    *, reuse_port: bool = False, max_message_bytes: int = MAX_MESSAGE_BYTES, **options: Any
) -> grpc.aio.Server:
    """Return a server without services.

    `reuse_port` lets several processes share one port; without it a taken port is an error.
    `options`: grpc-core channel arguments by short name; they win over ours.
    """
    chosen = {
        "so_reuseport": int(reuse_port),
        "max_receive_message_length": max_message_bytes,
        "max_send_message_length": max_message_bytes,
        # Clients ping on idle streams (Watch, ScoreStream). By default a server takes that
        # for abuse and ends the connection with too_many_pings after some minutes.
        "http2.min_ping_interval_without_data_ms": _LEAST_PING_INTERVAL_MS,
        "keepalive_permit_without_calls": 1,
        **options,  # once each: of a name given twice gRPC takes the first
    }
    return grpc.aio.server(options=[(f"grpc.{name}", value) for name, value in chosen.items()])


def add_health_and_reflection(server: grpc.aio.Server, services: Sequence[str]) -> HealthSwitch:
    """Add grpc.health.v1 (NOT_SERVING until turned) and reflection for `services`."""
    switch = HealthSwitch(server, services)
    reflection.enable_server_reflection(
        (*services, health.SERVICE_NAME, reflection.SERVICE_NAME), server
    )
    return switch


def bind(server: grpc.aio.Server, listen: str) -> int:
    """Bind `listen` (host:port, port 0 picks one, or unix:/path) and return the port.

    Raises:
        UnavailableError: the address cannot be bound, e.g. the port is taken.
    """
    try:
        port = server.add_insecure_port(listen)
    except RuntimeError as error:
        raise UnavailableError(f"address {listen}", "cannot be bound; is it taken?") from error
    if port == 0:
        raise UnavailableError(f"address {listen}", "cannot be bound; is it taken?")
    return port
