"""Scores: how far those of the two versions differ, regardless of outcomes."""

from dataclasses import dataclass

from understudy.comparison.evidence.rows import PairedRows
from understudy.statistics.distributions import DistributionShift, Sample, distribution_shift
from understudy.statistics.measures import PairedMeasure
from understudy.statistics.paired import (
    MIN_PAIRS,
    Agreement,
    Correlation,
    absolute_quantiles,
    agreement,
    correlate,
    mean_scores,
)
from understudy.statistics.units import units_of

QUANTILE_LEVELS = (0.5, 0.9, 0.99, 1.0)


@dataclass(frozen=True, slots=True)
class ScoreComparison:
    """The differences between the scores."""

    pairs: int
    mean: PairedMeasure
    absolute_quantiles: dict[str, float]  # of |shadow - champion|, e.g. "p99"
    agreement: Agreement
    correlation: Correlation  # a rank correlation of 1 is a rescaling, lower is a re-ranking
    shift: DistributionShift


def compare_scores(rows: PairedRows, *, confidence: float) -> ScoreComparison | None:
    """Return the differences; None for fewer than two pairs."""
    if rows.champion.size < MIN_PAIRS:
        return None
    champion, shadow, units = rows.champion, rows.shadow, units_of(rows.unit)
    samples = (Sample.of(each, units) for each in (champion, shadow))
    quantiles = absolute_quantiles(champion, shadow, QUANTILE_LEVELS)
    return ScoreComparison(
        pairs=champion.size,
        mean=mean_scores(champion, shadow, units=units, confidence=confidence),
        absolute_quantiles={
            f"p{level * 100:g}": value
            for level, value in zip(QUANTILE_LEVELS, quantiles, strict=True)
        },
        agreement=agreement(champion, shadow),
        correlation=correlate(champion, shadow),
        shift=distribution_shift(*samples),
    )
