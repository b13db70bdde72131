"""Scores: how far those of the two versions differ, regardless of outcomes."""

from dataclasses import dataclass

import numpy as np

from understudy.comparison.evidence.rows import PairedRows
from understudy.statistics.distributions import DistributionShift, distribution_shift
from understudy.statistics.intervals import interval_of
from understudy.statistics.measures import Number, PairedMeasure, number_of
from understudy.statistics.paired import (
    MIN_PAIRS,
    Agreement,
    Correlation,
    absolute_quantiles,
    agreement,
    correlate,
    mean_of,
    mean_scores,
)
from understudy.statistics.units import effective_units, jackknife, units_of

QUANTILE_LEVELS = (0.5, 0.9, 0.99, 1.0)


@dataclass(frozen=True, slots=True)
class DayOfScores:
    """The pairs of one day, UTC."""

    day: str
    pairs: int
    difference: Number  # mean of shadow minus champion


@dataclass(frozen=True, slots=True)
class ScoreComparison:
    """The differences between the scores."""

    mean: PairedMeasure
    absolute_quantiles: dict[str, float]  # of |shadow - champion|, e.g. "p99"
    agreement: Agreement
    correlation: Correlation  # a rank correlation of 1 is a rescaling, lower is a re-ranking
    shift: DistributionShift
    days: tuple[DayOfScores, ...]


def compare_scores(rows: PairedRows, *, confidence: float) -> ScoreComparison | None:
    """Return the differences; None for fewer than two pairs."""
    if rows.champion.size < MIN_PAIRS:
        return None
    champion, shadow, units = rows.champion, rows.shadow, units_of(rows.unit)
    quantiles = absolute_quantiles(champion, shadow, QUANTILE_LEVELS)
    return ScoreComparison(
        mean=mean_scores(champion, shadow, units=units, confidence=confidence),
        absolute_quantiles={
            f"p{level * 100:g}": value
            for level, value in zip(QUANTILE_LEVELS, quantiles, strict=True)
        },
        agreement=agreement(champion, shadow),
        correlation=correlate(champion, shadow),
        shift=distribution_shift(champion, shadow, rows=effective_units(units.rows)),
        days=_days(rows, confidence),
    )


def _days(rows: PairedRows, confidence: float) -> tuple[DayOfScores, ...]:
    return tuple(
        _day(int(day), rows.where(rows.day == day), confidence) for day in np.unique(rows.day)
    )


def _day(day: int, rows: PairedRows, confidence: float) -> DayOfScores:
    units = units_of(rows.unit)
    sums = units.sums(lambda part: (rows.shadow[part] - rows.champion[part],))
    estimate = jackknife(sums, mean_of(1))
    difference = number_of(estimate, interval_of(estimate, confidence=confidence))
    return DayOfScores(str(np.datetime64(day, "D")), rows.champion.size, difference)
