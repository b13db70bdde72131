"""Comparison of a shadow with the version that answered, from the logs."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from understudy.comparison.decisions.own_version import NoiseKind, is_own, statement_of
from understudy.comparison.decisions.verdict import Shown, Verdict
from understudy.comparison.evidence.engine import MEMORY_LIMIT
from understudy.comparison.evidence.offered import (
    read_identity,
    read_offered,
    read_own_shadow,
)
from understudy.comparison.evidence.pairs import read_evidence
from understudy.comparison.evidence.rows import (
    Latency,
    OutcomeCensus,
    Question,
    RowCensus,
    SentRows,
    VersionPair,
    WorstPair,
)
from understudy.comparison.evidence.slice_columns import read_slice_columns
from understudy.comparison.evidence.unit_forms import unit_forms
from understudy.comparison.evidence.version_pairs import require_pair, version_pairs
from understudy.comparison.plan import MarginsOf, Plan, completed, nothing_written, verdict_by
from understudy.comparison.sections.coverage import Coverage, coverage_of
from understudy.comparison.sections.curves import Curves, curves_of
from understudy.comparison.sections.days import DayOfPairs, days_of
from understudy.comparison.sections.decisions import DecisionsAt, acting_of, compare_decisions
from understudy.comparison.sections.noise import Inputs, Noise, inputs_of, noise_of
from understudy.comparison.sections.quality import (
    ClassQuality,
    Quality,
    compare_quality,
    mixture_of,
)
from understudy.comparison.sections.scores import ScoreComparison, compare_scores
from understudy.comparison.sections.slices import SliceComparison, compare_slices
from understudy.domain.margins import Measure
from understudy.logs.reader import open_logs
from understudy.logs.schema import LogKind
from understudy.statistics.decisions import DecisionQuality
from understudy.statistics.units import Estimate


@dataclass(frozen=True, slots=True)
class ComparisonReport:
    """Champion against shadow on the same requests."""

    question: Question
    pair: VersionPair
    plan: Plan
    rows: RowCensus
    coverage: Coverage
    inputs: Inputs
    noise: Noise | None  # None: no shadow of the champion's own version was logged
    noise_kind: NoiseKind | None  # of an A/A test; None: the versions differ
    scores: ScoreComparison | None  # None: fewer than two pairs
    decisions: tuple[DecisionsAt, ...]  # at each threshold, first that which acts
    outcomes: OutcomeCensus
    quality: Quality | None  # None: no pair has an outcome
    latency: tuple[Latency, ...]  # of either version
    worst: tuple[WorstPair, ...]
    curves: Curves | None  # None: fewer than two pairs
    days: tuple[DayOfPairs, ...]
    slices: SliceComparison | None  # None: no column was asked for, or fewer than two pairs
    verdict: Verdict | None  # None: no margins were given


def compare(
    log_dir: Path,
    question: Question,
    plan: Plan | None = None,
    *,
    written: MarginsOf = nothing_written,
) -> ComparisonReport:
    """Compare the logged scores of a shadow and the version that answered.

    Args:
        log_dir: the directory of the routers' log writers.
        question: the rows to compare.
        plan: how to judge them. None: without threshold and verdict, unless margins are written.
        written: the margins on record for the version, which count if the plan has none.

    Raises:
        NotFoundError: the directory does not exist.
        InconclusiveError: it holds no row that fits.
        InvalidInputError: several pairs of versions fit, or a margin cannot act.
        UnavailableError: the logs, or the margins on record, cannot be read.
    """
    plan = plan or Plan()
    with open_logs(log_dir, question.scope, memory_limit=MEMORY_LIMIT) as reader:
        pair = require_pair(version_pairs(reader, question), question)
        plan = completed(plan, pair.shadow, written)
        evidence = read_evidence(reader, question, pair)
        offered = read_offered(reader, question, pair)
        identity = read_identity(reader, question, pair)
        own = read_own_shadow(reader, question, pair, plan.threshold)
        columns = read_slice_columns(
            reader, question.model, plan.slices, plan.slices_file, evidence.census.pairs
        )
        forms = unit_forms(
            log_dir,
            LogKind.SHADOW,
            question.model,
            first_at=pair.first_at,
            last_at=pair.last_at,
        )
    rows, is_lost = evidence.rows, evidence.is_lost
    coverage = coverage_of(
        SentRows(is_lost, rows.champion, rows.unit, rows.label),
        least_kept=plan.least_kept,
        offered=offered,
        unit_forms=forms,
        left_out=reader.left_out,
    )
    kind = NoiseKind.RUNTIME
    coverage = replace(
        coverage,
        warnings=(*statement_of(pair, kind), *mixture_of([evidence.outcomes]), *coverage.warnings),
    )
    rows = rows.where(~is_lost)
    evidence = replace(evidence, rows=rows)  # frees the rows that were lost
    scores = compare_scores(rows, confidence=plan.confidence)
    decisions = compare_decisions(rows, plan)
    quality = compare_quality(rows, plan)
    return ComparisonReport(
        question=question,
        pair=pair,
        plan=plan,
        rows=evidence.census,
        coverage=coverage,
        inputs=inputs_of(identity, confidence=plan.confidence),
        noise=noise_of(own, threshold=plan.threshold, confidence=plan.confidence),
        noise_kind=kind if is_own(pair) else None,
        scores=scores,
        decisions=decisions,
        outcomes=evidence.outcomes,
        quality=quality,
        worst=evidence.worst,
        curves=curves_of(rows, confidence=plan.confidence),
        days=days_of(rows, plan),
        slices=compare_slices(rows, columns, confidence=plan.confidence),
        latency=evidence.latency,
        verdict=verdict_by(plan, shown_of(scores, decisions, quality), coverage.refusals),
    )


def shown_of(
    scores: ScoreComparison | None, decisions: Sequence[DecisionsAt], quality: Quality | None
) -> dict[Measure, Shown]:
    """Return the differences that a verdict may rest on, of the measures that were computed.

    Decisions count at the threshold that acts.
    """
    shown: dict[Measure, Shown] = {}
    if scores is not None:
        shown[Measure.MEAN_SCORE] = Shown(scores.mean.estimate, scores.pairs)
    acting = acting_of(decisions)
    if acting is not None:
        shown[Measure.POSITIVE_SHARE] = Shown(
            acting.flips.positive_share.estimate, acting.flips.pairs
        )
    if quality is not None and quality.classes is not None:
        rows = quality.classes.rows
        found = _of_classes(quality.classes)
        if acting is not None and acting.quality is not None:
            found |= _of_decisions(acting.quality)
        shown |= {measure: Shown(estimate, rows) for measure, estimate in found.items()}
    if quality is not None and quality.numbers is not None:
        numbers = quality.numbers
        shown[Measure.ABSOLUTE_ERROR] = Shown(numbers.absolute.estimate, numbers.rows)
        shown[Measure.SQUARED_ERROR] = Shown(numbers.squared.estimate, numbers.rows)
    return shown


def _of_classes(classes: ClassQuality) -> dict[Measure, Estimate]:
    found: dict[Measure, Estimate] = {}
    if classes.auc is not None:
        found[Measure.AUC] = classes.auc.estimate
    if classes.calibration is not None:
        found[Measure.BRIER] = classes.calibration.brier.estimate
        found[Measure.LOG_LOSS] = classes.calibration.log_loss.estimate
    return found


def _of_decisions(decisions: DecisionQuality) -> dict[Measure, Estimate]:
    found = {
        Measure.RECALL: decisions.recall.estimate,
        Measure.PRECISION: decisions.precision.estimate,
        Measure.FALSE_POSITIVE_RATE: decisions.false_positive_rate.estimate,
    }
    if decisions.cost is not None:
        found[Measure.COST] = decisions.cost.estimate
    if decisions.matched is not None:
        found[Measure.RECALL_AT_EQUAL_ALARMS] = decisions.matched.recall.estimate
    return found
