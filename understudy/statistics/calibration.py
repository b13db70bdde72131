"""Calibration of scores as probabilities: proper scoring rules and a reliability table. Pure."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from understudy.domain.probabilities import LEAST_PROBABILITY
from understudy.statistics.groups import Groups, share_without_groups
from understudy.statistics.measures import Number, PairedMeasure, paired_mean
from understudy.statistics.paired import mean_of
from understudy.statistics.units import PART_ROWS, Floats, Units, effective_units, ratio

RELIABILITY_BINS = 10
CLIPPED_BY = 1e-5  # float32 rounds sums of probabilities by less
_EDGES = np.linspace(0, 1, RELIABILITY_BINS + 1)


@dataclass(frozen=True, slots=True)
class ReliabilityBin:
    lower: float
    upper: float
    rows: int
    mean_score: float
    positive_share: Number


@dataclass(frozen=True, slots=True)
class Reliability:
    """The distance of one version's scores from the shares of positives; lower is better."""

    expected_calibration_error: float  # no interval: it is biased upwards, more so with few rows
    bins: tuple[ReliabilityBin, ...]  # only bins with rows
    clipped: int  # scores outside [0, 1] by no more than CLIPPED_BY, counted as 0 or 1


@dataclass(frozen=True, slots=True)
class Calibration:
    """Both versions' scores as probabilities of a positive, on the same labelled rows."""

    brier: PairedMeasure  # lower is better, as of log loss
    log_loss: PairedMeasure
    champion: Reliability
    shadow: Reliability


def are_probabilities(scores: NDArray[np.float64]) -> bool:
    """Return whether all scores are in [0, 1], but for rounding errors of at most CLIPPED_BY."""
    return bool(scores.min() >= -CLIPPED_BY and scores.max() <= 1 + CLIPPED_BY)


def calibration_of(
    labels: NDArray[np.bool_],
    champion: NDArray[np.float64],
    shadow: NDArray[np.float64],
    *,
    units: Units,
    confidence: float = 0.95,
) -> Calibration | None:
    """Evaluate scores as probabilities of a positive; None if a version's are none.

    Brier 1950, "Verification of forecasts expressed in terms of probability": mean squared
    error. Logarithmic score: Good 1952, "Rational decisions", in nats. Expected calibration
    error over equal-width bins: Naeini, Cooper and Hauskrecht 2015.

    Args:
        labels: true class per row, shape (n,).
        champion: score per row, shape (n,), finite.
        shadow: the same rows in the same order, shape (n,), finite.
        units: of the rows.
        confidence: coverage of each interval, in (0, 1).

    Raises:
        ValueError: the shapes differ, or there are no rows.
    """
    if not labels.shape == champion.shape == shadow.shape or labels.size == 0:
        raise ValueError(f"expected equal shapes with rows, got {labels.shape}, {champion.shape}")
    if not (are_probabilities(champion) and are_probabilities(shadow)):
        return None

    def columns(rows: slice) -> tuple[Floats, ...]:
        truth = labels[rows].astype(np.float64)
        one, two = np.clip(champion[rows], 0, 1), np.clip(shadow[rows], 0, 1)
        squares = (one - truth) ** 2, (two - truth) ** 2
        return *squares, log_losses(truth, one), log_losses(truth, two)

    sums = units.sums(columns)
    return Calibration(
        brier=paired_mean(sums, mean_of(1), mean_of(2), confidence=confidence),
        log_loss=paired_mean(sums, mean_of(3), mean_of(4), confidence=confidence),
        champion=reliability_of(labels, champion, units=units, confidence=confidence),
        shadow=reliability_of(labels, shadow, units=units, confidence=confidence),
    )


def reliability_of(
    labels: NDArray[np.bool_],
    scores: Floats,
    *,
    units: Units,
    weights: Floats | None = None,
    confidence: float = 0.95,
) -> Reliability:
    """Return the shares of positives of one version by score, and their distance from the scores.

    Args:
        labels: true class per row, shape (n,).
        scores: shape (n,), probabilities (`are_probabilities`).
        units: of the rows.
        weights: of the rows, above 0. None: all are equal.
        confidence: coverage of each interval, in (0, 1).
    """
    groups, clipped, total = Groups.of(units), 0, 0.0
    counts = np.zeros((groups.count, 2 * RELIABILITY_BINS))  # of negatives, of positives
    score_sums, rows = np.zeros(RELIABILITY_BINS), np.zeros(RELIABILITY_BINS, np.int64)
    for start in range(0, scores.size, PART_ROWS):
        part = slice(start, min(start + PART_ROWS, scores.size))
        inside = np.clip(scores[part], 0, 1)
        clipped += int(np.count_nonzero(inside != scores[part]))
        bin_of = np.minimum((inside * RELIABILITY_BINS).astype(np.int64), RELIABILITY_BINS - 1)
        rows += np.bincount(bin_of, minlength=RELIABILITY_BINS)
        own = inside if weights is None else inside * weights[part]
        total += inside.size if weights is None else float(weights[part].sum())
        score_sums += np.bincount(bin_of, weights=own, minlength=RELIABILITY_BINS)
        cells = labels[part] * RELIABILITY_BINS + bin_of
        counts += groups.counts(part, cells, 2 * RELIABILITY_BINS, weights)
    by_class = counts.reshape(groups.count, 2, RELIABILITY_BINS)
    units_per_row = effective_units(units.weights(weights)) / scores.size
    bins = tuple(
        _bin(
            place,
            by_class[:, :, place],
            score_sums[place],
            int(rows[place]),
            units_per_row,
            confidence,
        )
        for place in np.flatnonzero(rows).tolist()
    )
    gaps = np.abs(score_sums - by_class[:, 1].sum(axis=0))  # times the weight of each bin
    return Reliability(float(gaps.sum()) / total, bins, clipped)


def log_losses(truth: NDArray[np.float64], scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the logarithmic loss of each row, in nats; a certainty counts as LEAST_PROBABILITY.

    Args:
        truth: 0 or 1 per row, shape (n,).
        scores: in [0, 1], shape (n,).
    """
    safe = np.clip(scores, LEAST_PROBABILITY, 1 - LEAST_PROBABILITY)
    losses: NDArray[np.float64] = -(truth * np.log(safe) + (1 - truth) * np.log1p(-safe))
    return losses


def _bin(
    place: int,
    of_groups: Floats,
    score_sum: float,
    rows: int,
    units_per_row: float,
    confidence: float,
) -> ReliabilityBin:
    """Return a bin from its negatives and positives by group, shape (groups, 2)."""
    totals, sizes = of_groups.sum(axis=0), of_groups.sum(axis=1)
    weight = float(totals.sum())
    left = totals - of_groups
    return ReliabilityBin(
        lower=float(_EDGES[place]),
        upper=float(_EDGES[place + 1]),
        rows=rows,
        mean_score=float(score_sum / weight),
        positive_share=share_without_groups(
            float(totals[1] / weight),
            ratio(left[:, 1], left.sum(axis=1)),
            sizes,
            rows=float(rows),
            units=rows * units_per_row,
            confidence=confidence,
        ),
    )
