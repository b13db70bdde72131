"""The number of calls to wait for before reading them together, when there are many callers.

gRPC hands requests to Python one per turn of the event loop, so "take what is waiting" finds
few even if many have reached the machine: a group of n, served in the time it takes to receive
m more, is followed by one of m, whatever the load. So there is an estimate of the number of
concurrent calls, waiting or being served, and most of them are waited for. The groups then grow
towards the load: with share s they settle at s * m / (1 - s) or at the number of callers, whichever
is less. The wait ends when no more calls arrive, and after a limit: a longer one if the event loop
is busy, because then all wait for it anyway, and a call costs less in a larger group.
"""

from dataclasses import dataclass, replace
from math import ceil

_DECAY = 0.95  # minimum decay of the estimate per reading
_HALF_LIFE_S = 0.5  # and with time: after some quiet seconds an old peak is forgotten
_SHARE = 0.95
_BUSY = (0.5, 0.75)  # CPU s per s of the event loop: the range over which the wait grows
_MOST_TIMES = 2.5  # the multiple of the wait at the end of that range
_BUSY_HALF_LIFE_S = 0.2
EXPECTED_BACK_S = 0.02  # a caller whose call takes longer is not expected back soon


@dataclass(frozen=True, slots=True)
class ExpectedCalls:
    """The estimate, replaced at each reading."""

    peak: float = 1.0  # recent number of concurrent calls
    busy: float = 0.0  # recent CPU s per s of the event loop

    def after_reading(
        self, most_at_once: int, *, elapsed_s: float, cpu_s: float
    ) -> "ExpectedCalls":
        """Return the estimate after a period of `elapsed_s`.

        Args:
            most_at_once: the largest number of concurrent calls in it.
            elapsed_s: its length.
            cpu_s: CPU time of the event loop in it.
        """
        faded = 0.5 ** (elapsed_s / _HALF_LIFE_S)  # the period may have been a long silence
        peak = max(1.0, self.peak * min(_DECAY, faded), most_at_once * faded)
        if elapsed_s <= 0.0:
            return replace(self, peak=peak)
        kept = 0.5 ** (elapsed_s / _BUSY_HALF_LIFE_S)
        busy = kept * self.busy + (1 - kept) * min(1.0, cpu_s / elapsed_s)
        return ExpectedCalls(peak, busy)

    def longest_wait_s(self, idle_s: float) -> float:
        """Return the longest wait, given that it is `idle_s` with an idle event loop."""
        least, most = _BUSY
        share = min(1.0, max(0.0, (self.busy - least) / (most - least)))
        return idle_s * (1 + (_MOST_TIMES - 1) * share)

    def wanted(self, most: int) -> int:
        """Return the number of calls at which no more are waited for."""
        return min(most, ceil(self.peak * _SHARE))
