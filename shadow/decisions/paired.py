"""Two versions on the same requests: how far apart their scores are. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray
from scipy import stats

MIN_PAIRS = 2


@dataclass(frozen=True, slots=True)
class MeanDifference:
    """Shadow minus champion, in units of the score, with a two-sided interval."""

    estimate: float
    lower: float
    upper: float
    pairs: int
    clusters: int  # independent units; an interval from few of them is too narrow


@dataclass(frozen=True, slots=True)
class Correlation:
    """None: a version gave one constant score, so nothing can correlate."""

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

    Rows of one cluster (a user's requests, a request's candidates) need not be independent:
    the variance is the cluster-robust one with the G/(G-1) correction (Liang and Zeger 1986,
    "Longitudinal data analysis using generalized linear models"; Cameron and Miller 2015,
    "A practitioner's guide to cluster-robust inference", eq. 11 for a mean). With one row
    per cluster it is the usual s^2/n. The quantile is Student's t with G-1 degrees.

    Args:
        champion: score per row, shape (n,), finite.
        shadow: the same rows in the same order, shape (n,), finite.
        clusters: label of each row's cluster, shape (n,).
        confidence: coverage of the interval, in (0, 1).

    Raises:
        ValueError: shapes differ, fewer than MIN_PAIRS clusters, or a score is not finite.
    """
    differences = paired_differences(champion, shadow)
    labels, cluster_of = np.unique(clusters, return_inverse=True)
    count = labels.size
    if count < MIN_PAIRS:
        raise ValueError(f"need rows of at least {MIN_PAIRS} clusters, got {count}")
    estimate = float(differences.mean())
    residuals = np.bincount(cluster_of, weights=differences - estimate, minlength=count)
    variance = count / (count - 1) * float(residuals @ residuals) / differences.size**2
    margin = float(stats.t.ppf((1 + confidence) / 2, count - 1)) * variance**0.5
    return MeanDifference(estimate, estimate - margin, estimate + margin, differences.size, count)


def paired_differences(
    champion: NDArray[np.float64], shadow: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return shadow minus champion per row.

    Raises:
        ValueError: shapes differ, fewer than MIN_PAIRS rows, or a score is not finite.
    """
    if champion.ndim != 1 or champion.shape != shadow.shape:
        raise ValueError(f"need two equal 1-D arrays, got {champion.shape} and {shadow.shape}")
    if champion.size < MIN_PAIRS:
        raise ValueError(f"need at least {MIN_PAIRS} pairs, got {champion.size}")
    differences = shadow - champion
    if not np.isfinite(differences).all():
        raise ValueError("scores must be finite")
    return differences


def absolute_quantiles(
    champion: NDArray[np.float64], shadow: NDArray[np.float64], levels: Sequence[float]
) -> tuple[float, ...]:
    """Return quantiles of |shadow - champion|, by linear interpolation (Hyndman and Fan 7).

    Raises:
        ValueError: as `paired_differences`.
    """
    distances = np.abs(paired_differences(champion, shadow))
    return tuple(float(value) for value in np.quantile(distances, levels))


def correlate(champion: NDArray[np.float64], shadow: NDArray[np.float64]) -> Correlation:
    """Return Pearson's r of the scores and of their ranks (Spearman's rho, ties averaged).

    Raises:
        ValueError: as `paired_differences`.
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


@dataclass(frozen=True, slots=True)
class Flips:
    """Rows on which the two versions decide differently at one threshold."""

    threshold: float
    pairs: int
    to_positive: int  # champion below, shadow at or above
    to_negative: int
    rate: float
    lower: float  # of the rate
    upper: float


def decision_flips(
    champion: NDArray[np.float64],
    shadow: NDArray[np.float64],
    *,
    threshold: float,
    confidence: float = 0.95,
) -> Flips:
    """Count the decisions that would change; a score at the threshold decides positive.

    Raises:
        ValueError: as `paired_differences`.
    """
    paired_differences(champion, shadow)
    was, would_be = champion >= threshold, shadow >= threshold
    to_positive = int(np.count_nonzero(~was & would_be))
    to_negative = int(np.count_nonzero(was & ~would_be))
    flips = to_positive + to_negative
    lower, upper = wilson_interval(flips, champion.size, confidence=confidence)
    rate = flips / champion.size
    return Flips(threshold, champion.size, to_positive, to_negative, rate, lower, upper)


def wilson_interval(
    successes: int, trials: int, *, confidence: float = 0.95
) -> tuple[float, float]:
    """Return the score interval of a proportion (Wilson 1927, "Probable inference").

    Unlike the normal interval it keeps its coverage near 0 and 1, where flips live.

    Raises:
        ValueError: not 0 <= successes <= trials, or no trials.
    """
    if not 0 <= successes <= trials or trials == 0:
        raise ValueError(f"need 0 <= successes <= trials > 0, got {successes} of {trials}")
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    share = successes / trials
    centre = share + z * z / (2 * trials)
    margin = z * (share * (1 - share) / trials + z * z / (4 * trials * trials)) ** 0.5
    scale = 1 + z * z / trials
    # At the ends the bounds are 0 and 1 exactly; rounding must not say otherwise.
    lower = 0.0 if successes == 0 else max(0.0, (centre - margin) / scale)
    upper = 1.0 if successes == trials else min(1.0, (centre + margin) / scale)
    return lower, upper
