"""How many rows to wait for before a batch goes, when many callers are at work.

gRPC hands requests to Python one per turn of the event loop, so "take what has gathered" finds
small batches even when many requests are on the machine already: a batch of n, at a scorer for
as long as it takes to receive m more, is followed by one of m, whatever the load. So a lane
keeps an estimate of how many rows are with it at once, queued or at a scorer, and waits for
most of them. The batches then grow towards the load: with share s they settle at s * m / (1 - s)
or at the number of callers, whichever is less. A lone caller never waits.
"""

from dataclasses import dataclass
from math import ceil

_DECAY = 0.95  # of the estimate per batch: after a quiet half second an old peak is forgotten
_SHARE = 0.85


@dataclass(frozen=True, slots=True)
class Gathering:
    """Replaced at each batch. `peak_rows`: how many rows were there at once, lately."""

    peak_rows: float = 1.0

    def after_batch(self, most_rows_at_once: int) -> "Gathering":
        """Return the estimate after a batch during which so many rows were there at once."""
        return Gathering(max(1.0, self.peak_rows * _DECAY, float(most_rows_at_once)))

    def wanted_rows(self, most_batch_rows: int) -> int:
        """Return how many queued rows make a batch that need not wait."""
        return min(most_batch_rows, ceil(self.peak_rows * _SHARE))
