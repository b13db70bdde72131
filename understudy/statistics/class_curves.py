"""Recall, false alarms and precision of a score over all thresholds, with bands. Pure."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from understudy.statistics.groups import Groups, share_without_groups
from understudy.statistics.measures import FEW_UNITS
from understudy.statistics.units import (
    PART_ROWS,
    Floats,
    Units,
    dot,
    effective_units,
    ratio,
    whole_units,
)

Points = tuple[tuple[float, float], ...]
_POINTS = 200  # of a curve
_BAND_POINTS = 40
_FEW_BEYOND = 5.0  # effective units of a class on either side of a point of a band


@dataclass(frozen=True, slots=True)
class Band:
    """Intervals of a curve, each for its own point; empty if there are none: `why` has why."""

    points: tuple[tuple[float, float, float], ...]  # place on the first axis, lower, upper
    why: str = ""


@dataclass(frozen=True, slots=True)
class ClassCurves:
    """A score on rows of two classes, over all thresholds."""

    roc: Points  # false positive rate, recall
    precision_recall: Points  # recall, precision
    roc_band: Band  # of recall at a false positive rate
    precision_recall_band: Band  # of precision at a recall


def class_curves(
    labels: NDArray[np.bool_],
    scores: Floats,
    *,
    units: Units,
    weights: Floats | None = None,
    confidence: float = 0.95,
) -> ClassCurves:
    """Return both curves of a score, with pointwise bands.

    The bands are vertical: of recall at each false positive rate, and of precision at each recall,
    wherever the threshold for it lies (Fawcett 2006, "An introduction to ROC analysis", section 8.1).
    Between two points the counts of both classes are linear (Davis and Goadrich 2006, "The
    relationship between Precision-Recall and ROC curves"). Each interval is that of a share by groups
    of units (`share_without_groups`), for one point: at a confidence of 95 %, one in twenty
    points of the true curve is expected outside of the band.

    Args:
        labels: true class per row, shape (n,), both classes present.
        scores: shape (n,), finite.
        units: of the rows.
        weights: of the rows, with a mean of 1. None: all are equal.
        confidence: coverage of each interval, in (0, 1).
    """
    thresholds = _thresholds(labels, scores)
    above = _above((labels, scores, weights), thresholds, Groups.of(units))
    totals = above.sum(axis=1)
    alarms, found = totals
    kept = _Kept(totals, above, _effective_units_of_classes(labels, units, weights), confidence)
    return ClassCurves(
        roc=((0.0, 0.0), *_points(alarms / alarms[-1], found / found[-1])),
        precision_recall=_points(found / found[-1], found / (found + alarms)),
        roc_band=kept.band(_recall_at, np.linspace(0, 1, _BAND_POINTS + 1) ** 2, of_class=0),
        precision_recall_band=kept.band(
            _precision_at, np.linspace(0, 1, _BAND_POINTS + 1), of_class=1
        ),
    )


Along = Callable[[Floats, Floats], tuple[Floats, Floats]]
"""From rows at or above each threshold, shape (2, thresholds), and places on the first axis of a
curve to its shares there, and to the rows that each rests on."""


@dataclass(frozen=True, slots=True, eq=False)
class _Kept:
    """The rows at or above each threshold: of all units, and of each group of them."""

    totals: Floats  # (2, thresholds), negatives first
    of_groups: Floats  # (2, groups, thresholds)
    class_units: tuple[float, float]  # effective
    confidence: float

    def band(self, along: Along, places: Floats, *, of_class: int) -> Band:
        """Return the band at those places that are shares of `of_class` far enough from its ends."""
        fewest = min(self.class_units)
        if fewest < FEW_UNITS:
            why = f"a class rests on {fewest:.1f} effective units; at least {FEW_UNITS} are needed"
            return Band((), why)
        of_units = self.class_units[of_class]
        is_inside = np.minimum(places, 1 - places) * of_units >= _FEW_BEYOND
        places = places[is_inside]
        shares, rows = along(self.totals, places)
        without = np.array(
            [
                along(self.totals - self.of_groups[:, group], places)[0]
                for group in range(self.of_groups.shape[1])
            ]
        )
        weights = min((each[:, -1] for each in self.of_groups), key=effective_units)
        points = []
        for place, share, moved, of_share in zip(places, shares, without.T, rows, strict=True):
            number = share_without_groups(
                float(share),
                moved,
                weights,
                rows=float(of_share),
                units=fewest,
                confidence=self.confidence,
            )
            if number.lower is not None and number.upper is not None:
                points.append((float(place), number.lower, number.upper))
        return Band(tuple(points), "" if points else "no group of units can be left out")


def _recall_at(counts: Floats, rates: Floats) -> tuple[Floats, Floats]:
    alarms, found = counts
    recall = np.interp(rates, _from_zero(alarms), _from_zero(found))
    return recall, np.full(rates.size, found[-1])


def _precision_at(counts: Floats, recalls: Floats) -> tuple[Floats, Floats]:
    alarms, found = counts
    hits = recalls * found[-1]
    rows = hits + np.interp(recalls, _from_zero(found), _from_zero(alarms)) * alarms[-1]
    return ratio(hits, rows), rows


def _from_zero(counts: Floats) -> Floats:
    """Return the shares of a class, from that above all scores."""
    return np.concatenate([[0.0], ratio(counts, counts[-1])])


def _above(
    of_rows: tuple[NDArray[np.bool_], Floats, Floats | None], thresholds: Floats, groups: Groups
) -> Floats:
    """Return the rows of each class and group at or above each threshold, the highest first.

    A score equal to the threshold is positive, so rows with equal scores are decided together.
    """
    labels, scores, weights = of_rows
    size = thresholds.size + 1
    counts = np.zeros((groups.count, 2 * size))
    for start in range(0, scores.size, PART_ROWS):
        rows = slice(start, min(start + PART_ROWS, scores.size))
        places = np.searchsorted(thresholds, scores[rows], side="right")
        counts += groups.counts(rows, labels[rows] * size + places, 2 * size, weights)
    of_classes = counts.reshape(groups.count, 2, size).transpose(1, 0, 2)
    return np.cumsum(of_classes[:, :, :0:-1], axis=2)


def _thresholds(labels: NDArray[np.bool_], scores: Floats) -> Floats:
    """Return all scores, each once, or of many some of each class, as it is spread; ascending."""
    return np.unique(np.concatenate([_some_of(scores[labels]), _some_of(scores[~labels])]))


def _some_of(scores: Floats) -> Floats:
    ordered = np.sort(scores)
    is_first = np.ones(ordered.size, np.bool_)
    np.not_equal(ordered[1:], ordered[:-1], out=is_first[1:])
    places = np.flatnonzero(is_first)
    kept = np.unique(np.linspace(0, places.size - 1, _POINTS // 2).astype(np.int64))
    return ordered[places[kept]]


def _effective_units_of_classes(
    labels: NDArray[np.bool_], units: Units, weights: Floats | None
) -> tuple[float, float]:
    """Return the effective units with negative rows, and with positive ones."""
    sums = np.zeros((2, 2))  # by class: weights over units, and their squares
    for rows, of_row, count in whole_units(units):
        weight = np.ones(of_row.size) if weights is None else weights[rows]
        own = np.bincount(of_row, weights=labels[rows] * weight, minlength=count)
        others = np.bincount(of_row, weights=~labels[rows] * weight, minlength=count)
        sums += [[others.sum(), dot(others, others)], [own.sum(), dot(own, own)]]
    negatives, positives = ratio(sums[:, 0] ** 2, sums[:, 1])
    return float(negatives), float(positives)


def _points(first: Floats, second: Floats) -> Points:
    return tuple(zip(first.tolist(), second.tolist(), strict=True))
