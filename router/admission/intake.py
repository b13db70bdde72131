"""Unread calls, which wait until enough of them have arrived to be read together.

call -> gate -> waiting -> (enough, or silence) -> parse and admit, one after the other -> lanes

gRPC hands requests to Python one per turn of the event loop. Reading each at once slows down
both: gRPC's own thread falls asleep between two of them, and batches stay small. So a call
is only counted when it arrives. `expected_calls` decides which calls wait, and for how long; reading
pauses for a turn of the loop if it has taken long.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import structlog

from router.admission.gate import Gate
from router.calls.call import Arrival, Call
from router.decisions.expected_calls import EXPECTED_BACK_S, ExpectedCalls
from router.decisions.priority import Priority

_TICK_S = 0.001  # the event loop's own resolution
_MOST_QUIET_TICKS = 2  # one may pass because this process was not scheduled
_MOST_AT_ONCE = 256  # calls
_MOST_READING_S = 0.002  # at a time: nothing else runs in the meantime
_HURRIED_TIMES = 3  # a call with less time left than this many waits does not wait
_log = structlog.get_logger()


@dataclass(slots=True, eq=False)
class _Group:
    """Calls that were read together and are not answered yet."""

    left: int
    read_s: float  # monotonic


@dataclass(slots=True, eq=False)
class UnreadCall(Arrival):
    """A call that waits to be read."""

    received: bytes
    admit: "Callable[[UnreadCall], Call]"  # parses it, or raises the reason for refusing it
    request_id: str = ""  # known once it is parsed; reported with its failure
    group: _Group | None = None  # set once it is read
    context: Any = None  # of gRPC, of a call by itself: its metadata is read with the request


class Intake:
    """Holds calls until they are read. `put` and `leave` come in pairs."""

    def __init__(
        self,
        gate: Gate,
        *,
        most_gather_s: float,
        default_deadline_s: float,
        now_s: Callable[[], float],
        cpu_s: Callable[[], float],
    ) -> None:
        """`cpu_s` returns the CPU time used by the event loop's thread."""
        self._gate = gate
        self._most_gather_s = most_gather_s
        self._longest_wait_s = most_gather_s
        self._default_deadline_s = default_deadline_s
        self._now_s = now_s
        self._cpu_s = cpu_s
        self._expected = ExpectedCalls()
        self._waiting: list[UnreadCall] = []
        # No longer waiting, but next; single calls before a stream's, however many there are.
        self._reading: tuple[deque[UnreadCall], ...] = tuple(deque() for _ in Priority)
        self._groups: deque[_Group] = deque()  # those whose callers are expected back soon
        self._away = 0  # calls in these groups
        self._most_at_once = 0
        self._began_s = now_s()
        self._began_cpu_s = cpu_s()
        self._wanted = 1
        self._timer: asyncio.TimerHandle | None = None

    def put(self, call: UnreadCall) -> None:
        """Count a call in and schedule its reading.

        Raises:
            OverloadedError: the share of this priority is full.
        """
        self._gate.enter(1, call.priority, len(call.received))
        self._wait(call)

    def put_together(self, calls: Sequence[UnreadCall]) -> None:
        """Count calls of one priority in, all or none, and schedule their reading.

        Raises:
            OverloadedError: the share of this priority is full; none was counted.
        """
        size_bytes = sum(len(call.received) for call in calls)
        self._gate.enter(len(calls), calls[0].priority, size_bytes)
        for call in calls:
            self._wait(call)

    def leave(self, call: UnreadCall) -> None:
        """Count a call out, whether answered or given up."""
        self._gate.leave(1, call.priority, len(call.received))
        group = call.group
        if group is not None and group.left:
            group.left -= 1
            self._away -= 1

    def _wait(self, call: UnreadCall) -> None:
        waiting = self._waiting
        waiting.append(call)
        count = len(waiting)
        if count == 1:
            self._forget_long_away(call.arrived_s - EXPECTED_BACK_S)
        self._most_at_once = max(self._most_at_once, count + self._away)
        if count == 1:
            self._begin(call.arrived_s)
        if count >= self._wanted or self._is_hurried(call):
            self._read_all()

    def _is_hurried(self, call: UnreadCall) -> bool:
        remaining_s = call.remaining_s
        if remaining_s is None:
            remaining_s = self._default_deadline_s
        return remaining_s < _HURRIED_TIMES * self._longest_wait_s

    def _begin(self, now_s: float) -> None:
        """Decide how many calls to wait for, and for how long."""
        cpu_s = self._cpu_s()
        self._expected = self._expected.after_reading(
            self._most_at_once,
            elapsed_s=max(0.0, now_s - self._began_s),
            cpu_s=cpu_s - self._began_cpu_s,
        )
        self._longest_wait_s = self._expected.longest_wait_s(self._most_gather_s)
        self._most_at_once = 0
        self._began_s = now_s
        self._began_cpu_s = cpu_s
        self._wanted = self._expected.wanted(_MOST_AT_ONCE) if self._most_gather_s else 1
        if self._wanted > 1:
            until_s = now_s + self._longest_wait_s
            self._timer = asyncio.get_running_loop().call_later(
                _TICK_S, self._look_again, 1, 0, until_s
            )

    def _forget_long_away(self, since_s: float) -> None:
        while self._groups and self._groups[0].read_s < since_s:
            forgotten = self._groups.popleft()
            self._away -= forgotten.left
            forgotten.left = 0

    def _look_again(self, before: int, quiet_ticks: int, until_s: float) -> None:
        """Read the waiting calls if no more arrive, or they have waited long enough."""
        count = len(self._waiting)
        quiet_ticks = quiet_ticks + 1 if count == before else 0
        if quiet_ticks == _MOST_QUIET_TICKS or self._now_s() >= until_s:
            self._read_all()
            return
        self._timer = asyncio.get_running_loop().call_later(
            _TICK_S, self._look_again, count, quiet_ticks, until_s
        )

    def _read_all(self) -> None:
        """Read all waiting calls; earlier ones come first."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        calls, self._waiting = self._waiting, []
        group = _Group(0, self._now_s())
        for call in calls:
            if not call.answer.done():  # otherwise the caller has disconnected
                call.group = group
                group.left += 1
        self._away += group.left
        self._groups.append(group)
        is_reading = any(self._reading)
        for call in calls:
            self._reading[call.priority].append(call)
        if not is_reading:
            self._read_some()

    def _read_some(self) -> None:
        """Read until all calls are read, or others must have their turn."""
        until_s = self._now_s() + _MOST_READING_S
        for reading in self._reading:
            while reading:
                call = reading.popleft()
                if not call.answer.done():
                    _submit(call)
                if self._now_s() >= until_s:
                    if any(self._reading):
                        asyncio.get_running_loop().call_soon(self._read_some)
                    return


def _submit(call: UnreadCall) -> None:
    try:
        admitted = call.admit(call)
        admitted.live.submit(admitted)
    except Exception as error:  # noqa: BLE001 - request boundary: each failure gets a status
        if call.answer.done():  # answered from the ladder; a later step failed
            _log.exception("submit_failed")
        else:
            call.answer.set_exception(error)
