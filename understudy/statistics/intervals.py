"""Intervals of estimates, at one look or at all looks together. Pure."""

from dataclasses import dataclass
from math import log, sqrt

from scipy import special

from understudy.statistics.units import Estimate


@dataclass(frozen=True, slots=True)
class Interval:
    """A two-sided interval, in the unit of its estimate."""

    lower: float
    upper: float

    def within(self, lower: float, upper: float) -> "Interval":
        """Return the part of the interval in a range, e.g. that of a share."""
        return Interval(max(self.lower, lower), min(self.upper, upper))


def interval_of(estimate: Estimate, *, confidence: float) -> Interval | None:
    """Return Student's interval; None if the estimate has no variance.

    The degrees of freedom are the effective units less one, at least one: Carter, Schnepel and
    Steigerwald 2017, "Asymptotic behavior of a t-test robust to cluster heterogeneity", for
    units whose rows are alike.

    Args:
        estimate: with its variance and units.
        confidence: coverage of the interval, in (0, 1).
    """
    if estimate.value is None or estimate.variance is None:
        return None
    degrees = max(estimate.effective_units - 1, 1.0)
    margin = float(special.stdtrit(degrees, (1 + confidence) / 2)) * sqrt(estimate.variance)
    return Interval(estimate.value - margin, estimate.value + margin)


def anytime_interval(estimate: Estimate, *, confidence: float, scale: float) -> Interval | None:
    """Return an interval that holds at every look together, however often one looks.

    The two-sided normal mixture in the information I = 1 / variance, with rho = 1 / scale^2:
    estimate +- sqrt((1 + rho / I) / I * ln((1 + I / rho) / alpha^2)). Robbins 1970, "Statistical
    methods related to the law of the iterated logarithm"; Howard, Ramdas, McAuliffe and Sekhon
    2021, "Time-uniform, nonparametric, nonasymptotic confidence sequences", equation 14;
    asymptotic for estimates by Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas 2024,
    "Time-uniform central limit theory".

    Args:
        estimate: with its variance.
        confidence: coverage at all looks together, in (0, 1).
        scale: the size of the effects for which the interval shall be narrowest, above 0, in the
            unit of the estimate.
    """
    if estimate.value is None or estimate.variance is None:
        return None
    if estimate.variance == 0:
        return Interval(estimate.value, estimate.value)
    information, rho = 1 / estimate.variance, 1 / scale**2
    spread = log((1 + information / rho) / (1 - confidence) ** 2)
    margin = sqrt((1 + rho / information) / information * spread)
    return Interval(estimate.value - margin, estimate.value + margin)


def share_interval(estimate: Estimate, *, rows: float, confidence: float) -> Interval | None:
    """Return the interval of a share of rows; it holds near 0 and 1 as well.

    Korn and Graubard 1998, "Confidence intervals for proportions with small expected number of
    positive counts estimated from survey data": the exact interval of Clopper and Pearson 1934
    at the effective number of rows p (1 - p) / variance, at most n, scaled by the squared ratio
    of Student's quantiles for n and for the units. Where no row or every row counts, and so no
    variance is known, each effective unit counts as one row.

    Args:
        estimate: of the share, in [0, 1].
        rows: n, above 0.
        confidence: coverage of the interval, in (0, 1).
    """
    if estimate.value is None:
        return None
    share = estimate.value
    spread = share * (1 - share)
    if spread <= 0:
        trials = min(rows, estimate.effective_units)
    elif estimate.variance is None:
        return None
    else:
        trials = min(rows, spread / estimate.variance) if estimate.variance > 0 else rows
        trials *= _quantile_ratio(rows, estimate.effective_units, confidence)
    return exact_interval(share, trials, confidence=confidence)


def exact_interval(share: float, trials: float, *, confidence: float) -> Interval:
    """Return the interval of Clopper and Pearson 1934 for `share` of `trials`.

    An effective number of trials need not be an integer, and is above 0.
    """
    tail = (1 - confidence) / 2
    hits, misses = share * trials, (1 - share) * trials
    lower = float(special.betaincinv(hits, misses + 1, tail)) if hits > 0 else 0.0
    upper = float(special.betaincinv(hits + 1, misses, 1 - tail)) if misses > 0 else 1.0
    return Interval(lower, upper)


def difference_interval(first: tuple[float, Interval], second: tuple[float, Interval]) -> Interval:
    """Return the interval of second minus first from an interval of each.

    The method of variance estimates recovery for independent estimates: Zou and Donner 2008,
    "Construction of confidence limits about effect measures". Estimates from the same rows are
    positively correlated, so the interval is wider than necessary, never too narrow.
    """
    (one, of_one), (two, of_two) = first, second
    difference = two - one
    below = sqrt((two - of_two.lower) ** 2 + (of_one.upper - one) ** 2)
    above = sqrt((of_two.upper - two) ** 2 + (one - of_one.lower) ** 2)
    return Interval(difference - below, difference + above)


def _quantile_ratio(rows: float, units: float, confidence: float) -> float:
    tail = (1 + confidence) / 2
    of_rows = float(special.stdtrit(max(rows - 1, 1.0), tail))
    return (of_rows / float(special.stdtrit(max(units - 1, 1.0), tail))) ** 2
