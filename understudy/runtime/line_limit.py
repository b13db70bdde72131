"""A limit on the log lines of each event, so that no caller can fill a disk with refusals.

Lines beyond the limit are counted, and the next line of any event has their numbers.
"""

import threading
from collections import Counter
from collections.abc import Callable, Collection, MutableMapping
from logging import Filter, LogRecord
from time import monotonic
from typing import Any

import structlog

from understudy.domain.line_budget import LineBudget

MOST_LINES_PER_S = 50  # of one event
_MOST_EVENTS = 1_000  # that have a limit of their own; further ones share one
_OTHER_EVENTS = "other events"
LEFT_OUT = "lines_left_out"  # the field of a line with the numbers, by event


class LineLimit:
    """A processor of structlog; a process has one, and any thread may use it."""

    def __init__(
        self,
        *,
        unlimited: Collection[str] = (),
        now_s: Callable[[], float] = monotonic,
    ) -> None:
        """`unlimited`: events that an operator asked for, one per request."""
        self._unlimited = frozenset(unlimited)
        self._now_s = now_s
        self._lock = threading.Lock()
        self._budgets: dict[str, LineBudget] = {}
        self._left_out: Counter[str] = Counter()

    def __call__(
        self, _logger: Any, _method: str, line: MutableMapping[str, Any]
    ) -> MutableMapping[str, Any]:
        """Return the line to write.

        Raises:
            structlog.DropEvent: the event has had its lines of this second.
        """
        event = str(line.get("event", ""))
        with self._lock:
            if not self._is_allowed(event):
                raise structlog.DropEvent
            if self._left_out:
                line[LEFT_OUT] = dict(self._left_out)
                self._left_out.clear()
        return line

    def allows(self, event: str) -> bool:
        """Return whether a line of a library may be written."""
        with self._lock:
            return self._is_allowed(event)

    def _is_allowed(self, event: str) -> bool:
        if event in self._unlimited:
            return True
        if event not in self._budgets and len(self._budgets) >= _MOST_EVENTS:
            event = _OTHER_EVENTS
        budget = self._budgets.get(event, LineBudget(MOST_LINES_PER_S))
        self._budgets[event], allowed = budget.spend(1, self._now_s())
        if not allowed:
            self._left_out[event] += 1
        return bool(allowed)


class LibraryLines(Filter):
    """The same limit for lines of libraries, which use `logging`.

    An event is a place in their code: texts have values in them, such as asyncio's addresses of objects.
    """

    def __init__(self, limit: LineLimit) -> None:
        super().__init__()
        self._limit = limit

    def filter(self, record: LogRecord) -> bool:
        return self._limit.allows(f"{record.name}: {record.module}:{record.lineno}")
