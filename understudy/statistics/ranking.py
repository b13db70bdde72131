"""Ranking quality: the area under the ROC curve, and its difference between two versions. Pure."""

from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray
from scipy import stats

MIN_CLUSTERS = 2  # the least for a variance


@dataclass(frozen=True, slots=True)
class Auc:
    """Area under the ROC curve with a two-sided interval."""

    estimate: float
    lower: float
    upper: float


@dataclass(frozen=True, slots=True)
class AucComparison:
    """Both versions on the same labelled rows; `difference` is shadow minus champion."""

    champion: Auc
    shadow: Auc
    difference: Auc
    p_value: float | None  # of no difference; None if both rank alike, so that there is no variance
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
    """Estimate both areas and their difference, with the covariance for clustered rows.

    The structural components of the areas are those of DeLong, DeLong and Clarke-Pearson 1988
    ("Comparing the areas under two or more correlated receiver operating characteristic
    curves"), computed from midranks in O(n log n) as in Sun and Xu 2014. The covariance is that
    of Obuchowski 1997 ("Nonparametric analysis of clustered ROC curve data"), which sums the
    components within clusters; with one row per cluster it is DeLong's. Intervals of the areas
    are computed on the logit scale and stay inside (0, 1); that of the difference is normal.

    Args:
        labels: true class per row, shape (n,).
        champion: score per row, shape (n,), finite.
        shadow: the same rows in the same order, shape (n,), finite.
        clusters: label of each row's cluster, shape (n,).
        confidence: coverage of the intervals, in (0, 1).

    Raises:
        ValueError: the shapes differ, or a class has rows of fewer than two clusters.
    """
    if not labels.shape == champion.shape == shadow.shape == clusters.shape:
        raise ValueError(
            f"expected equal shapes, got {labels.shape}, {champion.shape}, {shadow.shape}"
        )
    if not can_compare_auc(labels, clusters):
        raise ValueError(f"expected rows of {MIN_CLUSTERS} clusters in each class")
    areas, covariance = _areas(labels, [champion, shadow], clusters)
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    difference = float(areas[1] - areas[0])
    variance = float(covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1])
    error = max(variance, 0.0) ** 0.5
    return AucComparison(
        champion=_with_logit_interval(float(areas[0]), float(covariance[0, 0]), z),
        shadow=_with_logit_interval(float(areas[1]), float(covariance[1, 1]), z),
        difference=Auc(difference, difference - z * error, difference + z * error),
        p_value=2 * NormalDist().cdf(-abs(difference) / error) if error > 0 else None,
        positives=int(labels.sum()),
        negatives=int((~labels).sum()),
    )


def can_compare_auc(labels: NDArray[np.bool_], clusters: NDArray[np.int64]) -> bool:
    """Return whether a variance can be estimated: each class has rows of two clusters."""
    return all(np.unique(clusters[rows]).size >= MIN_CLUSTERS for rows in (labels, ~labels))


def auc_and_variance(labels: NDArray[np.bool_], scores: NDArray[np.float64]) -> tuple[float, float]:
    """Return the area under the ROC curve and its variance by DeLong, for independent rows.

    A class with a single row adds no variance, because its spread is unknown.

    Args:
        labels: true class per row, shape (n,), both classes present.
        scores: score per row, shape (n,), finite.
    """
    areas, covariance = _areas(labels, [scores], np.arange(labels.size))
    return float(areas[0]), float(covariance[0, 0])


def _areas(
    labels: NDArray[np.bool_],
    scores: list[NDArray[np.float64]],
    clusters: NDArray[np.int64],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the area of each score, shape (k,), and their covariance, shape (k, k)."""
    _, cluster_of = np.unique(clusters, return_inverse=True)
    count = int(cluster_of.max()) + 1
    parts = [_placements(labels, each) for each in scores]
    areas = np.array([of_positives.mean() for of_positives, _ in parts])
    sums = []
    for side, rows in enumerate((labels, ~labels)):
        centred = np.stack([part[side] for part in parts]) - areas[:, None]
        of_rows = cluster_of[rows]
        per_cluster = np.stack(
            [np.bincount(of_rows, weights=each, minlength=count) for each in centred]
        )
        present = np.unique(of_rows).size
        # With a single cluster the centred sum is 0, whatever the scale.
        sums.append((per_cluster, present / max(present - 1, 1), rows.sum()))
    (above, above_scale, positives), (below, below_scale, negatives) = sums
    cross = count / (count - 1) * (above @ below.T) / (positives * negatives)
    covariance = (
        above_scale * (above @ above.T) / positives**2
        + below_scale * (below @ below.T) / negatives**2
        + cross
        + cross.T
    )
    return areas, covariance


def _placements(
    labels: NDArray[np.bool_], scores: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return per positive the share of negatives below it, and per negative of positives above it.

    Ties count half.
    """
    above, below = scores[labels], scores[~labels]
    ranks = stats.rankdata(np.concatenate([above, below]))
    of_positives = (ranks[: above.size] - stats.rankdata(above)) / below.size
    of_negatives = 1 - (ranks[above.size :] - stats.rankdata(below)) / above.size
    return of_positives, of_negatives


def _with_logit_interval(area: float, variance: float, z: float) -> Auc:
    if not 0 < area < 1:
        return Auc(area, area, area)  # for a perfect ranking the estimated variance is 0
    variance = max(variance, 0.0)
    logit = np.log(area / (1 - area))
    margin = z * variance**0.5 / (area * (1 - area))
    return Auc(area, *(float(1 / (1 + np.exp(-(logit + side * margin)))) for side in (-1, 1)))
