"""How many calls to wait for before they are read together, when many callers are at work.

gRPC hands requests to Python one per turn of the event loop, so "take what has gathered" finds
few even when many are on the machine already: a group of n, served in the time it takes to receive
m more, is followed by one of m, whatever the load. So there is an estimate of how many calls are
here at once, waiting or being served, and one waits for most of them. The groups then grow towards
the load: with share s they settle at s * m / (1 - s) or at the number of callers, whichever is
less. A lone caller never waits, and nobody waits longer than being served takes: at worst a call
takes twice its time (the bound of the ski rental problem, Karlin et al. 1988).
"""

from dataclasses import dataclass, replace
from math import ceil

_DECAY = 0.95  # of the estimate per batch: after a quiet half second an old peak is forgotten
_SHARE = 0.95
_WEIGHT = 0.2  # of the newest service time in its running mean


@dataclass(frozen=True, slots=True)
class Gathering:
    """Replaced at each reading."""

    peak: float = 1.0  # how many calls were here at once, lately
    served_s: float = 0.0  # how long those read together take until the last one is answered

    def after_reading(self, most_at_once: int) -> "Gathering":
        """Return the estimate after a stretch in which so many calls were here at once."""
        return replace(self, peak=max(1.0, self.peak * _DECAY, float(most_at_once)))

    def after_answers(self, took_s: float) -> "Gathering":
        """Return the estimate after all that were read together are answered."""
        return replace(self, served_s=self.served_s + _WEIGHT * (took_s - self.served_s))

    def wanted(self, most: int) -> int:
        """Return how many calls need not wait for more."""
        return min(most, ceil(self.peak * _SHARE))

    def most_wait_s(self, limit_s: float) -> float:
        """Return how long to wait at most: not longer than being served takes."""
        return min(limit_s, self.served_s)
