"""A queue for one version of one revision. While its scorers are busy, arrivals gather.

Scorers pull: an idle one takes all that has gathered, up to its limit. So a batch grows exactly
as large as the load makes it, the fastest scorer gets the most, and a hung one gets nothing.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterator

from router.decisions.admission import Priority
from router.decisions.gathering import Gathering
from router.work import Work

_TICK_S = 0.001  # the event loop's own resolution
_MOST_QUIET_TICKS = 2  # one may pass because this process was not running

WorkTest = Callable[[Work], bool]


class Lane:
    """Work in order of priority, then of arrival."""

    __slots__ = (
        "_enough",
        "_gathering",
        "_idle",
        "_most_at_once",
        "_most_gather_s",
        "_queues",
        "_wanted_rows",
        "closed",
        "open_pullers",
        "queued_rows",
        "taken_rows",
    )

    def __init__(self, *, most_gather_s: float) -> None:
        self._queues: tuple[deque[Work], ...] = tuple(deque() for _ in Priority)
        self._idle: deque[asyncio.Future[None]] = deque()
        self.open_pullers = 0  # scorers that would take work now or when they are done
        self.queued_rows = 0
        self.taken_rows = 0  # with a scorer; `done` ends that
        self.closed = False
        self._gathering = Gathering()
        self._most_gather_s = most_gather_s
        self._most_at_once = 0
        self._wanted_rows = 0
        self._enough: asyncio.Future[None] | None = None  # set: a puller waits for more rows

    def put(self, work: Work) -> bool:
        """Queue `work`; False when no scorer would ever take it."""
        if not self.open_pullers:
            return False
        self._queues[work.priority].append(work)
        self.queued_rows += work.rows
        if self._enough is None:
            self._wake_one()
        elif self.queued_rows >= self._wanted_rows:
            self._end_gathering(self._enough)
        return True

    def put_back(self, works: list[Work]) -> None:
        """Queue again, at the front, what a scorer took and failed."""
        for work in reversed(works):
            self._queues[work.priority].appendleft(work)
            self.queued_rows += work.rows
        self._wake_one()

    async def take(self, most_rows: int) -> list[Work]:
        """Wait for work and take what has gathered, at least one unit; [] when closed."""
        while not self.closed or self.queued_rows:
            if not self.queued_rows:
                await self._arrival()
                continue
            await self._gather(most_rows)
            if taken := self._take_gathered(most_rows):  # all may have been answered meanwhile
                return taken
        return []

    def done(self, rows: int) -> None:
        """Say that so many taken rows are no longer with a scorer."""
        # Now, before they are gone: what came while they were away is here at once with them.
        self._most_at_once = max(self._most_at_once, self.queued_rows + self.taken_rows)
        self.taken_rows -= rows

    def take_due(self, now_s: float) -> list[Work]:
        """Remove and return the work that must be answered by now, or that nobody awaits."""
        if not self.queued_rows:
            return []
        return self._remove(lambda work: work.answer_by_s <= now_s or work.answer.done())

    def take_all(self) -> list[Work]:
        return self._remove(lambda _: True)

    def close(self) -> None:
        """Let pullers end once the queue is empty. Nothing may be put after this."""
        self.closed = True
        if self._enough is not None:
            self._end_gathering(self._enough)
        while self._idle:
            self._wake_one()

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

    async def _gather(self, most_rows: int) -> None:
        """Wait a little for more rows, when lately many were here at once."""
        at_once = max(self._most_at_once, self.queued_rows + self.taken_rows)
        self._gathering = self._gathering.after_batch(at_once)
        self._most_at_once = 0
        self._wanted_rows = self._gathering.wanted_rows(most_rows)
        if self.queued_rows >= self._wanted_rows or self._enough is not None or self.closed:
            return
        loop = asyncio.get_running_loop()
        enough = self._enough = loop.create_future()
        until_s = loop.time() + self._most_gather_s
        loop.call_later(_TICK_S, self._go_on_gathering, enough, self.queued_rows, 0, until_s)
        try:
            await enough
        finally:
            self._enough = None

    def _go_on_gathering(
        self, enough: asyncio.Future[None], rows_before: int, quiet_ticks: int, until_s: float
    ) -> None:
        """Look again in a moment, while rows keep coming and time is left."""
        if enough.done():
            return
        loop = asyncio.get_running_loop()
        quiet_ticks = quiet_ticks + 1 if self.queued_rows == rows_before else 0
        if quiet_ticks == _MOST_QUIET_TICKS or loop.time() >= until_s:
            enough.set_result(None)
            return
        loop.call_later(
            _TICK_S, self._go_on_gathering, enough, self.queued_rows, quiet_ticks, until_s
        )

    @staticmethod
    def _end_gathering(enough: asyncio.Future[None]) -> None:
        if not enough.done():
            enough.set_result(None)

    def _take_gathered(self, most_rows: int) -> list[Work]:
        taken: list[Work] = []
        rows = 0
        for queue in self._queues:
            while queue and (not taken or rows + queue[0].rows <= most_rows):
                if taken and (queue[0].is_alone or taken[0].is_alone):
                    break
                work = queue.popleft()
                taken.append(work)
                rows += work.rows
            if queue:
                break  # what is left of a higher priority goes before the lower ones
        self._most_at_once = max(self._most_at_once, self.queued_rows + self.taken_rows)
        self.queued_rows -= rows
        self.taken_rows += rows
        if self.queued_rows:
            self._wake_one()
        return taken

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

    def _wake_one(self) -> None:
        while self._idle:
            arrival = self._idle.popleft()
            if not arrival.done():
                arrival.set_result(None)
                return
