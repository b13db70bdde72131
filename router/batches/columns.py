"""Works to columns: one value per row, also where a work has many rows."""

from collections.abc import Callable, Sequence
from itertools import repeat

from router.work import Work


def per_row(works: Sequence[Work], value_of: Callable[[Work], str]) -> list[str]:
    """Return the value of each row's work."""
    rows: list[str] = []
    for work in works:
        if work.candidates is None:
            rows.append(value_of(work))
        else:
            rows += repeat(value_of(work), work.rows)
    return rows


def candidate_ids_of(works: Sequence[Work]) -> list[str] | None:
    """Return the candidate id of each row ("" for single units); None when there are none."""
    if all(work.candidates is None for work in works):
        return None
    rows: list[str] = []
    for work in works:
        rows += [""] if work.candidates is None else work.candidates.ids
    return rows
