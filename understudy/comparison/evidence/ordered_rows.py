"""Columns of rows that are ordered by unit, read a part at a time into their final arrays."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import DTypeLike, NDArray

from understudy.comparison.decisions.sorted_ranges import sorted_ranges
from understudy.comparison.evidence.engine import Engine

UNIT = "(unit >> 64)::UBIGINT AS unit_high, (unit & 18446744073709551615)::UBIGINT AS unit_low"
"""The halves of a unit's digest, as columns of a query."""
DAY = "datediff('day', DATE '1970-01-01', at_utc::DATE)::INTEGER AS day"
IN_RANGE = """unit BETWEEN $first_unit::UHUGEINT AND $last_unit::UHUGEINT
          AND id BETWEEN $first_id::UHUGEINT AND $last_id::UHUGEINT"""
"""The condition of the rows that are sorted together."""
BY_UNIT = "ORDER BY unit, id, use, candidate"
_MOST_SORTED_ROWS = 1_500_000


def ordered_batches(
    engine: Engine, query: str, table: str, rows: int, *, most_rows: int = _MOST_SORTED_ROWS
) -> Iterator[pa.RecordBatch]:
    """Yield the rows of a query in the order of `BY_UNIT`, a part at a time.

    Args:
        engine: that answers the query, and sorts a range of the rows at a time.
        query: of the rows in `table` that are `IN_RANGE`, in that order.
        table: with the columns `unit` and `id`, or a query of such a table in brackets.
        rows: of the table.
        most_rows: that are sorted at a time, about.
    """
    heavy = {}
    if rows > most_rows:
        found = engine.rows(_HEAVY.replace("TABLE", table), {"most": most_rows})
        heavy = {int(each["unit"]): each["rows"] for each in found}
    for part in sorted_ranges(rows, heavy, most_rows):
        yield from engine.batches(query, part.parameters)


def read_ordered(
    engine: Engine, query: str, table: str, rows: int, columns: Mapping[str, DTypeLike]
) -> dict[str, NDArray[Any]]:
    """Return columns of a query by name, with `unit`: the number of each row's unit, from 0.

    Args:
        engine: see `ordered_batches`.
        query: see `ordered_batches`; with the columns, and those of `UNIT`.
        table: see `ordered_batches`.
        rows: of the table.
        columns: the type of each column that is wanted.
    """
    found = {name: np.empty(rows, kind) for name, kind in columns.items()}
    unit = np.empty(rows, np.int32)
    before, number, start = (0, 0), -1, 0
    for batch in ordered_batches(engine, query, table, rows):
        end = start + batch.num_rows
        for name, column in found.items():
            column[start:end] = batch[name].to_numpy(zero_copy_only=False)
        high, low = (batch[name].to_numpy() for name in ("unit_high", "unit_low"))
        is_new = (np.diff(high, prepend=high[:1]) != 0) | (np.diff(low, prepend=low[:1]) != 0)
        is_new[:1] = number < 0 or before != (int(high[0]), int(low[0]))
        unit[start:end] = number + np.cumsum(is_new)
        before, number, start = (int(high[-1]), int(low[-1])), int(unit[end - 1]), end
    return found | {"unit": unit}


_HEAVY = """
    SELECT unit::VARCHAR AS unit, count(*) AS rows FROM TABLE GROUP BY unit HAVING count(*) > $most
"""


def arrays_of(table: pa.Table) -> dict[str, NDArray[Any]]:
    """Return the columns of a table by name."""
    return {name: table[name].to_numpy() for name in table.column_names}
