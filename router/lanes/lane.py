"""A queue for one version of one revision. While its scorers are busy, work gathers.

Scorers pull: an idle one takes all that has gathered, up to its limit. So a batch grows as large
as the load makes it (what waits to be read gathers before, in `intake`), the fastest scorer gets
the most, and a hung one gets nothing.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress

from router.decisions.admission import Priority
from router.work import Work

_MOST_PASSED_OVER = 3  # batches
WorkTest = Callable[[Work], bool]


class Lane:
    """Work in order of priority, then of arrival."""

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
        self._queues: tuple[deque[Work], ...] = tuple(deque() for _ in Priority)
        self._idle: deque[asyncio.Future[None]] = deque()
        self._passed_over = 0  # batches in a row that left work of a lower priority behind
        self.open_pullers = 0  # scorers that would take work now or when they are done
        self.queued_rows = 0
        self.batches_taken = 0  # and not given back: any of them may be put back
        self._closing = asyncio.Event()

    @property
    def closed(self) -> bool:
        return self._closing.is_set()

    @property
    def is_done(self) -> bool:
        """Whether it is closed and none of its work is left anywhere."""
        return self.closed and not (self.queued_rows or self.batches_taken)

    def put(self, work: Work) -> bool:
        """Queue `work`; False when no scorer would ever take it."""
        if not self.open_pullers:
            return False
        self._queues[work.priority].append(work)
        self.queued_rows += work.rows
        self._wake_one()
        return True

    def put_back(self, works: list[Work]) -> None:
        """Queue again, at the front, what a scorer took and failed."""
        for work in reversed(works):
            self._queues[work.priority].appendleft(work)
            self.queued_rows += work.rows
        self._wake_one()

    async def take(self, most_rows: int) -> list[Work]:
        """Wait for work and take what has gathered, at least one unit; [] when closed and done.

        Each batch is given back with `release`. A closed lane is done when nothing is queued and
        nothing is taken: until then a scorer may fail, and its work is for another one.
        """
        while not self.closed or self.queued_rows or self.batches_taken:
            if not self.queued_rows:
                await self._arrival()
                continue
            self.batches_taken += 1
            return self._take_gathered(most_rows)
        return []

    def release(self) -> None:
        """Say that a batch is answered, or put back, or has gone elsewhere."""
        self.batches_taken -= 1
        if self.closed and not self.batches_taken:
            self._wake_all()

    @property
    def has_idle_scorer(self) -> bool:
        """Whether one waits for work, and there is none."""
        return any(not arrival.done() for arrival in self._idle)

    def take_if(self, is_wanted: WorkTest) -> list[Work]:
        """Remove and return the queued work that is wanted elsewhere."""
        return self._remove(is_wanted) if self.queued_rows else []

    def take_all(self) -> list[Work]:
        return self._remove(lambda _: True)

    def close(self) -> None:
        """Let pullers end once all is done. Nothing new may be put after this."""
        self._closing.set()
        self._wake_all()

    async def closed_within(self, seconds: float) -> bool:
        """Wait until it is closed, but no longer than `seconds`."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._closing.wait()
        return self.closed

    def __iter__(self) -> Iterator[Work]:
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

    def _take_gathered(self, most_rows: int) -> list[Work]:
        taken: list[Work] = []
        rows = 0
        is_their_turn = self._passed_over >= _MOST_PASSED_OVER
        for queue in self._in_turn() if is_their_turn else self._queues:
            while queue and (not taken or rows + queue[0].rows <= most_rows):
                if taken and (queue[0].is_alone or taken[0].is_alone):
                    break
                work = queue.popleft()
                taken.append(work)
                rows += work.rows
            if queue:
                break  # what is left of a higher priority goes before the lower ones
        self.queued_rows -= rows
        is_behind = any(self._queues[taken[0].priority + 1 :])
        self._passed_over = self._passed_over + 1 if is_behind and not is_their_turn else 0
        if self.queued_rows:
            self._wake_one()
        return taken

    def _in_turn(self) -> Sequence[deque[Work]]:
        """Return the queues by priority, but first the one of those passed over for longest.

        So calls of a lower priority are slow beside many of a higher one, and not without end.
        """
        waiting = [queue for queue in self._queues if queue]
        longest = min(waiting[1:], key=lambda queue: queue[0].arrived_s, default=waiting[0])
        return (longest, *(queue for queue in self._queues if queue is not longest))

    def _remove(self, is_wanted: WorkTest) -> list[Work]:
        removed: list[Work] = []
        for queue in self._queues:
            kept = [work for work in queue if not is_wanted(work)]
            if len(kept) < len(queue):
                removed += [work for work in queue if is_wanted(work)]
                queue.clear()
                queue.extend(kept)
        self.queued_rows -= sum(work.rows for work in removed)
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
