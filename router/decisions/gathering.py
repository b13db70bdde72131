"""How many rows to wait for before a batch goes, when many callers are at work.

gRPC hands requests to Python one per turn of the event loop, so "take what has gathered" finds
small batches even when many requests are already on the machine. So a lane keeps an estimate of
how many rows are with it at once, queued or at a scorer, and waits for half of them: the other
half is then received while the scorer works. A lone caller never waits, as half of one is one.
"""

from dataclasses import dataclass
from math import ceil

_DECAY = 0.95  # of the estimate per batch: after a quiet half second an old peak is forgotten
_SHARE = 0.5


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
