"""Differences on many slices at once, with the rate of false discoveries held. Pure."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from math import sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import special, stats

from understudy.statistics.intervals import interval_of
from understudy.statistics.measures import Number, number_of
from understudy.statistics.units import (
    FEW_EFFECTIVE_UNITS,
    Estimate,
    Floats,
    OfTotals,
    Units,
    jackknife,
    ratio,
)


@dataclass(frozen=True, slots=True, eq=False)
class Slice:
    """Some of the rows, by a value of a column or of two."""

    column: str
    value: str
    chosen: NDArray[np.bool_]  # (n,)


OfSlice = Callable[[NDArray[np.bool_]], Estimate]
"""From the rows of a slice to the difference on it; without a variance it is not tested."""


@dataclass(frozen=True, slots=True)
class SliceFinding:
    """A difference of the versions on one slice."""

    column: str
    value: str
    rows: int
    difference: Number
    p_value: float  # of no difference, two-sided, for this slice alone
    adjusted_p: float = 1.0  # the rate of false discoveries at which it would be one
    is_shown: bool = False  # `adjusted_p` is at most 1 - confidence


@dataclass(frozen=True, slots=True)
class SliceFindings:
    """The slices that were large enough, the most certain first, and the number of the others."""

    findings: tuple[SliceFinding, ...]
    too_small: int


def find_differences(
    slices: Iterable[Slice], of_slice: OfSlice, *, confidence: float = 0.95
) -> SliceFindings:
    """Test the difference on each slice with at least FEW_EFFECTIVE_UNITS effective units.

    The p-values are Student's with the jackknife's variance over units. They are adjusted by
    Benjamini and Yekutieli 2001, "The control of the false discovery rate in multiple testing under
    dependency": slices overlap and share units, and Benjamini and Hochberg's rate holds only for
    tests that are independent or positively dependent.

    Args:
        slices: of the rows, which are chosen one slice at a time if this is an iterator.
        of_slice: the difference on a slice.
        confidence: of each interval, and one minus the rate of false discoveries, in (0, 1).
    """
    found, count = [], 0
    for each in slices:
        count += 1
        rows = int(np.count_nonzero(each.chosen))
        if rows < FEW_EFFECTIVE_UNITS:
            continue
        estimate = of_slice(each.chosen)
        if estimate.effective_units < FEW_EFFECTIVE_UNITS or estimate.variance is None:
            continue
        p_value = _p_value(estimate)
        number = number_of(estimate, interval_of(estimate, confidence=confidence))
        found.append(SliceFinding(each.column, each.value, rows, number, p_value))
    if not found:
        return SliceFindings((), count)
    adjusted = stats.false_discovery_control([each.p_value for each in found], method="by")
    judged = [
        replace(each, adjusted_p=float(p), is_shown=bool(p <= 1 - confidence))
        for each, p in zip(found, adjusted, strict=True)
    ]
    ordered = sorted(judged, key=lambda each: (each.p_value, each.column, each.value))
    return SliceFindings(tuple(ordered), count - len(found))


def paired_difference(differences: Floats, units: Units, *, is_against_rest: bool) -> OfSlice:
    """Return the mean difference on a slice of paired rows.

    Args:
        differences: shadow minus champion per row, e.g. of losses, shape (n,).
        units: of the rows.
        is_against_rest: whether a slice is compared with the other rows, and not with 0.
    """

    def of_slice(chosen: NDArray[np.bool_]) -> Estimate:
        def columns(rows: slice) -> tuple[NDArray[Any], ...]:
            part, values = chosen[rows], differences[rows]
            return (part, part * values, values) if is_against_rest else (part, part * values)

        return jackknife(units.sums(columns), _AGAINST_REST if is_against_rest else _INSIDE)

    return of_slice


def inside_minus_rest(rows: Floats, inside: Floats, value_inside: Floats, value: Floats) -> Floats:
    """Return the mean of a value in a slice less that in the other rows, from totals of each."""
    return ratio(value_inside, inside) - ratio(value - value_inside, rows - inside)


# Of sums over units: rows, those of the slice, their values, and all values.
_INSIDE = OfTotals(lambda totals: ratio(totals[..., 2], totals[..., 1]), lambda sums: sums[:, 1])
_AGAINST_REST = OfTotals(
    lambda totals: inside_minus_rest(*np.moveaxis(totals, -1, 0)),
    lambda sums: sums[:, 1],
    moved_by=lambda sums: sums[:, 0],  # units outside of the slice move the difference too
)


def _p_value(estimate: Estimate) -> float:
    if not estimate.variance or estimate.value is None:
        return 1.0 if not estimate.value else 0.0
    distance = abs(estimate.value) / sqrt(estimate.variance)
    return float(2 * special.stdtr(max(estimate.effective_units - 1, 1.0), -distance))
