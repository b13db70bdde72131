"""The number of decisions that a shadow would change. Pure."""

from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from understudy.statistics.paired import mean_variance, paired_differences


@dataclass(frozen=True, slots=True)
class Flips:
    """Rows on which the two versions decide differently at a given threshold."""

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
    clusters: NDArray[np.int64],
    confidence: float = 0.95,
) -> Flips:
    """Count the decisions that would change; a score equal to the threshold is positive.

    Rows of one cluster tend to flip together, so they carry less information than their number:
    the interval is Wilson's at the effective number of rows n / deff, where deff is the ratio of
    the cluster-robust variance to the simple one (Kish 1965, "Survey sampling"; as in Dean and
    Pagano 2015, "Evaluating confidence interval methods for binomial proportions in clustered
    surveys"), but at least 1. If no row flips, or every row does, there is no variance to
    compare, and each cluster counts once.

    Args:
        champion: score per row, shape (n,), finite.
        shadow: the same rows in the same order, shape (n,), finite.
        threshold: the lowest score that is a positive decision.
        clusters: label of each row's cluster, shape (n,).
        confidence: coverage of the interval, in (0, 1).

    Raises:
        ValueError: as in `paired_differences`, or there are fewer than two clusters.
    """
    paired_differences(champion, shadow)
    was, would_be = champion >= threshold, shadow >= threshold
    is_flip = was != would_be
    rate = float(is_flip.mean())
    variance, count = mean_variance(is_flip.astype(np.float64), clusters)
    simple = rate * (1 - rate) / is_flip.size
    effective = float(count) if simple == 0 else is_flip.size / max(1.0, variance / simple)
    lower, upper = wilson_interval(rate, effective, confidence=confidence)
    return Flips(
        threshold=threshold,
        pairs=is_flip.size,
        to_positive=int(np.count_nonzero(is_flip & would_be)),
        to_negative=int(np.count_nonzero(is_flip & was)),
        rate=rate,
        lower=lower,
        upper=upper,
    )


def wilson_interval(
    share: float, trials: float, *, confidence: float = 0.95
) -> tuple[float, float]:
    """Return the score interval of a proportion (Wilson 1927, "Probable inference").

    Unlike the normal interval it keeps its coverage near 0 and 1, where flip rates usually are.

    Args:
        share: the observed proportion, in [0, 1].
        trials: the number of trials, above 0; an effective number need not be an integer.
        confidence: coverage of the interval, in (0, 1).

    Raises:
        ValueError: `share` or `trials` is out of range.
    """
    if not 0 <= share <= 1 or trials <= 0:
        raise ValueError(
            f"expected a share in [0, 1] of more than 0 trials, got {share} of {trials}"
        )
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    centre = share + z * z / (2 * trials)
    margin = z * (share * (1 - share) / trials + z * z / (4 * trials * trials)) ** 0.5
    scale = 1 + z * z / trials
    # At the ends the bounds are exactly 0 and 1, whatever the rounding error.
    lower = 0.0 if share == 0 else max(0.0, (centre - margin) / scale)
    upper = 1.0 if share == 1 else min(1.0, (centre + margin) / scale)
    return lower, upper
