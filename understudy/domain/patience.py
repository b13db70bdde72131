"""Judgement of a call that timed out: was the callee at fault, or was the limit too short?

A caller with two milliseconds learns nothing about a scorer that takes three, and must not close
it to others. A scorer that answers no call at all must be detected with any deadline.
"""

from dataclasses import dataclass, replace
from enum import Enum, auto

_NEW_SHARE = 0.2  # weight of a new sample in the running mean
_FAIR_TIMES = 3.0  # a fair limit is at least this many times the usual time
_LEAST_FAIR_S = 0.02


class Verdict(Enum):
    NOTHING = auto()  # the limit was too short to judge
    FAILED = auto()  # the limit was long enough, compared with earlier answers
    GONE = auto()  # there was no answer for as long as anything is waited for


@dataclass(frozen=True, slots=True)
class Experience:
    """Experience with one callee. Replaced after each call."""

    usual_s: float = 0.0  # running mean of the time to answer; 0 before the first answer
    unanswered_s: float = 0.0  # total wait of unanswered calls since the last answer

    def after_answer(self, took_s: float) -> "Experience":
        if not self.usual_s:
            return Experience(took_s)
        return Experience(self.usual_s + _NEW_SHARE * (took_s - self.usual_s))

    def is_fair(self, given_s: float) -> bool:
        """Return whether a limit of `given_s` is long enough, compared with earlier answers."""
        return given_s >= max(_LEAST_FAIR_S, _FAIR_TIMES * self.usual_s)

    def is_overdue(self, waited_s: float) -> bool:
        """Return whether a call made `waited_s` ago should have been answered by now.

        The wait of the preceding unanswered calls counts as well.
        """
        return self.is_fair(self.unanswered_s + waited_s)

    def after_timeout(self, *, given_s: float, gone_after_s: float) -> tuple["Experience", Verdict]:
        """Return the experience after an unanswered call with a limit, and the verdict on it.

        Args:
            given_s: how long the call was waited for.
            gone_after_s: a callee is gone after this total wait without any answer.
        """
        after = replace(self, unanswered_s=self.unanswered_s + given_s)
        if after.unanswered_s >= gone_after_s:
            return after, Verdict.GONE
        return after, Verdict.FAILED if self.is_fair(given_s) else Verdict.NOTHING
