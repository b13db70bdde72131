"""Liveness and readiness of a scorer, probed over gRPC, because a pid proves neither."""

from enum import Enum, auto
from typing import Any

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from understudy.runtime.transport.transport import LOCAL, Transport

_OPTIONS = (("grpc.use_local_subchannel_pool", 1),)  # a separate connection


class ProbeAnswer(Enum):
    SERVING = auto()
    NOT_SERVING = auto()
    NONE = auto()


class Probe:
    """Probes one address over a new connection each time, like a router that has just started.

    A persistent connection would not reveal that new connections are impossible, e.g.
    because the socket's file was removed.
    """

    def __init__(self, address: str, transport: Transport = LOCAL) -> None:
        self._address = address
        self._transport = transport

    async def ask(self, timeout_s: float) -> ProbeAnswer:
        async with self._transport.open_channel(self._address, _OPTIONS) as channel:
            stub: Any = health_pb2_grpc.HealthStub(channel)  # the stub has no types
            try:
                answer = await stub.Check(
                    health_pb2.HealthCheckRequest(service=""), timeout=timeout_s
                )
            except grpc.aio.AioRpcError:
                return ProbeAnswer.NONE
        serving = answer.status == health_pb2.HealthCheckResponse.SERVING
        return ProbeAnswer.SERVING if serving else ProbeAnswer.NOT_SERVING
