"""Comparison of a shadow with the version that answered, from the logs."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np

from understudy.comparison.pairs import (
    OutcomeCensus,
    PairedRows,
    Question,
    RowCensus,
    VersionPair,
    read_pairs,
    require_pair,
    version_pairs,
)
from understudy.logs.reader import open_logs
from understudy.statistics.calibration import Calibration, calibration_of
from understudy.statistics.distributions import DistributionShift, distribution_shift
from understudy.statistics.flips import Flips, decision_flips
from understudy.statistics.paired import (
    MIN_PAIRS,
    Correlation,
    MeanDifference,
    absolute_quantiles,
    correlate,
    mean_difference,
)
from understudy.statistics.ranking import AucComparison, can_compare_auc, compare_auc

QUANTILE_LEVELS = (0.5, 0.9, 0.99, 1.0)


@dataclass(frozen=True, slots=True)
class ScoreComparison:
    """The differences between the scores, regardless of outcomes."""

    champion_mean: float
    shadow_mean: float
    difference: MeanDifference | None  # None: fewer than two units
    absolute_quantiles: dict[str, float]  # of |shadow - champion|, e.g. "p99"
    correlation: Correlation
    shift: DistributionShift
    flips: Flips | None  # None: no threshold was given, or fewer than two units


@dataclass(frozen=True, slots=True)
class OutcomeComparison:
    """The quality of the scores on outcomes. None: too few outcomes, or scores not in [0, 1]."""

    auc: AucComparison | None
    champion: Calibration | None
    shadow: Calibration | None


@dataclass(frozen=True, slots=True)
class ComparisonReport:
    """Champion against shadow on the same requests."""

    model: str
    pair: VersionPair
    other_pairs: tuple[VersionPair, ...]  # pairs that also fit the question, not compared here
    since: datetime | None
    confidence: float
    rows: RowCensus
    scores: ScoreComparison | None  # None: fewer than two pairs
    outcomes: OutcomeCensus
    on_outcomes: OutcomeComparison | None  # None: no pair has a binary outcome


def compare(
    log_dir: Path,
    model: str,
    *,
    shadow: int | None = None,
    champion: int | None = None,
    since: datetime | None = None,
    threshold: float | None = None,
    confidence: float = 0.95,
) -> ComparisonReport:
    """Compare the logged scores of `shadow` and `champion` (by default the most recent pair).

    Args:
        log_dir: the directory of the routers' log writers.
        model: name of the deployment.
        shadow: version number of the shadow.
        champion: number of the version that answered, in whichever arm.
        since: UTC, without a zone; rows answered before it are left out.
        threshold: the lowest score that is a positive decision.
        confidence: coverage of every interval, in (0, 1).

    Raises:
        NotFoundError: the directory does not exist.
        InconclusiveError: it holds no row that fits.
        UnavailableError: the logs cannot be read.
    """
    question = Question(model, shadow, champion, since)
    with open_logs(log_dir) as reader:
        pairs = version_pairs(reader, question)
        pair = require_pair(pairs, question)
        rows, census, outcome_census = read_pairs(reader, question, pair)
    return ComparisonReport(
        model=model,
        pair=pair,
        other_pairs=pairs[1:],
        since=since,
        confidence=confidence,
        rows=census,
        scores=_compare_scores(rows, threshold, confidence),
        outcomes=outcome_census,
        on_outcomes=_compare_on_outcomes(rows, confidence),
    )


def _compare_scores(
    rows: PairedRows, threshold: float | None, confidence: float
) -> ScoreComparison | None:
    if rows.champion.size < MIN_PAIRS:
        return None
    champion, shadow, unit = rows.champion, rows.shadow, rows.unit
    has_units = np.unique(unit).size >= MIN_PAIRS
    quantiles = absolute_quantiles(champion, shadow, QUANTILE_LEVELS)
    return ScoreComparison(
        champion_mean=float(champion.mean()),
        shadow_mean=float(shadow.mean()),
        difference=mean_difference(champion, shadow, clusters=unit, confidence=confidence)
        if has_units
        else None,
        absolute_quantiles={
            f"p{level * 100:g}": value
            for level, value in zip(QUANTILE_LEVELS, quantiles, strict=True)
        },
        correlation=correlate(champion, shadow),
        shift=distribution_shift(champion, shadow),
        flips=decision_flips(
            champion, shadow, threshold=threshold, clusters=unit, confidence=confidence
        )
        if has_units and threshold is not None
        else None,
    )


def _compare_on_outcomes(rows: PairedRows, confidence: float) -> OutcomeComparison | None:
    is_binary = (rows.label == 0) | (rows.label == 1)
    if not is_binary.any():
        return None
    labels, unit = rows.label[is_binary] == 1, rows.unit[is_binary]
    champion, shadow = rows.champion[is_binary], rows.shadow[is_binary]
    return OutcomeComparison(
        auc=compare_auc(labels, champion, shadow, clusters=unit, confidence=confidence)
        if can_compare_auc(labels, unit)
        else None,
        champion=calibration_of(labels, champion),
        shadow=calibration_of(labels, shadow),
    )
