"""The slices of rows by the values of columns: declared ones, and those that a search adds. Pure.

A row has a place in each column: of its value, or of the part of the numbers that it is in. Places
take a byte each, and the rows of a slice are chosen only while it is tested.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise
from typing import assert_never

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from understudy.statistics.slices import Slice
from understudy.statistics.units import PART_ROWS, Floats

MOST_VALUES = 20  # of a column; rarer values are no slices of their own
ABSENT = "absent"  # the value of rows without one
PARTS = 4  # of a column of numbers with more values
_SCORE_PARTS = 5

Places = NDArray[np.int8]
Codes = tuple[Places, tuple[str, ...]]  # of each row (-1: a rare value), and their names


@dataclass(frozen=True, slots=True)
class ByValue:
    """A column whose slices are its values, the most frequent first."""

    values: tuple[str, ...]

    @property
    def names(self) -> tuple[str, ...]:
        return self.values


@dataclass(frozen=True, slots=True)
class ByPart:
    """A column of numbers that is cut at quantiles; numbers that are not finite are absent."""

    edges: tuple[float, ...]  # ascending, each once; none: no number is finite

    @property
    def names(self) -> tuple[str, ...]:
        if not self.edges:
            return (ABSENT,)
        ends = [self.edges[0], *self.edges[1:-1], self.edges[-1]]
        return (*(f"{low:.6g} to {high:.6g}" for low, high in pairwise(ends)), ABSENT)


Cut = ByValue | ByPart


def is_number(kind: pa.DataType) -> bool:
    """Return whether values of the type can be cut at quantiles."""
    return bool(
        pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)
    )


def by_part(quantiles: Sequence[float]) -> ByPart:
    """Return the cut at quantiles of the finite numbers of a column; repeated ones are one."""
    return ByPart(tuple(sorted(set(quantiles))))


def places_of(column: pa.Array | NDArray[np.float64], cut: Cut) -> Places:
    """Return the places of rows in a column.

    Args:
        column: texts without nulls for `ByValue`, float64 for `ByPart`, where NaN is absent.
        cut: of the column.
    """
    match cut:
        case ByValue():
            indices = pc.index_in(column, value_set=pa.array(cut.values, pa.string()))
            found: NDArray[np.int32] = pc.fill_null(indices, -1).to_numpy(zero_copy_only=False)
        case ByPart():
            numbers = np.asarray(column)
            inner = np.array(cut.edges[1:-1])
            absent = len(cut.names) - 1
            sorted_in = np.searchsorted(inner, numbers, side="right")
            found = np.where(np.isfinite(numbers), sorted_in, absent).astype(np.int32)
        case _:
            assert_never(cut)
    return found.astype(np.int8)


def declared_slices(columns: Mapping[str, Codes]) -> Iterator[Slice]:
    """Yield a slice per column and value."""
    for name, (places, values) in columns.items():
        there = np.unique(places)
        for at, value in enumerate(values):
            if at in there:
                yield Slice(name, value, places == at)


def slices_of_scores(scores: tuple[Floats, Floats]) -> Iterator[Slice]:
    """Yield fifths of the mean of both scores.

    Not of one version's score: rows that are chosen by it are those on which its own noise is large,
    so that equal versions would differ at both ends (Bland and Altman 1995, "Comparing methods of
    measurement: why plotting difference against standard method is misleading").
    """
    mean = (scores[0] + scores[1]) / 2
    cut = by_part(np.quantile(mean, np.linspace(0, 1, _SCORE_PARTS + 1)).tolist())
    yield from declared_slices({"mean of both scores": (places_of(mean, cut), cut.names)})


def slices_of_pairs(columns: Mapping[str, Codes]) -> Iterator[Slice]:
    """Yield each pair of values of two columns that has rows."""
    for one, two in combinations(columns, 2):
        (places, values), (others, other_values) = columns[one], columns[two]
        rows = _rows_of_pairs(places, others)
        for at, value in enumerate(values):
            for other_at, other in enumerate(other_values):
                if rows[at, other_at]:
                    chosen = (places == at) & (others == other_at)
                    yield Slice(f"{one}, {two}", f"{value}, {other}", chosen)


def _rows_of_pairs(places: Places, others: Places) -> NDArray[np.int64]:
    """Return the rows at each place of both columns; the last row and column are rare values."""
    size = MOST_VALUES + 1
    rows = np.zeros(size * size, np.int64)
    for start in range(0, places.size, PART_ROWS):
        part = slice(start, start + PART_ROWS)
        cells = (places[part] % size).astype(np.int64) * size + others[part] % size
        rows += np.bincount(cells, minlength=rows.size)
    return rows.reshape(size, size)
