"""Log lines about failures, limited in number, so that a flood fills no disk and costs no answers.

A second after the first line that was left out, a line gives their number.
"""

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from time import monotonic

import structlog

from understudy.domain.errors import InvalidInputError, NotFoundError, OverloadedError
from understudy.domain.line_budget import WINDOW_S, LineBudget

_REFUSALS = (OverloadedError, InvalidInputError, NotFoundError)  # before any work is done
_log = structlog.get_logger()

CallLater = Callable[[float, Callable[[], None]], object]


def _call_later(delay_s: float, callback: Callable[[], None]) -> object:
    return asyncio.get_running_loop().call_later(delay_s, callback)


class BoundedLines:
    """Decides which lines of one event may be written. Used only in the event loop's thread."""

    def __init__(
        self,
        event: str,
        most_per_s: int,
        *,
        now_s: Callable[[], float] = monotonic,
        call_later: CallLater = _call_later,
    ) -> None:
        self._event = event
        self._budget = LineBudget(most_per_s)
        self._now_s = now_s
        self._call_later = call_later

    def allowed(self, lines: int) -> int:
        """Return how many of `lines` to write now; the others are counted."""
        before = self._budget
        self._budget, allowed = before.spend(lines, self._now_s())
        if self._budget.left_out and not before.left_out:
            self._call_later(WINDOW_S, self._tell)
        return allowed

    def _tell(self) -> None:
        _log.warning("log_lines_left_out", of=self._event, lines=self._budget.left_out)
        self._budget = replace(self._budget, left_out=0)


class RefusalLines:
    """One line a second while calls are refused, with their number by error class."""

    def __init__(self, *, call_later: CallLater = _call_later) -> None:
        self._counts: Counter[str] = Counter()
        self._call_later = call_later

    def count(self, error: Exception) -> None:
        """Count a call that `error` refused; calls that ended otherwise have their own lines."""
        if not isinstance(error, _REFUSALS):
            return
        if not self._counts:
            self._call_later(WINDOW_S, self._tell)
        self._counts[type(error).__name__] += 1

    def _tell(self) -> None:
        counts, self._counts = self._counts, Counter()
        _log.warning("calls_refused", within_s=WINDOW_S, **counts)
