"""Differences on many slices at once, with the rate of false discoveries held. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from math import sqrt

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
    slices: Iterable[Slice],
    differences: Floats,
    units: Units,
    *,
    is_against_rest: bool,
    confidence: float = 0.95,
) -> SliceFindings:
    """Test the mean difference of each slice with at least FEW_EFFECTIVE_UNITS effective units.

    The p-values are Student's with the jackknife's variance over units. They are adjusted by
    Benjamini and Yekutieli 2001, "The control of the false discovery rate in multiple testing under
    dependency": slices overlap and share units, and Benjamini and Hochberg's rate holds only for
    tests that are independent or positively dependent.

    Args:
        slices: of the rows, which are chosen one slice at a time if this is an iterator.
        differences: shadow minus champion per row, e.g. of losses, shape (n,).
        units: of the rows.
        is_against_rest: whether a slice is compared with the other rows, and not with 0.
        confidence: of each interval, and one minus the rate of false discoveries, in (0, 1).
    """
    found, count = [], 0
    for each in slices:
        count += 1
        rows = int(np.count_nonzero(each.chosen))
        if rows < FEW_EFFECTIVE_UNITS:
            continue
        estimate = _estimate(each.chosen, differences, units, is_against_rest=is_against_rest)
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


def _estimate(
    chosen: NDArray[np.bool_], differences: Floats, units: Units, *, is_against_rest: bool
) -> Estimate:
    if is_against_rest:

        def columns(rows: slice) -> tuple[Floats, ...]:
            part, values = chosen[rows], differences[rows]
            return part.astype(np.float64), part * values, values

        sums = units.sums(columns)
    else:
        sums = units.sums(lambda rows: (chosen[rows], chosen[rows] * differences[rows]))

    def mean(totals: Floats) -> Floats:
        inside = ratio(totals[..., 2], totals[..., 1])
        if not is_against_rest:
            return inside
        rows, values = totals[..., 0] - totals[..., 1], totals[..., 3] - totals[..., 2]
        return inside - ratio(values, rows)

    estimate = jackknife(sums, OfTotals(mean, lambda per_unit: per_unit[:, 1]))
    if not is_against_rest or estimate.value is None:
        return estimate
    # Units outside the slice move the difference too.
    whole = jackknife(sums, OfTotals(mean, lambda per_unit: per_unit[:, 0]))
    return replace(estimate, variance=whole.variance)


def _p_value(estimate: Estimate) -> float:
    if not estimate.variance or estimate.value is None:
        return 1.0 if not estimate.value else 0.0
    distance = abs(estimate.value) / sqrt(estimate.variance)
    return float(2 * special.stdtr(max(estimate.effective_units - 1, 1.0), -distance))
