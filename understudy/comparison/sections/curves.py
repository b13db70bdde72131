"""Curves: the shapes behind the numbers, as few points, for figures and for programs."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from understudy.comparison.evidence.rows import PairedRows
from understudy.statistics.class_curves import ClassCurves, Points, class_curves
from understudy.statistics.paired import MIN_PAIRS
from understudy.statistics.units import PART_ROWS, units_of

Floats = NDArray[np.float64]
_BINS = 40
_POINTS = 200  # of a curve
_DOTS = 600  # of a cloud


@dataclass(frozen=True, slots=True)
class Curves:
    """Figures of a comparison. Clouds are every n-th row in the order of requests."""

    difference_edges: tuple[float, ...]  # of shadow minus champion, one more than counts
    difference_counts: tuple[int, ...]
    cloud: Points  # mean of both scores, shadow minus champion
    flips_up: Points  # threshold, share of rows that the shadow alone decides positive
    flips_down: Points
    champion: ClassCurves | None  # None: outcomes do not have both classes
    shadow: ClassCurves | None


def curves_of(rows: PairedRows, *, confidence: float = 0.95) -> Curves | None:
    """Return the curves of all pairs, with bands at `confidence`; None for fewer than two."""
    if rows.champion.size < MIN_PAIRS:
        return None
    champion, shadow = rows.champion, rows.shadow
    differences = shadow - champion
    counts, edges = np.histogram(differences, bins=_BINS, range=_range_of(differences))
    every = max(1, -(-champion.size // _DOTS))
    up, down = _flips(champion, shadow)
    of_champion, of_shadow = _class_curves(rows, confidence)
    return Curves(
        difference_edges=tuple(edges.tolist()),
        difference_counts=tuple(counts.tolist()),
        cloud=_points(((champion + shadow) / 2)[::every], differences[::every]),
        flips_up=up,
        flips_down=down,
        champion=of_champion,
        shadow=of_shadow,
    )


def _class_curves(
    rows: PairedRows, confidence: float
) -> tuple[ClassCurves, ClassCurves] | tuple[None, None]:
    labelled = rows.labelled()
    labels = labelled.class_labels()
    if labels is None or not 0 < np.count_nonzero(labels) < labels.size:
        return None, None
    units = units_of(labelled.unit)
    return (
        class_curves(labels, labelled.champion, units=units, confidence=confidence),
        class_curves(labels, labelled.shadow, units=units, confidence=confidence),
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


def _points(first: Floats, second: Floats) -> Points:
    return tuple(zip(first.tolist(), second.tolist(), strict=True))
