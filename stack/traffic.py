"""Live traffic for the demo: paced calls over several connections, with every answer kept."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import grpc

from stack.decisions.demo_checks import Call
from understudy.client.answers import ScoreAnswer
from understudy.client.async_scoring_client import AsyncScoringClient
from understudy.client.request_ids import new_request_id
from understudy.control.wire_enums import ARM_OF, LEVEL_OF

_MOST_IN_FLIGHT = 64
_TIMEOUT_S = 5.0  # a busy machine must not make the demo fail


class Traffic:
    """Sends calls until the block that opened it ends; see `open_traffic`."""

    def __init__(
        self,
        clients: Sequence[AsyncScoringClient],
        *,
        model: str,
        entity: str,
        units: Sequence[str],
        rate_per_s: float,
    ) -> None:
        self.calls: list[Call] = []
        self.failures: list[str] = []
        self.is_settling = False  # set while a declared version may not be ready everywhere
        self._clients = clients
        self._model = model
        self._entity = entity
        self._units = units
        self._pause_s = 1.0 / rate_per_s
        self._ended = asyncio.Condition()
        self._stopped = False
        self._room = asyncio.Semaphore(_MOST_IN_FLIGHT)

    @property
    def ended(self) -> int:
        """The number of ended calls, successful or not."""
        return len(self.calls) + len(self.failures)

    async def until_ended(self, count: int) -> None:
        """Return once `count` calls have ended."""
        async with self._ended:
            await self._ended.wait_for(lambda: self.ended >= count)

    def stop(self) -> None:
        """Send no more calls; those in flight are still answered."""
        self._stopped = True

    async def run(self) -> None:
        """Send at the given rate, or slower if too many calls are in flight."""
        due_s = time.monotonic()
        number = 0
        async with asyncio.TaskGroup() as tasks:
            while not self._stopped:
                await self._room.acquire()
                client = self._clients[number % len(self._clients)]
                tasks.create_task(self._call(client, self._units[number % len(self._units)]))
                number += 1
                due_s = max(due_s + self._pause_s, time.monotonic() - 1.0)
                await asyncio.sleep(max(0.0, due_s - time.monotonic()))

    async def _call(self, client: AsyncScoringClient, unit: str) -> None:
        request_id = new_request_id()
        was_settling = self.is_settling
        began_s = time.monotonic()
        try:
            answer = await client.score(self._model, {self._entity: unit}, request_id=request_id)
        except grpc.RpcError as error:
            self.failures.append(f"{error.code().name}: {error.details()}")
        else:
            latency_s = time.monotonic() - began_s
            self.calls.append(
                _call_of(answer, unit, latency_s, may_be_withheld=was_settling or self.is_settling)
            )
        finally:
            self._room.release()
        async with self._ended:
            self._ended.notify_all()


@asynccontextmanager
async def open_traffic(
    router: str,
    *,
    model: str,
    entity: str,
    units: Sequence[str],
    rate_per_s: float,
    connections: int = 8,
    timeout_s: float = _TIMEOUT_S,
    interceptors: Sequence[grpc.aio.ClientInterceptor] = (),
) -> AsyncIterator[Traffic]:
    """Send traffic to `router` while the block runs; on exit all calls have been answered.

    It uses several connections, because the kernel spreads connections, not calls, over workers.
    """
    clients = [
        AsyncScoringClient(router, timeout_s=timeout_s, interceptors=interceptors)
        for _ in range(connections)
    ]
    try:
        traffic = Traffic(clients, model=model, entity=entity, units=units, rate_per_s=rate_per_s)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(traffic.run())
            try:
                yield traffic
            finally:
                traffic.stop()
    finally:
        for client in clients:
            await client.close()


def _call_of(answer: ScoreAnswer, unit: str, latency_s: float, *, may_be_withheld: bool) -> Call:
    served = answer.served_by
    return Call(
        request_id=answer.request_id,
        unit=unit,
        revision=served.revision,
        version=served.version,
        arm=ARM_OF[served.arm],
        level=LEVEL_OF[answer.degradation.level],
        score=answer.score,
        latency_s=latency_s,
        may_be_withheld=may_be_withheld,
    )
