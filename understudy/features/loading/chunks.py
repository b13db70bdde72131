"""Consecutive rows of a file, between reading and checking."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from understudy.features.decisions.row_values import Reject

SHOWN_CHARACTERS = 80


@dataclass(frozen=True, slots=True, eq=False)
class Chunk:
    """Consecutive rows of a file: whole ones, and those that could not be parsed."""

    batch: pa.RecordBatch
    row_numbers: npt.NDArray[np.int64]  # row in the file, from 0, of each row of the batch
    broken: tuple[Reject, ...] = ()

    @property
    def broken_rows(self) -> int:
        return len({each.row for each in self.broken})  # a row may be broken in several columns

    @property
    def rows(self) -> int:
        return len(self.batch) + self.broken_rows
