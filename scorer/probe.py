"""Liveness and readiness of a scorer, asked over gRPC: a pid proves neither."""

from enum import Enum, auto
from typing import Any

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

_OPTIONS = (
    ("grpc.initial_reconnect_backoff_ms", 50),
    ("grpc.min_reconnect_backoff_ms", 50),
    ("grpc.max_reconnect_backoff_ms", 200),
    ("grpc.use_local_subchannel_pool", 1),
)


class ProbeAnswer(Enum):
    SERVING = auto()
    NOT_SERVING = auto()
    NONE = auto()


class Probe:
    """Asks one address. Close it."""

    def __init__(self, address: str) -> None:
        self._channel = grpc.aio.insecure_channel(address, options=_OPTIONS)
        self._stub: Any = health_pb2_grpc.HealthStub(self._channel)  # the stub has no types

    async def ask(self, timeout_s: float) -> ProbeAnswer:
        try:
            answer = await self._stub.Check(
                health_pb2.HealthCheckRequest(service=""), timeout=timeout_s
            )
        except grpc.aio.AioRpcError:
            return ProbeAnswer.NONE
        serving = answer.status == health_pb2.HealthCheckResponse.SERVING
        return ProbeAnswer.SERVING if serving else ProbeAnswer.NOT_SERVING

    async def close(self) -> None:
        await self._channel.close(None)
