"""Ranking quality: the area under the ROC curve, and its difference between two versions. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, special

from understudy.statistics.intervals import Interval, difference_interval, interval_of
from understudy.statistics.measures import Number, number_of
from understudy.statistics.ranks import midranks_doubled, wins_doubled
from understudy.statistics.units import (
    MIN_UNITS,
    Estimate,
    Floats,
    Labels,
    Moves,
    Units,
    dot,
    ratio,
    units_of,
    whole_units,
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
    clusters: Labels,
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
    pairs = _Pairs(labels, (champion, shadow), units_of(clusters))
    one, two, difference = pairs.areas()
    estimate = Estimate(difference.value, difference.variance, pairs.effective_units)
    of_one, of_two = (pairs.interval_of(each, confidence) for each in (one, two))
    method: AucMethod = "jackknife"
    interval = interval_of(estimate, confidence=confidence)
    if interval is None or estimate.effective_units < FEW_IN_CLASS or not difference.variance:
        method = "recovery"
        interval = difference_interval((one.value, of_one), (two.value, of_two))
    numbers = [
        number_of(Estimate(each.value, None, pairs.effective_units), found)
        for each, found in ((one, of_one), (two, of_two))
    ]
    return AucComparison(
        champion=numbers[0],
        shadow=numbers[1],
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
    clusters: Labels,
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
    pairs = _Pairs(labels, (scores,), units_of(clusters))
    (area,) = pairs.areas()
    estimate = Estimate(area.value, area.variance, pairs.effective_units)
    return estimate, number_of(estimate, pairs.interval_of(area, confidence))


def can_compare_auc(labels: NDArray[np.bool_], clusters: Labels) -> bool:
    """Return whether a variance can be estimated: each class has rows of two units."""
    for is_class in (labels, ~labels):
        found = clusters[is_class]
        if found.size == 0 or (found == found[0]).all():
            return False
    return True


def auc_and_variance(labels: NDArray[np.bool_], scores: NDArray[np.float64]) -> tuple[float, float]:
    """Return the area under the ROC curve and its variance by DeLong, for independent rows.

    A class with a single row adds no variance, because its spread is unknown.

    Args:
        labels: true class per row, shape (n,), both classes present.
        scores: score per row, shape (n,), finite.
    """
    positives, negatives = (int(np.count_nonzero(each)) for each in (labels, ~labels))
    wins = wins_doubled(labels, scores)
    of_positives, of_negatives = wins[labels] / (2 * negatives), wins[~labels] / (2 * positives)
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
    z = float(special.ndtri((1 + confidence) / 2))

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


class _Pairs:
    """The pairs of a positive and a negative row, as one score or two order them.

    The areas are exact, and so is each area without a unit: the pairs that are ordered well, less
    those of which the unit has the positive, less those of which it has the negative, plus those
    within it. Sun and Xu 2014, "Fast implementation of DeLong's algorithm for comparing the areas
    under correlated receiver operating characteristic curves", have the pairs from midranks.
    """

    def __init__(self, labels: NDArray[np.bool_], scores: Sequence[Floats], units: Units) -> None:
        self._labels, self._scores, self._units = labels, scores, units
        self._wins = [wins_doubled(labels, each) for each in scores]
        self._positives = float(np.count_nonzero(labels))
        self._negatives = labels.size - self._positives
        weights = np.zeros((2, 2))  # by class: sums of rows over units, and of their squares
        for rows, of_row, count in whole_units(units):
            own = np.bincount(of_row, weights=labels[rows].astype(np.float64), minlength=count)
            others = np.bincount(of_row, minlength=count) - own
            weights += [[own.sum(), dot(own, own)], [others.sum(), dot(others, others)]]
        self.class_units = tuple(weights[:, 0] ** 2 / weights[:, 1])  # effective

    @property
    def effective_units(self) -> float:
        """Of the smaller class."""
        return float(min(self.class_units))

    def areas(self) -> list[Moves]:
        """Return the area of each score, and of two also second minus first."""
        pairs = self._positives * self._negatives
        won = [float(each[self._labels].sum(dtype=np.int64)) / 2 for each in self._wins]
        values = [each / pairs for each in won]
        moves = [Moves(each) for each in (*values, *np.diff(values).tolist())]
        for rows, of_row, count in whole_units(self._units):
            labels = self._labels[rows]
            sizes = np.bincount(of_row, minlength=count)
            own = np.bincount(of_row, weights=labels.astype(np.float64), minlength=count)
            left = (self._positives - own) * (self._negatives - (sizes - own))
            without = []
            for scores, wins, total in zip(self._scores, self._wins, won, strict=True):
                lost = np.bincount(of_row, weights=wins[rows], minlength=count) / 2
                within = _wins_within(labels, scores[rows], of_row, count)
                without.append(ratio(total - lost + within, left))
            if len(without) > 1:
                without.append(without[1] - without[0])
            for each, found in zip(moves, without, strict=True):
                each.add(found, sizes.astype(np.float64))
        return moves

    def interval_of(self, area: Moves, confidence: float) -> Interval:
        positives, negatives = self.class_units
        return area_interval(
            area.value,
            positives=positives,
            negatives=negatives,
            variance=area.variance,
            confidence=confidence,
        )


def _wins_within(labels: NDArray[np.bool_], scores: Floats, of_row: Labels, count: int) -> Floats:
    """Return per unit its own pairs that are ordered well, ties half, shape (count,)."""
    within = np.zeros(count)
    if count == labels.size:  # single rows
        return within
    if count == 1:
        return np.array([wins_doubled(labels, scores)[labels].sum(dtype=np.int64) / 2])
    ranks = np.unique(scores, return_inverse=True)[1]
    keys = of_row * np.int64(labels.size) + ranks  # orders rows by unit, then by score
    for label, sign in ((np.ones(labels.size, np.bool_), 1), (labels, -1)):
        # The rank of a positive among all rows of its unit, less that among its positives.
        chosen = of_row[label]
        sizes = np.bincount(chosen, minlength=count)
        found = midranks_doubled(keys[label].astype(np.float64)) / 2
        found -= (np.cumsum(sizes) - sizes)[chosen]
        is_positive = labels[label]
        within += sign * np.bincount(
            chosen[is_positive], weights=found[is_positive], minlength=count
        )
    return within
