"""How well scores rank the positives above the negatives, and whether one ranks better. Pure."""

from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray
from scipy import stats

MIN_OF_A_CLASS = 2  # a variance needs two


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
    p_value: float | None  # of no difference; None: the two rank alike, variance 0
    positives: int
    negatives: int


def compare_auc(
    labels: NDArray[np.bool_],
    champion: NDArray[np.float64],
    shadow: NDArray[np.float64],
    *,
    confidence: float = 0.95,
) -> AucComparison:
    """Estimate both areas and their difference, with DeLong's covariance.

    DeLong, DeLong and Clarke-Pearson 1988, "Comparing the areas under two or more correlated
    receiver operating characteristic curves", eq. 4-6, computed from midranks in O(n log n)
    as in Sun and Xu 2014, "Fast implementation of DeLong's algorithm". Intervals of the
    areas are made on the logit scale and stay inside (0, 1); that of the difference is normal.

    Args:
        labels: truth per row, shape (n,).
        champion: score per row, shape (n,), finite.
        shadow: the same rows in the same order, shape (n,), finite.
        confidence: coverage of the intervals, in (0, 1).

    Raises:
        ValueError: fewer than two positives or two negatives, or shapes differ.
    """
    if not labels.shape == champion.shape == shadow.shape:
        raise ValueError(f"shapes differ: {labels.shape}, {champion.shape}, {shadow.shape}")
    positives, negatives = int(labels.sum()), int((~labels).sum())
    if min(positives, negatives) < MIN_OF_A_CLASS:
        raise ValueError(f"need two of each class, got {positives} and {negatives}")
    parts = [_placements(labels, scores) for scores in (champion, shadow)]
    areas = [float(of_positives.mean()) for of_positives, _ in parts]
    covariance = (
        np.cov(np.stack([p for p, _ in parts])) / positives
        + np.cov(np.stack([n for _, n in parts])) / negatives
    )
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    difference = areas[1] - areas[0]
    variance = float(covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1])
    error = max(variance, 0.0) ** 0.5
    return AucComparison(
        champion=_with_logit_interval(areas[0], float(covariance[0, 0]), z),
        shadow=_with_logit_interval(areas[1], float(covariance[1, 1]), z),
        difference=Auc(difference, difference - z * error, difference + z * error),
        p_value=2 * NormalDist().cdf(-abs(difference) / error) if error > 0 else None,
        positives=positives,
        negatives=negatives,
    )


def _placements(
    labels: NDArray[np.bool_], scores: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return DeLong's structural components: per positive, the share of negatives below it
    (ties count half); per negative, the share of positives above it.
    """
    above, below = scores[labels], scores[~labels]
    ranks = stats.rankdata(np.concatenate([above, below]))
    of_positives = (ranks[: above.size] - stats.rankdata(above)) / below.size
    of_negatives = 1 - (ranks[above.size :] - stats.rankdata(below)) / above.size
    return of_positives, of_negatives


def _with_logit_interval(area: float, variance: float, z: float) -> Auc:
    if not 0 < area < 1:
        return Auc(area, area, area)  # a perfect ranking: DeLong's variance is 0
    logit = np.log(area / (1 - area))
    margin = z * variance**0.5 / (area * (1 - area))
    return Auc(area, *(float(1 / (1 + np.exp(-(logit + side * margin)))) for side in (-1, 1)))
