"""Uncertainty of numbers whose rows come from units: one unit left out at a time. Pure.

Rows of one unit (a user's requests, a request's candidates) are not independent of each other, so
they count as one draw. Every estimate here is a function of sums over units, and its variance is
the jackknife's over units: Tukey 1958, "Bias and confidence in not-quite large samples"; for
clusters MacKinnon, Nielsen and Webb 2023, "Fast and reliable jackknife and bootstrap methods for
cluster-robust inference", equation 4, with the estimate itself as the centre. Unlike variances
made of residuals, it holds where a few units have most of the rows, because it sees how far each
of them moves the estimate.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

MIN_UNITS = 2  # the least for a variance
FEW_EFFECTIVE_UNITS = 20  # below, an interval rests on a few units; a reader should know them
_DENSE = 4  # labels below this many times the rows are numbered by a table
_ROUNDING = 1e-9  # a difference of equal sums may miss 0 by less

Floats = NDArray[np.float64]
Statistic = Callable[[Floats], Floats]
"""From totals, shape (..., k), to estimates, shape (...); NaN where it has no value."""


@dataclass(frozen=True, eq=False)
class Units:
    """The units of n rows, numbered from 0."""

    of_row: NDArray[np.int64]  # (n,)
    count: int

    @cached_property
    def rows(self) -> Floats:
        """The number of rows of each unit, shape (count,)."""
        return np.bincount(self.of_row, minlength=self.count).astype(np.float64)

    def sums(self, *columns: NDArray[np.generic]) -> Floats:
        """Return the sums of k columns, each of shape (n,), over units: shape (count, k)."""
        return np.column_stack(
            [
                np.bincount(self.of_row, weights=column.astype(np.float64), minlength=self.count)
                for column in columns
            ]
        )


def units_of(labels: NDArray[np.generic]) -> Units:
    """Number the units of rows.

    Args:
        labels: the unit of each row, shape (n,); equal labels are one unit.
    """
    if labels.size and labels.dtype.kind == "i":
        lowest = int(labels.min())
        span = int(labels.max()) - lowest + 1
        if span <= _DENSE * labels.size:  # numbers such as the ranks of a query: no sort is needed
            return _numbered(labels.astype(np.int64) - lowest, span)
    distinct, of_row = np.unique(labels, return_inverse=True)
    return Units(of_row.astype(np.int64), distinct.size)


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


def effective_units(weights: Floats) -> float:
    """Return the number of equal units that would carry as much information as these.

    (sum w)^2 / sum w^2: Kish 1965, "Survey sampling", section 8.2. One unit with 80 % of the
    weight leaves 1.6, however many others there are.

    Args:
        weights: of each unit, shape (units,), not negative; 0 for a unit that adds nothing.
    """
    squares = float(weights @ weights)
    return float(weights.sum()) ** 2 / squares if squares > 0 else 0.0


def jackknife(sums: Floats, statistic: Statistic, *, weights: Floats) -> Estimate:
    """Estimate `statistic` of the totals of `sums`, with the variance over units.

    Args:
        sums: per unit, shape (units, k).
        statistic: of totals.
        weights: of each unit in the estimate, shape (units,), e.g. its rows.
    """
    totals = sums.sum(axis=0)
    value = float(statistic(totals[None, :])[0])
    effective = effective_units(weights)
    if not np.isfinite(value):
        return Estimate(None, None, effective, "no row that it could be computed from")
    is_used = weights > 0
    count = int(np.count_nonzero(is_used))
    if count < MIN_UNITS:
        return Estimate(value, None, effective, "all its rows are of one unit")
    without = statistic(totals - sums[is_used])
    if not np.isfinite(without).all():
        return Estimate(value, None, effective, "without one of its units it has no value")
    return Estimate(value, jackknife_variance(value, without), effective)


def jackknife_variance(value: float, without: Floats) -> float:
    """Return (G - 1) / G times the sum of squared moves of an estimate.

    Args:
        value: the estimate.
        without: the estimate without each of the G units, shape (G,).
    """
    moves = without - value
    return (without.size - 1) / without.size * float(moves @ moves)


def ratio(numerator: Floats, denominator: Floats) -> Floats:
    """Return the quotient of two arrays; NaN where the denominator is not positive."""
    shape = np.broadcast(numerator, denominator).shape
    quotient: Floats = np.full(shape, np.nan)
    np.divide(numerator, denominator, out=quotient, where=denominator > _ROUNDING)
    return quotient
