"""Calibration of scores as probabilities: proper scoring rules and a reliability table. Pure."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

RELIABILITY_BINS = 10
_CLIP = 1e-15  # a wrong probability of 0 or 1 would have an infinite logarithmic score


@dataclass(frozen=True, slots=True)
class ReliabilityBin:
    lower: float
    upper: float
    rows: int
    mean_score: float
    positive_share: float


@dataclass(frozen=True, slots=True)
class Calibration:
    """The calibration of one version on labelled rows; all three numbers are better if lower."""

    brier: float
    log_loss: float
    expected_calibration_error: float
    bins: tuple[ReliabilityBin, ...]  # only bins with rows


def calibration_of(labels: NDArray[np.bool_], scores: NDArray[np.float64]) -> Calibration | None:
    """Evaluate `scores` as probabilities of a positive; None if they are not in [0, 1].

    Brier 1950, "Verification of forecasts expressed in terms of probability": mean squared
    error. Logarithmic score: Good 1952, "Rational decisions", in nats. Expected calibration
    error over equal-width bins: Naeini, Cooper and Hauskrecht 2015.

    Raises:
        ValueError: the shapes differ, or there are no rows.
    """
    if labels.shape != scores.shape or labels.size == 0:
        raise ValueError(f"expected equal shapes with rows, got {labels.shape} and {scores.shape}")
    if scores.min() < 0 or scores.max() > 1:
        return None
    truth = labels.astype(np.float64)
    safe = np.clip(scores, _CLIP, 1 - _CLIP)
    bins = _reliability(truth, scores)
    gaps = sum(b.rows * abs(b.mean_score - b.positive_share) for b in bins)
    return Calibration(
        brier=float(np.mean((scores - truth) ** 2)),
        log_loss=float(-np.mean(truth * np.log(safe) + (1 - truth) * np.log1p(-safe))),
        expected_calibration_error=gaps / labels.size,
        bins=bins,
    )


def _reliability(
    truth: NDArray[np.float64], scores: NDArray[np.float64]
) -> tuple[ReliabilityBin, ...]:
    edges = np.linspace(0, 1, RELIABILITY_BINS + 1)
    bin_of = np.minimum((scores * RELIABILITY_BINS).astype(np.int64), RELIABILITY_BINS - 1)
    rows = np.bincount(bin_of, minlength=RELIABILITY_BINS)
    score_sums = np.bincount(bin_of, weights=scores, minlength=RELIABILITY_BINS)
    truth_sums = np.bincount(bin_of, weights=truth, minlength=RELIABILITY_BINS)
    return tuple(
        ReliabilityBin(
            lower=float(edges[index]),
            upper=float(edges[index + 1]),
            rows=int(rows[index]),
            mean_score=float(score_sums[index] / rows[index]),
            positive_share=float(truth_sums[index] / rows[index]),
        )
        for index in np.flatnonzero(rows).tolist()
    )
