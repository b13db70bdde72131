"""Batches with the numbers that their writer gave to their rows."""

from typing import NamedTuple

from understudy.logs.batches import LogBatch, rows_between


class Numbered(NamedTuple):
    """A batch whose rows have consecutive numbers among the rows of its log and model.

    A number is given to every offered row, also to one that is dropped, so that readers find all
    rows that are missing, and not only those that were lost between two others.
    """

    batch: LogBatch
    first: int  # the number of its first row; numbers start at 1

    def between(self, start: int, stop: int) -> "Numbered":
        """Return rows `start` to `stop` with their numbers."""
        return Numbered(rows_between(self.batch, start, stop), self.first + start)
