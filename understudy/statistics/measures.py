"""A number of each of two versions, and the difference, each with an interval or a reason. Pure."""

from dataclasses import dataclass

from understudy.statistics.intervals import (
    Interval,
    difference_interval,
    interval_of,
    share_interval,
)
from understudy.statistics.units import Estimate, Floats, OfTotals, UnitSums, jackknives

FEW_UNITS = 10  # effective: below, a variance of a difference of shares is not believed


@dataclass(frozen=True, slots=True)
class Number:
    """An estimate with a two-sided interval; where one is None, `why` has the reason."""

    estimate: float | None
    lower: float | None
    upper: float | None
    effective_units: float
    why: str = ""


@dataclass(frozen=True, slots=True)
class PairedMeasure:
    """One measure of both versions on the same rows; the difference is shadow minus champion."""

    champion: Number
    shadow: Number
    difference: Number
    estimate: Estimate  # of the difference, for intervals of other kinds


def paired_mean(
    sums: UnitSums,
    champion: OfTotals,
    shadow: OfTotals,
    *,
    confidence: float,
    centre: float = 0.0,
) -> PairedMeasure:
    """Return a measure that is no share, e.g. a mean score or a loss, of both versions.

    Args:
        sums: of columns over units.
        champion: the measure of the champion.
        shadow: the same of the shadow.
        confidence: coverage of each interval, in (0, 1).
        centre: a constant that was taken from the values of both, and is added to their means.
    """
    *about, difference = jackknives(sums, [champion, shadow, difference_of(champion, shadow)])
    both = [each.moved(centre) for each in about]
    numbers = [number_of(each, interval_of(each, confidence=confidence)) for each in both]
    interval = interval_of(difference, confidence=confidence)
    return PairedMeasure(numbers[0], numbers[1], number_of(difference, interval), difference)


def paired_share(
    sums: UnitSums, champion: OfTotals, shadow: OfTotals, *, confidence: float
) -> PairedMeasure:
    """Return a share of rows, e.g. recall, of both versions; the arguments of `paired_mean`.

    With few units, or without a variance, the interval of the difference is recovered from
    those of both shares.
    """
    numbers, intervals = [], []
    *both, difference = jackknives(sums, [champion, shadow, difference_of(champion, shadow)])
    for each, estimate in zip((champion, shadow), both, strict=True):
        rows = float(each.weights(sums.totals[None, :])[0])  # weights are sums of rows
        interval = share_interval(estimate, rows=rows, confidence=confidence)
        numbers.append(number_of(estimate, interval))
        intervals.append((estimate.value, interval))
    is_believed = difference.effective_units >= FEW_UNITS and bool(difference.variance)
    if is_believed:
        found = interval_of(difference, confidence=confidence)
    else:
        found = _recovered(*intervals)
    if found is not None:
        found = found.within(-1.0, 1.0)
    return PairedMeasure(numbers[0], numbers[1], number_of(difference, found), difference)


def number_of(estimate: Estimate, interval: Interval | None) -> Number:
    """Return the estimate with its interval."""
    if interval is None:
        return Number(estimate.value, None, None, estimate.effective_units, estimate.why)
    return Number(estimate.value, interval.lower, interval.upper, estimate.effective_units)


def difference_of(champion: OfTotals, shadow: OfTotals) -> OfTotals:
    """Return the measure shadow minus champion."""

    def difference(totals: Floats) -> Floats:
        return shadow.statistic(totals) - champion.statistic(totals)

    return OfTotals(
        difference,
        lambda sums: champion.weights(sums) + shadow.weights(sums),
        lambda sums: champion.movers(sums) + shadow.movers(sums),
    )


def _recovered(
    first: tuple[float | None, Interval | None], second: tuple[float | None, Interval | None]
) -> Interval | None:
    if first[0] is None or first[1] is None or second[0] is None or second[1] is None:
        return None
    return difference_interval((first[0], first[1]), (second[0], second[1]))
