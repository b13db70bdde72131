"""Whether a store that did not answer is to be left alone for a while.

A caller with two milliseconds learns nothing about a store that takes three, and must not keep
others from it. But one that answers nobody any more must be found out by callers of any time.
"""

from dataclasses import dataclass, replace
from math import inf

_REST_S = 1.0
_GONE_AFTER_S = 1.0  # without any answer
_NEW_SHARE = 0.2  # of a new sample in the running mean
_FAIR_TIMES = 3.0  # who gave so many times the usual time, and at least the least, gave enough
_LEAST_FAIR_S = 0.02


@dataclass(frozen=True, slots=True)
class StoreRest:
    """What one has seen of a store's reads. Replaced at each of them. Times are monotonic."""

    ends_s: float = -inf
    usual_s: float = 0.0  # running mean of the time that answers took; 0: none yet
    unanswered_since_s: float | None = None  # None: the last read was answered

    def after_answer(self, took_s: float) -> "StoreRest":
        mean_s = self.usual_s or took_s
        usual_s = mean_s + _NEW_SHARE * (took_s - mean_s)
        return replace(self, usual_s=usual_s, unanswered_since_s=None)

    def after_failure(self, *, began_s: float, now_s: float, timeout_s: float) -> "StoreRest":
        """Return what is known after a read had `timeout_s` and no answer."""
        since_s = began_s if self.unanswered_since_s is None else self.unanswered_since_s
        after = replace(self, unanswered_since_s=since_s)
        took_s = now_s - began_s
        was_hurried = took_s >= timeout_s and took_s < max(
            _LEAST_FAIR_S, _FAIR_TIMES * self.usual_s
        )
        if was_hurried and now_s - since_s < _GONE_AFTER_S:
            return after
        return replace(after, ends_s=now_s + _REST_S)
