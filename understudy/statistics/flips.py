"""How many decisions a shadow would change. Pure."""

from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from understudy.statistics.paired import mean_variance, paired_differences


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
    clusters: NDArray[np.int64],
    confidence: float = 0.95,
) -> Flips:
    """Count the decisions that would change; a score at the threshold decides positive.

    Rows of one cluster flip together more often than not, so they tell less than their number:
    the interval is Wilson's at the effective number of rows n / deff, with deff the ratio of
    the cluster-robust variance to the simple one (Kish 1965, "Survey sampling"; as Dean and
    Pagano 2015, "Evaluating confidence interval methods for binomial proportions in clustered
    surveys"), never below 1. Without any flip, or with nothing else, there is no variance to
    compare, and each cluster counts once.

    Args:
        champion: score per row, shape (n,), finite.
        shadow: the same rows in the same order, shape (n,), finite.
        threshold: where a score becomes a positive decision.
        clusters: label of each row's cluster, shape (n,).
        confidence: coverage of the interval, in (0, 1).

    Raises:
        ValueError: as `paired_differences`, or fewer than two clusters.
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

    Unlike the normal interval it keeps its coverage near 0 and 1, where flips live.

    Args:
        share: the proportion seen, in [0, 1].
        trials: how many, above 0; an effective number need not be whole.
        confidence: coverage of the interval, in (0, 1).

    Raises:
        ValueError: `share` or `trials` lies outside.
    """
    if not 0 <= share <= 1 or trials <= 0:
        raise ValueError(f"need a share in [0, 1] of more than 0 trials, got {share} of {trials}")
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    centre = share + z * z / (2 * trials)
    margin = z * (share * (1 - share) / trials + z * z / (4 * trials * trials)) ** 0.5
    scale = 1 + z * z / trials
    # At the ends the bounds are 0 and 1 exactly; rounding must not say otherwise.
    lower = 0.0 if share == 0 else max(0.0, (centre - margin) / scale)
    upper = 1.0 if share == 1 else min(1.0, (centre + margin) / scale)
    return lower, upper
