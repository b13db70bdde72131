"""Whether a call that ran out of its callers' time says anything about whom they asked.

A caller with two milliseconds learns nothing about a scorer that takes three, and must not close
it to others. But one that answers nobody any more must be found out by callers of any deadline.
"""

from dataclasses import dataclass, replace
from enum import Enum, auto

_NEW_SHARE = 0.2  # of a new sample in the running mean
_FAIR_TIMES = 3.0  # who had so many times the usual time, and at least the least, had enough
_LEAST_FAIR_S = 0.02


class Verdict(Enum):
    NOTHING = auto()  # the callers were in a hurry
    FAILED = auto()  # it had time enough for an answer, as its answers go
    GONE = auto()  # it had all the time that there is, or has answered nobody for that long


@dataclass(frozen=True, slots=True)
class Experience:
    """What one has seen of somebody who is asked over and over. Replaced at each answer."""

    usual_s: float = 0.0  # running mean of the time that answers took; 0: none yet
    unanswered_s: float = 0.0  # for so long calls were waited for in vain since the last answer

    def after_answer(self, took_s: float) -> "Experience":
        if not self.usual_s:
            return Experience(took_s)
        return Experience(self.usual_s + _NEW_SHARE * (took_s - self.usual_s))

    def is_fair(self, given_s: float) -> bool:
        """Whether so much time would have been enough, as answers go."""
        return given_s >= max(_LEAST_FAIR_S, _FAIR_TIMES * self.usual_s)

    def is_overdue(self, waited_s: float) -> bool:
        """Whether a call that was made so long ago should have been answered by now.

        Who left the calls before it unanswered, too, has been waited for in these as well.
        """
        return self.is_fair(self.unanswered_s + waited_s)

    def after_timeout(self, *, given_s: float, gone_after_s: float) -> tuple["Experience", Verdict]:
        """Return what is known after a call had `given_s` and no answer, and what that says.

        Args:
            given_s: how long it was waited for.
            gone_after_s: who was waited for so long, all in all, without any answer is gone.
        """
        after = replace(self, unanswered_s=self.unanswered_s + given_s)
        if after.unanswered_s >= gone_after_s:
            return after, Verdict.GONE
        return after, Verdict.FAILED if self.is_fair(given_s) else Verdict.NOTHING
