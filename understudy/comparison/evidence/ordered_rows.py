"""Columns of rows that are ordered by unit, read a part at a time into their final arrays."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import DTypeLike, NDArray

from understudy.comparison.evidence.engine import Engine

UNIT = "(unit >> 64)::UBIGINT AS unit_high, (unit & 18446744073709551615)::UBIGINT AS unit_low"
"""The halves of a unit's digest, as columns of a query."""
DAY = "datediff('day', DATE '1970-01-01', at_utc::DATE)::INTEGER AS day"


def read_ordered(
    engine: Engine, query: str, rows: int, columns: Mapping[str, DTypeLike]
) -> dict[str, NDArray[Any]]:
    """Return columns of a query by name, with `unit`: the number of each row's unit, from 0.

    Args:
        engine: that answers the query.
        query: with the columns, and those of `UNIT`, in whose order its rows are.
        rows: that it has.
        columns: the type of each column that is wanted.
    """
    found = {name: np.empty(rows, kind) for name, kind in columns.items()}
    unit = np.empty(rows, np.int32)
    before, number, start = (0, 0), -1, 0
    for batch in engine.batches(query):
        end = start + batch.num_rows
        for name, column in found.items():
            column[start:end] = batch[name].to_numpy(zero_copy_only=False)
        high, low = (batch[name].to_numpy() for name in ("unit_high", "unit_low"))
        is_new = (np.diff(high, prepend=high[:1]) != 0) | (np.diff(low, prepend=low[:1]) != 0)
        is_new[:1] = number < 0 or before != (int(high[0]), int(low[0]))
        unit[start:end] = number + np.cumsum(is_new)
        before, number, start = (int(high[-1]), int(low[-1])), int(unit[end - 1]), end
    return found | {"unit": unit}


def arrays_of(table: pa.Table) -> dict[str, NDArray[Any]]:
    """Return the columns of a table by name."""
    return {name: table[name].to_numpy() for name in table.column_names}
