"""grpc.health.v1 for all our servers.

grpcio-health-checking's servicer holds a lock while it writes to a watcher, so a watcher that does
not read blocks every change of state, and with it the drain. Here a change wakes the watchers and
waits for none of them.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from enum import Enum
from typing import Any

import grpc
from grpc_health.v1 import health, health_pb2

from understudy.domain.errors import NotFoundError, OverloadedError, UnderstudyError
from understudy.runtime.grpc_errors import abort_with
from understudy.runtime.parsing import parsed

SERVICE_NAME = health.SERVICE_NAME
MOST_WATCHES = 1_000  # of a process; a balancer needs one per connection
_RETRY_AFTER_MS = 1_000
_Context = grpc.aio.ServicerContext[Any, Any]


class Health(Enum):
    SERVING = health_pb2.HealthCheckResponse.SERVING
    NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


_SERVICE_UNKNOWN = health_pb2.HealthCheckResponse.SERVICE_UNKNOWN


class HealthSwitch:
    """The health of a server: one state for the whole server and each named service."""

    def __init__(self, services: Sequence[str] = ()) -> None:
        self.current = Health.NOT_SERVING
        self._names = frozenset({"", *services})
        self._changed = asyncio.Event()  # a new one after each change
        self._ended = False
        self.watches = 0

    def turn(self, state: Health) -> None:
        """Change the state, and let every watcher know that reads."""
        self.current = state
        self._wake()

    def is_serving(self) -> bool:
        return self.current is Health.SERVING

    def end_watches(self) -> None:
        """End every watch with OK, including future ones, once it has told the last state.

        A watch that does not read ends when its server has stopped.
        """
        self._ended = True
        self._wake()

    def handlers(self) -> grpc.GenericRpcHandler:
        """Return the service, for servers that share this state."""
        methods: dict[str, Any] = {
            "Check": grpc.unary_unary_rpc_method_handler(self._check),
            "Watch": grpc.unary_stream_rpc_method_handler(self._watch),
        }
        return grpc.method_handlers_generic_handler(SERVICE_NAME, methods)

    def _wake(self) -> None:
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    async def _check(self, received: bytes, context: _Context) -> bytes:
        try:
            service = parsed(health_pb2.HealthCheckRequest, received).service
            if service not in self._names:
                raise NotFoundError("service", service)
        except UnderstudyError as error:
            await abort_with(context, error, rpc="Health.Check")
        return _answer(self.current.value)

    async def _watch(self, received: bytes, context: _Context) -> AsyncIterator[bytes]:
        try:
            service = parsed(health_pb2.HealthCheckRequest, received).service
            if self.watches >= MOST_WATCHES:
                raise OverloadedError(
                    "the number of health watches", retry_after_ms=_RETRY_AFTER_MS
                )
        except UnderstudyError as error:
            await abort_with(context, error, rpc="Health.Watch")
        self.watches += 1
        try:
            async for state in self._states_of(service):
                yield _answer(state)
        finally:
            self.watches -= 1

    async def _states_of(self, service: str) -> AsyncIterator[int]:
        """Yield the state and then each other one, without those that passed meanwhile."""
        told: int | None = None
        while True:
            changed = self._changed
            state = self.current.value if service in self._names else _SERVICE_UNKNOWN
            if state != told:
                told = state
                yield state
            elif self._ended:
                return
            else:
                await changed.wait()


def _answer(state: int) -> bytes:
    return health_pb2.HealthCheckResponse(status=state).SerializeToString()
