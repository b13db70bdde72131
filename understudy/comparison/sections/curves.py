"""Curves: the shapes behind the numbers, as few points, for figures and for programs."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from understudy.comparison.evidence.rows import PairedRows
from understudy.statistics.paired import MIN_PAIRS
from understudy.statistics.units import PART_ROWS

Floats = NDArray[np.float64]
Points = tuple[tuple[float, float], ...]
_BINS = 40
_POINTS = 200  # of a curve
_DOTS = 600  # of a cloud


@dataclass(frozen=True, slots=True)
class VersionCurves:
    """One version on outcomes of 0 and 1, over all thresholds."""

    roc: Points  # false positive rate, recall
    precision_recall: Points  # recall, precision


@dataclass(frozen=True, slots=True)
class Curves:
    """Figures of a comparison. Clouds are every n-th row in the order of requests."""

    difference_edges: tuple[float, ...]  # of shadow minus champion, one more than counts
    difference_counts: tuple[int, ...]
    cloud: Points  # mean of both scores, shadow minus champion
    flips_up: Points  # threshold, share of rows that the shadow alone decides positive
    flips_down: Points
    champion: VersionCurves | None  # None: outcomes do not have both classes
    shadow: VersionCurves | None


def curves_of(rows: PairedRows) -> Curves | None:
    """Return the curves of all pairs; None for fewer than two."""
    if rows.champion.size < MIN_PAIRS:
        return None
    champion, shadow = rows.champion, rows.shadow
    differences = shadow - champion
    counts, edges = np.histogram(differences, bins=_BINS, range=_range_of(differences))
    every = max(1, -(-champion.size // _DOTS))
    up, down = _flips(champion, shadow)
    labelled = rows.where((rows.label == 0) | (rows.label == 1))
    labels = labelled.label == 1
    has_both = 0 < np.count_nonzero(labels) < labels.size
    return Curves(
        difference_edges=tuple(edges.tolist()),
        difference_counts=tuple(counts.tolist()),
        cloud=_points(((champion + shadow) / 2)[::every], differences[::every]),
        flips_up=up,
        flips_down=down,
        champion=_version(labels, labelled.champion) if has_both else None,
        shadow=_version(labels, labelled.shadow) if has_both else None,
    )


def _range_of(values: Floats) -> tuple[float, float]:
    """Return a range around 0 that has all values, so that a shift is seen as one."""
    reach = float(np.abs(values).max()) or 1e-6
    return -reach, reach


def _flips(champion: Floats, shadow: Floats) -> tuple[Points, Points]:
    """Return the shares of rows that change sides, for thresholds at quantiles of all scores."""
    levels = np.linspace(0, 1, _POINTS)
    both = np.concatenate([champion, shadow])
    thresholds = np.unique(np.quantile(both, levels, overwrite_input=True))
    del both  # as large as both scores
    # A row flips to positive at each threshold above the champion's score, up to the shadow's.
    return (
        _points(thresholds, _share_between(champion, shadow, thresholds)),
        _points(thresholds, _share_between(shadow, champion, thresholds)),
    )


def _share_between(lower: Floats, upper: Floats, thresholds: Floats) -> Floats:
    """Return the share of rows with lower < threshold <= upper, per threshold."""
    is_between = lower < upper
    begun, over = (_below(each[is_between], thresholds) for each in (lower, upper))
    return (begun - over) / lower.size


def _below(values: Floats, thresholds: Floats) -> Floats:
    """Return the number of values below each threshold; the thresholds ascend."""
    places = np.zeros(thresholds.size + 1, np.int64)
    for start in range(0, values.size, PART_ROWS):
        found = np.searchsorted(thresholds, values[start : start + PART_ROWS], side="right")
        places += np.bincount(found, minlength=places.size)
    return np.cumsum(places)[:-1].astype(np.float64)


def _version(labels: NDArray[np.bool_], scores: Floats) -> VersionCurves:
    thresholds = _thresholds(scores)
    # A score equal to the threshold is positive, so rows with equal scores are decided together.
    positives, negatives = float(np.count_nonzero(labels)), float(np.count_nonzero(~labels))
    found = (positives - _below(scores[labels], thresholds))[::-1]
    alarms = (negatives - _below(scores[~labels], thresholds))[::-1]
    recall = found / positives
    return VersionCurves(
        roc=((0.0, 0.0), *_points(alarms / negatives, recall)),
        precision_recall=_points(recall, found / (found + alarms)),
    )


def _thresholds(scores: Floats) -> Floats:
    """Return all scores, each once, or of many as many as points are drawn; ascending."""
    ordered = np.sort(scores)
    is_first = np.ones(ordered.size, np.bool_)
    np.not_equal(ordered[1:], ordered[:-1], out=is_first[1:])
    places = np.flatnonzero(is_first)
    kept = np.unique(np.linspace(0, places.size - 1, _POINTS).astype(np.int64))
    return ordered[places[kept]]


def _points(first: Floats, second: Floats) -> Points:
    return tuple(zip(first.tolist(), second.tolist(), strict=True))
