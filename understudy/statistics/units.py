"""Uncertainty of numbers whose rows come from units: one unit left out at a time. Pure.

Rows of one unit (a user's requests, a request's candidates) are not independent of each other, so
they count as one draw. Every estimate here is a function of sums over units, and its variance is
the jackknife's over units: Tukey 1958, "Bias and confidence in not-quite large samples"; for
clusters MacKinnon, Nielsen and Webb 2023, "Fast and reliable jackknife and bootstrap methods for
cluster-robust inference", equation 4, with the estimate itself as the centre. Unlike variances
made of residuals, it holds where a few units have most of the rows, because it sees how far each
of them moves the estimate.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

MIN_UNITS = 2  # the least for a variance
FEW_EFFECTIVE_UNITS = 20  # below, an interval rests on a few units; a reader should know them
PART_ROWS = 65_536  # that are summed at a time: their columns stay in the cache of a CPU
_MOST_KEPT = 2**24  # sums, in 128 MiB
_DENSE = 4  # labels below this many times the rows are numbered by a table
_ROUNDING = 1e-9  # a difference of equal sums may miss 0 by less

Floats = NDArray[np.float64]
Labels = NDArray[np.integer[Any]]
Statistic = Callable[[Floats], Floats]
"""From totals, shape (..., k), to estimates, shape (...); NaN where it has no value."""
Columns = Callable[[slice], Sequence[NDArray[Any]]]
"""The columns that are summed, of some of the rows."""


@dataclass(frozen=True, eq=False)
class Units:
    """The units of n rows, numbered from 0."""

    of_row: Labels  # (n,)
    count: int

    @cached_property
    def is_ordered(self) -> bool:
        """True if the rows of each unit follow each other, in the order of the numbers."""
        return bool((self.of_row[1:] >= self.of_row[:-1]).all())

    @cached_property
    def rows(self) -> Floats:
        """The number of rows of each unit, shape (count,)."""
        return np.bincount(self.of_row, minlength=self.count).astype(np.float64)

    def weights(self, of_rows: Floats | None) -> Floats:
        """Return the weight of each unit: the sum over its rows, or their number without weights."""
        if of_rows is None:
            return self.rows
        return np.bincount(self.of_row, weights=of_rows, minlength=self.count).astype(np.float64)

    def sums(self, columns: Columns) -> "UnitSums":
        """Return the sums over units: column 0 has the rows, the others are those of `columns`."""
        if not self.is_ordered or self.of_row.size <= PART_ROWS:
            return UnitSums.of(self._sums_of(slice(0, self.of_row.size), columns))
        parts = self._parts(columns)
        kept: list[Floats] = []
        for part in parts:
            kept.append(part)
            if sum(map(np.size, kept)) > _MOST_KEPT:  # too many: they are made again for each use
                return UnitSums(lambda: self._parts(columns))
        return UnitSums(lambda: iter(kept))

    def _parts(self, columns: Columns) -> Iterator[Floats]:
        """Return the sums of some units at a time. A unit may begin in one part of the rows and
        end in a later one: its sums are carried on.
        """
        open_unit, carried = -1, None
        for start in range(0, self.of_row.size, PART_ROWS):
            rows = slice(start, min(start + PART_ROWS, self.of_row.size))
            sums, first = self._sums_of(rows, columns), int(self.of_row[start])
            if carried is not None and open_unit == first:
                sums[0] += carried
            elif carried is not None:
                yield carried[None, :]
            open_unit, carried = int(self.of_row[rows.stop - 1]), sums[-1].copy()
            if len(sums) > 1:
                yield sums[:-1]
        if carried is not None:
            yield carried[None, :]

    def _sums_of(self, rows: slice, columns: Columns) -> Floats:
        of_row = self.of_row[rows]
        if self.is_ordered and of_row.size:
            of_row = of_row - of_row[0]
            count = int(of_row[-1]) + 1
        else:
            count = self.count
        weights = [column.astype(np.float64, copy=False) for column in columns(rows)]
        sums = [np.bincount(of_row, weights=each, minlength=count) for each in (None, *weights)]
        return np.array(sums, dtype=np.float64).T  # each column in one piece


@dataclass(frozen=True, eq=False)
class UnitSums:
    """Sums of k columns over units, some units at a time, so that all need not fit into memory."""

    parts: Callable[[], Iterator[Floats]]  # each of shape (units of the part, k)

    @classmethod
    def of(cls, sums: Floats) -> "UnitSums":
        """Return the sums of all units, shape (units, k), as one part."""
        return cls(lambda: iter((sums,)))

    @cached_property
    def totals(self) -> Floats:
        """The sums over all units, shape (k,)."""
        found: Floats = np.sum([part.sum(axis=0) for part in self.parts()], axis=0)
        return found


@dataclass(frozen=True, slots=True)
class OfTotals:
    """A measure as a function of totals, and the weight of each unit in it, e.g. its rows.

    `weights` are taken from sums per unit, shape (units, k) to (units,). A measure that other units
    move too, because it is compared with them, has their weights as `moved_by`.
    """

    statistic: Statistic
    weights: Callable[[Floats], Floats]
    moved_by: Callable[[Floats], Floats] | None = None  # None: by units with a weight

    def movers(self, sums: Floats) -> Floats:
        """Return a number above 0 for each unit that moves the measure, shape (units,)."""
        return self.weights(sums) if self.moved_by is None else self.moved_by(sums)


def whole_units(units: Units) -> Iterator[tuple[slice, Labels, int]]:
    """Return all rows of some units at a time: the rows, the unit of each from 0, and the units.

    A unit with more than PART_ROWS rows is alone. Units that are not ordered are returned at once.
    """
    of_row = units.of_row
    if not units.is_ordered or of_row.size <= PART_ROWS:
        yield slice(0, of_row.size), of_row, units.count
        return
    start = 0
    while start < of_row.size:
        end = min(start + PART_ROWS, of_row.size)
        if end < of_row.size:
            cut = int(np.searchsorted(of_row, of_row[end]))
            end = cut if cut > start else int(np.searchsorted(of_row, of_row[end], side="right"))
        part = of_row[start:end] - of_row[start]
        yield slice(start, end), part, int(part[-1]) + 1
        start = end


def units_of(labels: NDArray[Any]) -> Units:
    """Number the units of rows.

    Args:
        labels: the unit of each row, shape (n,); equal labels are one unit.
    """
    if labels.size and labels.dtype.kind == "i":
        if (labels[1:] >= labels[:-1]).all():
            return _ordered(labels)
        lowest = int(labels.min())
        span = int(labels.max()) - lowest + 1
        if span <= _DENSE * labels.size:  # numbers such as the ranks of a query: no sort is needed
            return _numbered(labels.astype(np.int64) - lowest, span)
    distinct, of_row = np.unique(labels, return_inverse=True)
    return Units(of_row.astype(np.int64), distinct.size)


def _ordered(labels: Labels) -> Units:
    is_new = labels[1:] != labels[:-1]
    count = int(np.count_nonzero(is_new)) + 1
    if labels[0] == 0 and labels[-1] == count - 1:  # numbered already
        return Units(labels, count)
    of_row = np.zeros(labels.size, np.int32)
    np.cumsum(is_new, out=of_row[1:])
    return Units(of_row, count)


def _numbered(places: NDArray[np.int64], span: int) -> Units:
    is_there = np.zeros(span, dtype=np.bool_)
    is_there[places] = True
    count = int(np.count_nonzero(is_there))
    if count == span:
        return Units(places, span)
    return Units((np.cumsum(is_there) - 1)[places], count)


@dataclass(frozen=True, slots=True)
class Estimate:
    """A number and its variance. `variance` is None if it cannot be estimated: `why` has why."""

    value: float | None  # None: it has no value, e.g. a share of no rows
    variance: float | None
    effective_units: float
    why: str = ""

    def moved(self, by: float) -> "Estimate":
        """Return the estimate of the same plus a constant.

        A mean is estimated about a centre and moved back: far from 0 the moves of a mean are
        below the rounding of the mean itself.
        """
        return self if self.value is None else replace(self, value=self.value + by)


def dot(first: NDArray[Any], second: NDArray[Any]) -> float:
    """Return the sum of products, in the same order on all machines.

    Not of BLAS, whose threads add in another order on another number of CPUs, and wait for each
    other on busy ones.
    """
    return float(np.einsum("i,i->", first, second))


def effective_units(weights: Floats) -> float:
    """Return the number of equal units that would carry as much information as these.

    (sum w)^2 / sum w^2: Kish 1965, "Survey sampling", section 8.2. One unit with 80 % of the
    weight leaves 1.6, however many others there are.

    Args:
        weights: of each unit, shape (units,), not negative; 0 for a unit that adds nothing.
    """
    squares = dot(weights, weights)
    return float(weights.sum()) ** 2 / squares if squares > 0 else 0.0


def jackknife(sums: UnitSums, measure: OfTotals) -> Estimate:
    """Estimate a measure of the totals of `sums`, with the variance over units."""
    return jackknives(sums, [measure])[0]


def jackknives(sums: UnitSums, measures: Sequence[OfTotals]) -> list[Estimate]:
    """Estimate several measures of the totals of `sums`, in one pass over its parts."""
    totals = sums.totals
    moves = [Moves(float(each.statistic(totals[None, :])[0])) for each in measures]
    for part in sums.parts():
        for each, moved in zip(measures, moves, strict=True):
            is_used = each.movers(part) > 0
            used = part if is_used.all() else part[is_used]
            moved.add(each.statistic(totals - used), each.weights(part))
    return [each.estimate() for each in moves]


@dataclass(slots=True)
class Moves:
    """The moves of an estimate without each unit, gathered a part at a time."""

    value: float
    units: int = 0
    _squares: float = 0.0
    _weight: float = 0.0
    _squared_weight: float = 0.0

    def add(self, without: Floats, weights: Floats) -> None:
        """Add the estimate without each of some units, and the weights of these and of unused ones."""
        self.units += without.size
        moves = without - self.value
        self._squares += dot(moves, moves)
        self._weight += float(weights.sum())
        self._squared_weight += dot(weights, weights)

    @property
    def effective_units(self) -> float:
        return self._weight**2 / self._squared_weight if self._squared_weight > 0 else 0.0

    @property
    def variance(self) -> float:
        """(G - 1) / G times the sum of squared moves, for G units; NaN without a value."""
        return (self.units - 1) / self.units * self._squares if self.units else float("nan")

    def estimate(self) -> Estimate:
        effective = self.effective_units
        if not np.isfinite(self.value):
            return Estimate(None, None, effective, "no row that it could be computed from")
        if self.units < MIN_UNITS:
            return Estimate(self.value, None, effective, "all its rows are of one unit")
        if not np.isfinite(self.variance):
            return Estimate(self.value, None, effective, "without one of its units it has no value")
        return Estimate(self.value, self.variance, effective)


def ratio(numerator: Floats, denominator: Floats) -> Floats:
    """Return the quotient of two arrays; NaN where the denominator is not positive."""
    shape = np.broadcast(numerator, denominator).shape
    quotient: Floats = np.full(shape, np.nan)
    np.divide(numerator, denominator, out=quotient, where=denominator > _ROUNDING)
    return quotient
