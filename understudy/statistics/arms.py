"""Measures of two arms whose units were assigned by chance: by intention to treat. Pure.

A row counts for the arm to which its unit was assigned, whichever version answered, and with the
inverse of the chance of that arm when it was answered (Horvitz and Thompson 1952; as a ratio of
sums, Hajek 1971). So each arm stands for all units in all periods, although its weight changed, and
a shift of traffic between periods of different weights is no difference of arms.
"""

from collections.abc import Sequence
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


@dataclass(frozen=True, slots=True)
class OfBothArms:
    """A measure of each arm as a function of totals, of which the arms have columns of their own."""

    champion: OfTotals
    challenger: OfTotals


@dataclass(frozen=True, slots=True)
class ArmEstimates:
    """A measure of each arm, and challenger minus champion."""

    champion: Estimate
    challenger: Estimate
    difference: Estimate

    def moved(self, by: float) -> "ArmEstimates":
        """Return the estimates of both arms plus a constant."""
        return ArmEstimates(self.champion.moved(by), self.challenger.moved(by), self.difference)


def arm_estimates(sums: UnitSums, measures: Sequence[OfBothArms]) -> list[ArmEstimates]:
    """Estimate several measures of both arms from sums over units, weighted by inverse chance.

    The degrees of freedom of a difference are those of Welch and Satterthwaite, so that a small
    arm of few units is not hidden by a large one.
    """
    asked = [
        each
        for of in measures
        for each in (of.champion, of.challenger, difference_of(of.champion, of.challenger))
    ]
    found = jackknives(sums, asked)
    are_apart = _are_apart(sums, measures)
    return [
        _with_difference(*found[3 * place : 3 * place + 3], are_apart=are_apart[place])
        for place in range(len(measures))
    ]


def arm_mean(estimates: ArmEstimates, *, confidence: float) -> ArmMeasure:
    """Return a measure that is no share, e.g. a mean score, of both arms.

    Args:
        estimates: of the measure.
        confidence: coverage of each interval, in (0, 1).
    """
    one, two, difference = (
        number_of(each, interval_of(each, confidence=confidence))
        for each in (estimates.champion, estimates.challenger, estimates.difference)
    )
    return ArmMeasure(one, two, difference, estimates.difference)


def arm_share(
    estimates: ArmEstimates, *, rows: tuple[float, float], confidence: float
) -> ArmMeasure:
    """Return a share of rows, e.g. of degraded ones, of both arms.

    With few units, or without a variance, the interval of the difference is recovered from those
    of both shares.

    Args:
        estimates: of the share.
        rows: that the share of the champion's arm, and of the challenger's, is over.
        confidence: coverage of each interval, in (0, 1).
    """
    numbers, sides = [], []
    difference = estimates.difference
    for estimate, count in zip((estimates.champion, estimates.challenger), rows, strict=True):
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


def _are_apart(sums: UnitSums, measures: Sequence[OfBothArms]) -> list[bool]:
    """Return for each measure whether no unit counts in both arms."""
    are_apart = [True] * len(measures)
    for part in sums.parts():
        for place, of in enumerate(measures):
            if are_apart[place]:
                both = of.champion.movers(part) * of.challenger.movers(part)
                are_apart[place] = not both.any()
    return are_apart


def _with_difference(
    one: Estimate, two: Estimate, found: Estimate, *, are_apart: bool
) -> ArmEstimates:
    units = _welch_units(one, two)
    if found.value is None or units is None:
        why = next((each.why for each in (one, two) if each.why), found.why)
        return ArmEstimates(one, two, Estimate(found.value, None, 0.0, why))
    variance = found.variance
    if are_apart:
        variance = (one.variance or 0.0) + (two.variance or 0.0)
    return ArmEstimates(one, two, Estimate(found.value, variance, units, found.why))


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
