"""A time limit that excludes delays of the event loop itself."""

import asyncio
from types import TracebackType

_LATE_S = 0.005  # a timer this late means that the loop was blocked
_GRACE_S = 0.005  # for answers that have arrived in the meantime and are unread


class TimeLimit:
    """`asyncio.timeout`, except if the loop was blocked until after the limit.

    `asyncio.timeout` would then cancel the waiting task although the answer has arrived: timers
    run before the data that the same turn of the loop has read.

    Raises:
        TimeoutError: on leaving, if the block took longer than `seconds`.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._limit = asyncio.timeout(None)

    async def __aenter__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._due_s = self._loop.time() + self._seconds
        await self._limit.__aenter__()
        self._timer = self._loop.call_at(self._due_s, self._expire)

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._timer.cancel()
        await self._limit.__aexit__(kind, error, trace)

    def _expire(self) -> None:
        now_s = self._loop.time()
        was_held = now_s - self._due_s > _LATE_S
        self._limit.reschedule(now_s + _GRACE_S if was_held else now_s)
