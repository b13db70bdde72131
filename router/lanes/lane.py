"""A queue for one version of one revision. While its scorers are busy, calls gather.

Scorers pull: an idle one takes all waiting calls, up to its limit. So batches grow with the
load (unread calls gather before, in `intake`), the fastest scorer gets
the most, and a hung one gets nothing.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress

from router.calls.call import Call
from router.decisions.priority import Priority

_MOST_PASSED_OVER = 3  # batches
CallTest = Callable[[Call], bool]


class Lane:
    """Calls in order of priority, then of arrival."""

    __slots__ = (
        "_closing",
        "_idle",
        "_passed_over",
        "_queues",
        "batches_taken",
        "open_pullers",
        "queued_rows",
    )

    def __init__(self) -> None:
        self._queues: tuple[deque[Call], ...] = tuple(deque() for _ in Priority)
        self._idle: deque[asyncio.Future[None]] = deque()
        self._passed_over = 0  # consecutive batches that left calls of a lower priority behind
        self.open_pullers = 0  # scorers that take calls now or when they are done
        self.queued_rows = 0
        self.batches_taken = 0  # and not released: any of them may be put back
        self._closing = asyncio.Event()

    @property
    def closed(self) -> bool:
        return self._closing.is_set()

    @property
    def has_calls(self) -> bool:
        """Return whether a call is queued, or taken and not released."""
        return bool(self.queued_rows or self.batches_taken)

    @property
    def is_done(self) -> bool:
        """Return whether it is closed and none of its calls is left anywhere."""
        return self.closed and not self.has_calls

    def put(self, call: Call) -> bool:
        """Queue `call`; False if no scorer would ever take it."""
        if not self.open_pullers:
            return False
        self._queues[call.priority].append(call)
        self.queued_rows += call.rows
        self._wake_one()
        return True

    def put_back(self, calls: list[Call]) -> None:
        """Queue again, at the front, calls that a scorer took and failed."""
        for call in reversed(calls):
            self._queues[call.priority].appendleft(call)
            self.queued_rows += call.rows
        self._wake_one()

    async def take(self, most_rows: int) -> list[Call]:
        """Wait for calls and take the waiting ones, at least one; [] if closed and done.

        Each batch is returned with `release`. A closed lane is done when nothing is queued and
        nothing is taken: until then a scorer may fail, and its calls need another one.
        """
        while not self.is_done:
            if not self.queued_rows:
                await self._arrival()
                continue
            self.batches_taken += 1
            return self._take_gathered(most_rows)
        return []

    def release(self) -> None:
        """Record that a batch was answered, put back, or moved elsewhere."""
        self.batches_taken -= 1
        if self.closed and not self.batches_taken:
            self._wake_all()

    @property
    def has_idle_scorer(self) -> bool:
        """Return whether a scorer waits for calls and there are none."""
        return any(not arrival.done() for arrival in self._idle)

    def take_if(self, is_wanted: CallTest) -> list[Call]:
        """Remove and return the queued calls that are wanted elsewhere."""
        return self._remove(is_wanted) if self.queued_rows else []

    def take_all(self) -> list[Call]:
        return self._remove(lambda _: True)

    def close(self) -> None:
        """Let pullers end once all calls are done. Nothing may be put after this."""
        self._closing.set()
        self._wake_all()

    async def closed_within(self, seconds: float) -> bool:
        """Wait until it is closed, at most `seconds`."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._closing.wait()
        return self.closed

    def __iter__(self) -> Iterator[Call]:
        for queue in self._queues:
            yield from queue

    async def _arrival(self) -> None:
        arrival = asyncio.get_running_loop().create_future()
        self._idle.append(arrival)
        try:
            await arrival
        finally:
            if arrival in self._idle:  # cancelled while waiting
                self._idle.remove(arrival)

    def _take_gathered(self, most_rows: int) -> list[Call]:
        taken: list[Call] = []
        rows = 0
        is_alone = False  # the first call taken
        is_their_turn = self._passed_over >= _MOST_PASSED_OVER
        for queue in self._in_turn() if is_their_turn else self._queues:
            while queue and (not taken or rows + queue[0].rows <= most_rows):
                call = queue[0]
                if not taken:
                    is_alone = _goes_alone(call)
                elif is_alone or _goes_alone(call):
                    break
                taken.append(queue.popleft())
                rows += call.rows
            if queue:
                break  # remaining calls of a higher priority precede lower ones
        self.queued_rows -= rows
        is_behind = any(self._queues[taken[0].priority + 1 :])
        self._passed_over = self._passed_over + 1 if is_behind and not is_their_turn else 0
        if self.queued_rows:
            self._wake_one()
        return taken

    def _in_turn(self) -> Sequence[deque[Call]]:
        """Return the queues by priority, but first the one passed over for longest.

        So calls of a lower priority are slow next to many of a higher one, but do not starve.
        """
        waiting = [queue for queue in self._queues if queue]
        longest = min(waiting[1:], key=lambda queue: queue[0].arrived_s, default=waiting[0])
        return (longest, *(queue for queue in self._queues if queue is not longest))

    def _remove(self, is_wanted: CallTest) -> list[Call]:
        removed: list[Call] = []
        for queue in self._queues:
            kept = [call for call in queue if not is_wanted(call)]
            if len(kept) < len(queue):
                removed += [call for call in queue if is_wanted(call)]
                queue.clear()
                queue.extend(kept)
        self.queued_rows -= sum(call.rows for call in removed)
        return removed

    def _wake_all(self) -> None:
        while self._idle:
            self._wake_one()

    def _wake_one(self) -> None:
        while self._idle:
            arrival = self._idle.popleft()
            if not arrival.done():
                arrival.set_result(None)
                return


def _goes_alone(call: Call) -> bool:
    """Return whether no other call may share its batch.

    Beside a part of a large call, single calls would wait for the work on all of its rows.
    """
    return call.progress.is_alone or call.part is not None
