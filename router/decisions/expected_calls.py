"""How many calls to wait for before they are read together, when many callers are at work.

gRPC hands requests to Python one per turn of the event loop, so "take what has gathered" finds
few even when many are on the machine already: a group of n, served in the time it takes to receive
m more, is followed by one of m, whatever the load. So there is an estimate of how many calls are
here at once, waiting or being served, and one waits for most of them. The groups then grow towards
the load: with share s they settle at s * m / (1 - s) or at the number of callers, whichever is
less. The wait ends when nobody comes any more, and after a time: longer where the event loop is
busy, for then all wait for it anyway, and a call costs less in a larger group.
"""

from dataclasses import dataclass, replace
from math import ceil

_DECAY = 0.95  # of the estimate per reading, at least
_HALF_LIFE_S = 0.5  # and with time: after some quiet seconds an old peak is forgotten
_SHARE = 0.95
_BUSY = (0.5, 0.75)  # CPU s per s of the event loop: from where the wait grows, to where it ends
_MOST_TIMES = 2.5  # as long where it is busy
_BUSY_HALF_LIFE_S = 0.2
EXPECTED_BACK_S = 0.02  # who is away for longer does not send again soon: nobody waits for them


@dataclass(frozen=True, slots=True)
class ExpectedCalls:
    """Replaced at each reading."""

    peak: float = 1.0  # how many calls were here at once, lately
    busy: float = 0.0  # CPU s per s of the event loop, lately

    def after_reading(
        self, most_at_once: int, *, elapsed_s: float, cpu_s: float
    ) -> "ExpectedCalls":
        """Return the estimate after a stretch of `elapsed_s`.

        Args:
            most_at_once: calls that were here at once in it.
            elapsed_s: how long it was.
            cpu_s: that the event loop used in it.
        """
        faded = 0.5 ** (elapsed_s / _HALF_LIFE_S)  # the stretch may have been a long silence
        peak = max(1.0, self.peak * min(_DECAY, faded), most_at_once * faded)
        if elapsed_s <= 0.0:
            return replace(self, peak=peak)
        kept = 0.5 ** (elapsed_s / _BUSY_HALF_LIFE_S)
        busy = kept * self.busy + (1 - kept) * min(1.0, cpu_s / elapsed_s)
        return ExpectedCalls(peak, busy)

    def longest_wait_s(self, idle_s: float) -> float:
        """Return how long to wait at most, where it is `idle_s` with an idle event loop."""
        least, most = _BUSY
        share = min(1.0, max(0.0, (self.busy - least) / (most - least)))
        return idle_s * (1 + (_MOST_TIMES - 1) * share)

    def wanted(self, most: int) -> int:
        """Return how many calls need not wait for more."""
        return min(most, ceil(self.peak * _SHARE))
