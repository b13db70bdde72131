"""Where single calls wait, unread, until enough of them are here; then all are read in one go.

call -> gate -> waiting -> (enough, or silence) -> parse and admit, one after the other -> lanes

gRPC hands requests to Python one per turn of the event loop. Reading each at once makes both
slower: gRPC's own thread falls asleep between two of them, and the batches stay small. So a call
is only counted when it comes. A lone caller never waits; who waits is decided in `gathering`.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from router.decisions.gathering import Gathering
from router.gate import Gate
from router.work import Arrival, Work

_TICK_S = 0.001  # the event loop's own resolution
_MOST_QUIET_TICKS = 2  # one may pass because this process was not running
_MOST_AT_ONCE = 256  # read in one go: about 2 ms in which nothing else is done
_EXPECTED_BACK_S = 0.02  # who is away for longer does not send again soon: nobody waits for them
_HURRIED_TIMES = 3  # a call with less time left than this many waits does not wait


@dataclass(slots=True, eq=False)
class _Group:
    """Calls that were read together and are not answered yet."""

    left: int
    read_s: float  # monotonic


@dataclass(slots=True, eq=False)
class Waiting(Arrival):
    """One call that waits to be read."""

    received: bytes
    admit: "Callable[[Waiting], Work]"  # parses it, or raises why not
    group: _Group | None = None  # set when it is read


class Intake:
    """Holds arrivals until they are read. `put` and `leave` come in pairs."""

    def __init__(self, gate: Gate, *, most_gather_s: float, now_s: Callable[[], float]) -> None:
        self._gate = gate
        self._most_gather_s = most_gather_s
        self._now_s = now_s
        self._gathering = Gathering()
        self._waiting: list[Waiting] = []
        self._groups: deque[_Group] = deque()  # those whose callers are expected back soon
        self._away = 0  # calls in these groups
        self._most_at_once = 0
        self._wanted = 1
        self._timer: asyncio.TimerHandle | None = None

    def put(self, call: Waiting) -> None:
        """Count a call in and have it read soon.

        Raises:
            OverloadedError: the router holds as much as this priority may fill.
        """
        self._gate.enter(1, call.priority)
        waiting = self._waiting
        waiting.append(call)
        count = len(waiting)
        self._most_at_once = max(self._most_at_once, count + self._away)
        if count == 1:
            self._begin(call.arrived_s)
        if count >= self._wanted or self._is_hurried(call):
            self._read_all()

    def leave(self, call: Waiting) -> None:
        """Count a call out, answered or given up."""
        self._gate.leave(1)
        group = call.group
        if group is not None and group.left:
            group.left -= 1
            self._away -= 1
            if not group.left:
                self._gathering = self._gathering.after_answers(self._now_s() - group.read_s)

    def _is_hurried(self, call: Waiting) -> bool:
        remaining_s = call.remaining_s
        return remaining_s is not None and remaining_s < _HURRIED_TIMES * self._most_gather_s

    def _begin(self, now_s: float) -> None:
        """Decide how many to wait for, counting those who are expected back soon."""
        while self._groups and self._groups[0].read_s < now_s - _EXPECTED_BACK_S:
            forgotten = self._groups.popleft()
            self._away -= forgotten.left
            forgotten.left = 0
        self._gathering = self._gathering.after_reading(self._most_at_once)
        self._most_at_once = 0
        self._wanted = self._gathering.wanted(_MOST_AT_ONCE) if self._most_gather_s else 1
        if self._wanted > 1:
            until_s = now_s + self._gathering.most_wait_s(self._most_gather_s)
            self._timer = asyncio.get_running_loop().call_later(
                _TICK_S, self._look_again, 1, 0, until_s
            )

    def _look_again(self, before: int, quiet_ticks: int, until_s: float) -> None:
        """Read what is here when no more comes, or when it has waited long enough."""
        count = len(self._waiting)
        quiet_ticks = quiet_ticks + 1 if count == before else 0
        if quiet_ticks == _MOST_QUIET_TICKS or self._now_s() >= until_s:
            self._read_all()
            return
        self._timer = asyncio.get_running_loop().call_later(
            _TICK_S, self._look_again, count, quiet_ticks, until_s
        )

    def _read_all(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        calls, self._waiting = self._waiting, []
        group = _Group(0, self._now_s())
        for call in calls:
            if call.answer.done():  # the caller has gone
                continue
            call.group = group
            group.left += 1
        self._away += group.left
        self._groups.append(group)
        for call in calls:
            if not call.answer.done():
                _submit(call)


def _submit(call: Waiting) -> None:
    try:
        work = call.admit(call)
        work.live.submit(work)
    except Exception as error:  # noqa: BLE001 - request boundary: each failure gets a status
        if not call.answer.done():
            call.answer.set_exception(error)
