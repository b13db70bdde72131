"""Curves: the shapes behind the numbers, as few points, for figures and for programs."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from understudy.comparison.evidence.rows import PairedRows
from understudy.statistics.paired import MIN_PAIRS

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
    thresholds = np.unique(np.quantile(np.concatenate([champion, shadow]), levels))
    # A row flips to positive at each threshold above the champion's score, up to the shadow's.
    return (
        _points(thresholds, _share_between(champion, shadow, thresholds)),
        _points(thresholds, _share_between(shadow, champion, thresholds)),
    )


def _share_between(lower: Floats, upper: Floats, thresholds: Floats) -> Floats:
    """Return the share of rows with lower < threshold <= upper, per threshold."""
    is_between = lower < upper
    starts, ends = np.sort(lower[is_between]), np.sort(upper[is_between])
    begun = np.searchsorted(starts, thresholds, side="left")
    over = np.searchsorted(ends, thresholds, side="left")
    return (begun - over) / lower.size


def _version(labels: NDArray[np.bool_], scores: Floats) -> VersionCurves:
    order = np.argsort(-scores, kind="stable")
    ranked, truth = scores[order], labels[order]
    # Rows with equal scores are decided together: only the last of them is a point.
    last = np.flatnonzero(np.append(np.diff(ranked) != 0, True))
    found = np.cumsum(truth)[last].astype(np.float64)
    decided = (last + 1).astype(np.float64)
    positives = float(labels.sum())
    negatives = labels.size - positives
    kept = np.unique(np.linspace(0, last.size - 1, _POINTS).astype(np.int64))
    recall = found[kept] / positives
    alarms = (decided[kept] - found[kept]) / negatives
    return VersionCurves(
        roc=((0.0, 0.0), *_points(alarms, recall)),
        precision_recall=_points(recall, found[kept] / decided[kept]),
    )


def _points(first: Floats, second: Floats) -> Points:
    return tuple(zip(first.tolist(), second.tolist(), strict=True))
