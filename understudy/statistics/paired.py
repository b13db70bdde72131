"""Differences between the scores of two versions on the same requests. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

MIN_PAIRS = 2


@dataclass(frozen=True, slots=True)
class MeanDifference:
    """The mean of shadow minus champion, in units of the score, with a two-sided interval."""

    estimate: float
    lower: float
    upper: float
    pairs: int
    clusters: int  # independent units; with few of them the interval is too narrow


@dataclass(frozen=True, slots=True)
class Correlation:
    """Correlations of the scores; None if a version gave a constant score."""

    pearson: float | None
    spearman: float | None


def mean_difference(
    champion: NDArray[np.float64],
    shadow: NDArray[np.float64],
    *,
    clusters: NDArray[np.int64],
    confidence: float = 0.95,
) -> MeanDifference:
    """Estimate the mean of shadow minus champion over paired rows.

    Rows of one cluster (a user's requests, a request's candidates) need not be independent, so
    the variance is the cluster-robust one with the G/(G-1) correction (Liang and Zeger 1986,
    "Longitudinal data analysis using generalized linear models"; Cameron and Miller 2015,
    "A practitioner's guide to cluster-robust inference", eq. 11 for a mean). With one row
    per cluster it is the usual s^2/n. The quantile is Student's t with G-1 degrees of freedom.

    Args:
        champion: score per row, shape (n,), finite.
        shadow: the same rows in the same order, shape (n,), finite.
        clusters: label of each row's cluster, shape (n,).
        confidence: coverage of the interval, in (0, 1).

    Raises:
        ValueError: the shapes differ, there are fewer than MIN_PAIRS clusters, or a score is not
            finite.
    """
    differences = paired_differences(champion, shadow)
    estimate = float(differences.mean())
    variance, count = mean_variance(differences, clusters)
    margin = float(stats.t.ppf((1 + confidence) / 2, count - 1)) * variance**0.5
    return MeanDifference(estimate, estimate - margin, estimate + margin, differences.size, count)


def mean_variance(values: NDArray[np.float64], clusters: NDArray[np.int64]) -> tuple[float, int]:
    """Return the cluster-robust variance of the mean of `values`, and the number of clusters.

    Raises:
        ValueError: there are fewer than MIN_PAIRS clusters.
    """
    labels, cluster_of = np.unique(clusters, return_inverse=True)
    count = labels.size
    if count < MIN_PAIRS:
        raise ValueError(f"expected rows of at least {MIN_PAIRS} clusters, got {count}")
    residuals = np.bincount(cluster_of, weights=values - values.mean(), minlength=count)
    return count / (count - 1) * float(residuals @ residuals) / values.size**2, count


def paired_differences(
    champion: NDArray[np.float64], shadow: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return shadow minus champion per row.

    Raises:
        ValueError: the shapes differ, there are fewer than MIN_PAIRS rows, or a score is not
            finite.
    """
    if champion.ndim != 1 or champion.shape != shadow.shape:
        raise ValueError(
            f"expected two 1-D arrays of equal length, got {champion.shape} and {shadow.shape}"
        )
    if champion.size < MIN_PAIRS:
        raise ValueError(f"expected at least {MIN_PAIRS} pairs, got {champion.size}")
    differences = shadow - champion
    if not np.isfinite(differences).all():
        raise ValueError("scores must be finite")
    return differences


def absolute_quantiles(
    champion: NDArray[np.float64], shadow: NDArray[np.float64], levels: Sequence[float]
) -> tuple[float, ...]:
    """Return quantiles of |shadow - champion|, by linear interpolation (Hyndman and Fan 7).

    Raises:
        ValueError: as in `paired_differences`.
    """
    distances = np.abs(paired_differences(champion, shadow))
    return tuple(float(value) for value in np.quantile(distances, levels))


def correlate(champion: NDArray[np.float64], shadow: NDArray[np.float64]) -> Correlation:
    """Return Pearson's r of the scores and of their ranks (Spearman's rho, ties averaged).

    Raises:
        ValueError: as in `paired_differences`.
    """
    paired_differences(champion, shadow)
    return Correlation(
        _pearson(champion, shadow), _pearson(stats.rankdata(champion), stats.rankdata(shadow))
    )


def _pearson(first: NDArray[np.float64], second: NDArray[np.float64]) -> float | None:
    centred = first - first.mean(), second - second.mean()
    scale = float(np.linalg.norm(centred[0]) * np.linalg.norm(centred[1]))
    if np.ptp(first) == 0 or np.ptp(second) == 0 or scale == 0:
        return None
    return float(np.clip(centred[0] @ centred[1] / scale, -1.0, 1.0))
