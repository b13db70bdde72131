"""Ranking quality: the area under the ROC curve, and its difference between two versions. Pure."""

from dataclasses import dataclass
from math import sqrt
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, stats

from understudy.statistics.intervals import Interval, difference_interval, interval_of
from understudy.statistics.measures import Number, number_of
from understudy.statistics.units import (
    MIN_UNITS,
    Estimate,
    Floats,
    Units,
    effective_units,
    jackknife_variance,
    ratio,
    units_of,
)

FEW_IN_CLASS = 10  # effective units: below, a variance of the difference is not believed

AucMethod = Literal["jackknife", "recovery"]
_TINY = 1e-12  # distance from 0 and 1


@dataclass(frozen=True, slots=True)
class AucComparison:
    """Both versions on the same labelled rows; `difference` is shadow minus champion."""

    champion: Number
    shadow: Number
    difference: Number
    areas: tuple[float, float]
    estimate: Estimate  # of the difference
    method: AucMethod  # of the interval of the difference; "recovery" for few rows of a class
    positives: int
    negatives: int


def compare_auc(
    labels: NDArray[np.bool_],
    champion: NDArray[np.float64],
    shadow: NDArray[np.float64],
    *,
    clusters: NDArray[np.int64],
    confidence: float = 0.95,
) -> AucComparison:
    """Estimate both areas and their difference, for rows of units.

    Variances are those of the jackknife over units, exact and in O(n log n) from midranks; with
    one row per unit they are DeLong's (DeLong, DeLong and Clarke-Pearson 1988, "Comparing the
    areas under two or more correlated receiver operating characteristic curves") but for terms
    of the order 1/n. Intervals of the areas are pseudo-score intervals, which also hold for few
    positives and perfect rankings (`area_interval`). That of the difference is Student's; with
    fewer than FEW_IN_CLASS effective units in a class, or with no variance, it is recovered from
    the intervals of both areas (`difference_interval`).

    Args:
        labels: true class per row, shape (n,).
        champion: score per row, shape (n,), finite.
        shadow: the same rows in the same order, shape (n,), finite.
        clusters: label of each row's unit, shape (n,).
        confidence: coverage of the intervals, in (0, 1).

    Raises:
        ValueError: the shapes differ, or a class has rows of fewer than two units.
    """
    if not labels.shape == champion.shape == shadow.shape == clusters.shape:
        raise ValueError(
            f"expected equal shapes, got {labels.shape}, {champion.shape}, {shadow.shape}"
        )
    if not can_compare_auc(labels, clusters):
        raise ValueError(f"expected rows of {MIN_UNITS} clusters in each class")
    units = units_of(clusters)
    one, two = (_area(labels, scores, units, confidence) for scores in (champion, shadow))
    value = two.value - one.value
    variance = jackknife_variance(value, two.without - one.without)
    estimate = Estimate(value, variance, one.effective_units)
    method: AucMethod = "jackknife"
    interval = interval_of(estimate, confidence=confidence)
    if interval is None or estimate.effective_units < FEW_IN_CLASS or not variance:
        method = "recovery"
        interval = difference_interval((one.value, one.interval), (two.value, two.interval))
    return AucComparison(
        champion=one.as_number(),
        shadow=two.as_number(),
        difference=number_of(estimate, interval),
        areas=(one.value, two.value),
        estimate=estimate,
        method=method,
        positives=int(labels.sum()),
        negatives=int((~labels).sum()),
    )


def auc_of(
    labels: NDArray[np.bool_],
    scores: NDArray[np.float64],
    *,
    clusters: NDArray[np.int64],
    confidence: float = 0.95,
) -> tuple[Estimate, Number]:
    """Estimate the area of one score, for rows of units, with its variance and its interval.

    The interval is that of `compare_auc`.

    Args:
        labels: true class per row, shape (n,), with rows of two units in each class.
        scores: shape (n,), finite.
        clusters: label of each row's unit, shape (n,).
        confidence: coverage of the interval, in (0, 1).
    """
    area = _area(labels, scores, units_of(clusters), confidence)
    return Estimate(area.value, area.variance, area.effective_units), area.as_number()


def can_compare_auc(labels: NDArray[np.bool_], clusters: NDArray[np.int64]) -> bool:
    """Return whether a variance can be estimated: each class has rows of two units."""
    return all(np.unique(clusters[rows]).size >= MIN_UNITS for rows in (labels, ~labels))


def auc_and_variance(labels: NDArray[np.bool_], scores: NDArray[np.float64]) -> tuple[float, float]:
    """Return the area under the ROC curve and its variance by DeLong, for independent rows.

    A class with a single row adds no variance, because its spread is unknown.

    Args:
        labels: true class per row, shape (n,), both classes present.
        scores: score per row, shape (n,), finite.
    """
    of_positives, of_negatives = _placements(labels, scores)
    variance = sum(
        float(np.var(each, ddof=1)) / each.size
        for each in (of_positives, of_negatives)
        if each.size > 1
    )
    return float(of_positives.mean()), variance


def area_interval(
    area: float, *, positives: float, negatives: float, variance: float, confidence: float
) -> Interval:
    """Return the pseudo-score interval of an area under the ROC curve.

    Method 5 of Newcombe 2006, "Confidence intervals for an effect size measure based on the
    Mann-Whitney statistic. Part 2": all areas whose distance to the estimate is at most z of
    their own standard errors, by the variance of Hanley and McNeil 1982 with the mean of both
    sizes. It has a width at areas of 0 and 1. Where the variance seen is larger than that
    model's, because rows of a unit are alike, both sizes shrink by the ratio of the two.

    Args:
        area: the estimate, in [0, 1].
        positives: effective units with a positive row, above 0.
        negatives: the same for negative rows.
        variance: of the estimate, as seen; 0 at areas of 0 and 1.
        confidence: coverage of the interval, in (0, 1).
    """
    modelled = _modelled_variance(area, positives, negatives)
    shrink = max(1.0, variance / modelled) if modelled > 0 else 1.0
    sizes = positives / shrink, negatives / shrink
    z = float(stats.norm.ppf((1 + confidence) / 2))

    def excess(other: float) -> float:
        return abs(other - area) - z * sqrt(_modelled_variance(other, *sizes))

    # At areas of 0 and 1 the excess is 0 as well: the other root is wanted.
    inside = min(max(area, _TINY), 1 - _TINY)
    lower = 0.0 if excess(0.0) <= 0 else float(optimize.brentq(excess, 0.0, inside))
    upper = 1.0 if excess(1.0) <= 0 else float(optimize.brentq(excess, inside, 1.0))
    return Interval(lower, upper)


def _modelled_variance(area: float, positives: float, negatives: float) -> float:
    mean_size = max((positives + negatives) / 2 - 1, 0.0)
    factor = 1 + mean_size * ((1 - area) / (2 - area) + area / (1 + area))
    return area * (1 - area) * factor / (positives * negatives)


@dataclass(frozen=True, slots=True, eq=False)
class _Area:
    value: float
    without: Floats  # each unit, shape (units,)
    variance: float
    interval: Interval
    effective_units: float  # of the smaller class

    def as_number(self) -> Number:
        return number_of(Estimate(self.value, None, self.effective_units), self.interval)


def _area(
    labels: NDArray[np.bool_], scores: NDArray[np.float64], units: Units, confidence: float
) -> _Area:
    positives, negatives = (effective_units(units.sums(rows)[:, 0]) for rows in (labels, ~labels))
    value, without = _areas_without(labels, scores, units)
    variance = jackknife_variance(value, without)
    interval = area_interval(
        value,
        positives=positives,
        negatives=negatives,
        variance=variance,
        confidence=confidence,
    )
    return _Area(value, without, variance, interval, min(positives, negatives))


def _areas_without(
    labels: NDArray[np.bool_], scores: NDArray[np.float64], units: Units
) -> tuple[float, Floats]:
    """Return the area, and the area without each unit, shape (units,); exact.

    The pairs of a positive and a negative row that are ordered well, less those of which a
    unit has the positive, less those of which it has the negative, plus those within it.
    """
    of_positives, of_negatives = _placements(labels, scores)
    positives, negatives = float(of_positives.size), float(of_negatives.size)
    wins = np.empty(labels.size)
    wins[labels] = of_positives * negatives
    wins[~labels] = of_negatives * positives
    lost, own_positives, rows = units.sums(wins, labels, np.ones(labels.size)).T
    left = float(of_positives.sum()) * negatives - lost + _wins_within(labels, scores, units)
    without = ratio(left, (positives - own_positives) * (negatives - (rows - own_positives)))
    return float(of_positives.mean()), without


def _wins_within(
    labels: NDArray[np.bool_], scores: NDArray[np.float64], units: Units
) -> NDArray[np.float64]:
    """Return per unit its own pairs that are ordered well, ties half, shape (units,)."""
    ranks = stats.rankdata(scores, method="dense").astype(np.int64)
    keys = units.of_row * (int(ranks.max()) + 1) + ranks  # orders rows by unit, then by score
    among_all = stats.rankdata(keys) - _starts(units.rows)[units.of_row]
    own, positives = units.of_row[labels], units.sums(labels)[:, 0]
    among_positives = stats.rankdata(keys[labels]) - _starts(positives)[own]
    wins = among_all[labels] - among_positives
    return np.bincount(own, weights=wins, minlength=units.count).astype(np.float64)


def _starts(sizes: Floats) -> Floats:
    return np.cumsum(sizes) - sizes


def _placements(
    labels: NDArray[np.bool_], scores: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return per positive the share of negatives below it, and per negative of positives above it.

    Ties count half. Computed from midranks: Sun and Xu 2014, "Fast implementation of DeLong's
    algorithm for comparing the areas under correlated receiver operating characteristic curves".
    """
    above, below = scores[labels], scores[~labels]
    ranks = stats.rankdata(np.concatenate([above, below]))
    of_positives = (ranks[: above.size] - stats.rankdata(above)) / below.size
    of_negatives = 1 - (ranks[above.size :] - stats.rankdata(below)) / above.size
    return of_positives, of_negatives
