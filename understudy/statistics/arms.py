"""Measures of two arms whose units were assigned by chance: by intention to treat. Pure.

A row counts for the arm to which its unit was assigned, whichever version answered, and with the
inverse of the chance of that arm when it was answered (Horvitz and Thompson 1952; as a ratio of
sums, Hajek 1971). So each arm stands for all units in all periods, although its weight changed, and
a shift of traffic between periods of different weights is no difference of arms.
"""

from dataclasses import dataclass

from understudy.statistics.intervals import (
    Interval,
    difference_interval,
    interval_of,
    share_interval,
)
from understudy.statistics.measures import FEW_UNITS, Number, difference_of, number_of
from understudy.statistics.units import Estimate, OfTotals, UnitSums, jackknives


@dataclass(frozen=True, slots=True)
class ArmMeasure:
    """One measure of both arms; the difference is challenger minus champion."""

    champion: Number
    challenger: Number
    difference: Number
    estimate: Estimate  # of the difference, for intervals of other kinds


def arm_mean(
    sums: UnitSums, champion: OfTotals, challenger: OfTotals, *, confidence: float
) -> ArmMeasure:
    """Return a measure that is no share, e.g. a mean score, of both arms.

    The degrees of freedom of the difference are those of Welch and Satterthwaite, so that a small
    arm of few units is not hidden by a large one.

    Args:
        sums: of columns over units, weighted by inverse chance.
        champion: the measure of the champion's arm.
        challenger: the same of the challenger's.
        confidence: coverage of each interval, in (0, 1).
    """
    *estimates, difference = _estimates(sums, champion, challenger)
    one, two = (number_of(each, interval_of(each, confidence=confidence)) for each in estimates)
    interval = interval_of(difference, confidence=confidence)
    return ArmMeasure(one, two, number_of(difference, interval), difference)


def arm_share(
    sums: UnitSums,
    champion: OfTotals,
    challenger: OfTotals,
    *,
    rows: tuple[float, float],
    confidence: float,
) -> ArmMeasure:
    """Return a share of rows, e.g. of degraded ones, of both arms; the arguments of `arm_mean`.

    `rows` are those that the share of the champion's arm, and of the challenger's, is over. With
    few units, or without a variance, the interval of the difference is recovered from those of
    both shares.
    """
    numbers, sides = [], []
    *estimates, difference = _estimates(sums, champion, challenger)
    for estimate, count in zip(estimates, rows, strict=True):
        interval = share_interval(estimate, rows=count, confidence=confidence)
        numbers.append(number_of(estimate, interval))
        sides.append((estimate.value, interval))
    found = interval_of(difference, confidence=confidence)
    if difference.effective_units < FEW_UNITS or not difference.variance:
        (one, of_one), (two, of_two) = sides
        found = None
        if one is not None and two is not None and of_one is not None and of_two is not None:
            found = difference_interval((one, of_one), (two, of_two))
    if found is not None:
        found = found.within(-1.0, 1.0)
    return ArmMeasure(numbers[0], numbers[1], number_of(difference, found), difference)


def arm_auc(champion: tuple[Estimate, Number], challenger: tuple[Estimate, Number]) -> ArmMeasure:
    """Return the areas of both arms, whose rows are of different units, and the difference.

    Its interval is recovered from those of the areas.
    """
    (one, of_one), (two, of_two) = champion, challenger
    units = _welch_units(one, two)
    if one.value is None or two.value is None or units is None:
        why = one.why or two.why
        return ArmMeasure(of_one, of_two, Number(None, None, None, 0.0, why), one)
    variance = (one.variance or 0.0) + (two.variance or 0.0)
    estimate = Estimate(two.value - one.value, variance, units)
    sides = [
        Interval(each.lower, each.upper)
        for each in (of_one, of_two)
        if each.lower is not None and each.upper is not None
    ]
    found = difference_interval((one.value, sides[0]), (two.value, sides[1]))
    return ArmMeasure(of_one, of_two, number_of(estimate, found), estimate)


def _estimates(
    sums: UnitSums, champion: OfTotals, challenger: OfTotals
) -> tuple[Estimate, Estimate, Estimate]:
    """Return the measure of both arms, and the difference."""
    measures = [champion, challenger, difference_of(champion, challenger)]
    one, two, found = jackknives(sums, measures)
    units = _welch_units(one, two)
    if found.value is None or units is None:
        why = next((each.why for each in (one, two) if each.why), found.why)
        return one, two, Estimate(found.value, None, 0.0, why)
    variance = found.variance
    if not any(
        (champion.weights(part) * challenger.weights(part)).any() for part in sums.parts()
    ):  # no unit changed its arm
        variance = (one.variance or 0.0) + (two.variance or 0.0)
    return one, two, Estimate(found.value, variance, units, found.why)


def _welch_units(one: Estimate, two: Estimate) -> float | None:
    """Return the degrees of freedom of a difference of both, plus one; None without a variance."""
    if one.variance is None or two.variance is None:
        return None
    total = one.variance + two.variance
    if total == 0:
        return min(one.effective_units, two.effective_units)
    spent = sum(
        each.variance**2 / max(each.effective_units - 1, 1e-9)
        for each in (one, two)
        if each.variance
    )
    return total**2 / spent + 1
