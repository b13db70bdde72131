"""The slices of rows by the values of columns: declared ones, and those that a search adds. Pure."""

from collections.abc import Iterator, Mapping
from itertools import combinations, pairwise

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from understudy.statistics.slices import Slice
from understudy.statistics.units import Floats

MOST_VALUES = 20  # of a column; rarer values are no slices of their own
ABSENT = "absent"  # the value of rows without one
_PARTS = 4  # of a column of numbers with more values
_SCORE_PARTS = 5

Codes = tuple[NDArray[np.int64], tuple[str, ...]]  # index of each row's value (-1: rare), values


def codes_of(column: pa.Array | pa.ChunkedArray) -> Codes:
    """Return the value of each row; numbers with many values are cut at their quartiles."""
    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks()
    distinct = len(pc.unique(column))
    if _is_number(column.type) and distinct > MOST_VALUES:
        numbers = pc.cast(column, pa.float64()).to_numpy(zero_copy_only=False)
        return _cut(numbers, _PARTS)
    texts = pc.fill_null(pc.cast(column, pa.string()), ABSENT)
    counted = sorted(
        ((row["values"], row["counts"]) for row in pc.value_counts(texts).to_pylist()),
        key=lambda pair: (-pair[1], pair[0]),
    )
    values = tuple(value for value, _ in counted[:MOST_VALUES])
    places = pc.fill_null(pc.index_in(texts, value_set=pa.array(values, pa.string())), -1)
    return places.to_numpy(zero_copy_only=False).astype(np.int64), values


def declared_slices(columns: Mapping[str, Codes]) -> list[Slice]:
    """Return a slice per column and value."""
    return [
        Slice(name, value, places == at)
        for name, (places, values) in columns.items()
        for at, value in enumerate(values)
        if (places == at).any()
    ]


def found_slices(columns: Mapping[str, Codes], scores: tuple[Floats, Floats]) -> list[Slice]:
    """Return fifths of the mean of both scores, and each pair of values of two columns.

    Not of one version's score: rows that are chosen by it are those on which its own noise is large,
    so that equal versions would differ at both ends (Bland and Altman 1995, "Comparing methods of
    measurement: why plotting difference against standard method is misleading").
    """
    mean = (scores[0] + scores[1]) / 2
    return [*declared_slices({"mean of both scores": _cut(mean, _SCORE_PARTS)}), *_pairs(columns)]


def _pairs(columns: Mapping[str, Codes]) -> Iterator[Slice]:
    for one, two in combinations(columns, 2):
        (places, values), (others, other_values) = columns[one], columns[two]
        for at, value in enumerate(values):
            for other_at, other in enumerate(other_values):
                chosen = (places == at) & (others == other_at)
                if chosen.any():
                    yield Slice(f"{one}, {two}", f"{value}, {other}", chosen)


def _is_number(kind: pa.DataType) -> bool:
    return bool(
        pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)
    )


def _cut(numbers: Floats, parts: int) -> Codes:
    is_known = np.isfinite(numbers)
    if not is_known.any():
        return np.zeros(numbers.size, np.int64), (ABSENT,)
    edges = np.unique(np.quantile(numbers[is_known], np.linspace(0, 1, parts + 1)))
    inner = edges[1:-1]
    places = np.where(is_known, np.searchsorted(inner, numbers, side="right"), inner.size + 1)
    ends = [f"{edges[0]:.6g}", *(f"{edge:.6g}" for edge in inner), f"{edges[-1]:.6g}"]
    values = [f"{low} to {high}" for low, high in pairwise(ends)]
    return places.astype(np.int64), (*values, ABSENT)
