"""How many calls to wait for before they are read together, when many callers are at work.

gRPC hands requests to Python one per turn of the event loop, so "take what has gathered" finds
few even when many are on the machine already: a group of n, served in the time it takes to receive
m more, is followed by one of m, whatever the load. So there is an estimate of how many calls are
here at once, waiting or being served, and one waits for most of them. The groups then grow towards
the load: with share s they settle at s * m / (1 - s) or at the number of callers, whichever is
less. How long one waits at most is the intake's: until nobody comes any more, or a fixed time.
"""

from dataclasses import dataclass
from math import ceil

_DECAY = 0.95  # of the estimate per reading, at least
_HALF_LIFE_S = 0.5  # and with time: after some quiet seconds an old peak is forgotten
_SHARE = 0.95
EXPECTED_BACK_S = 0.02  # who is away for longer does not send again soon: nobody waits for them


@dataclass(frozen=True, slots=True)
class Gathering:
    """Replaced at each reading."""

    peak: float = 1.0  # how many calls were here at once, lately

    def after_reading(self, most_at_once: int, *, elapsed_s: float) -> "Gathering":
        """Return the estimate after a stretch of `elapsed_s` with so many calls here at once."""
        faded = 0.5 ** (elapsed_s / _HALF_LIFE_S)  # the stretch may have been a long silence
        peak = max(1.0, self.peak * min(_DECAY, faded), most_at_once * faded)
        return Gathering(peak)

    def wanted(self, most: int) -> int:
        """Return how many calls need not wait for more."""
        return min(most, ceil(self.peak * _SHARE))
