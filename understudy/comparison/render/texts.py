"""The contents of a comparison as rows of text: the same in a terminal and in a page."""

from collections.abc import Iterable
from datetime import datetime

from understudy.comparison.compare import ComparisonReport
from understudy.comparison.decisions.verdict import Judged
from understudy.comparison.evidence.rows import Latency, WorstPair
from understudy.comparison.plan import Plan
from understudy.comparison.render.coverage_texts import (
    Facts,
    coverage_facts,
    noise_facts,
    outcomes_text,
)
from understudy.comparison.render.decision_texts import flip_tables, quality_tables
from understudy.comparison.render.number_texts import (
    Row,
    distances_text,
    interval_text,
    measure_row,
    number_text,
    optional_text,
)
from understudy.comparison.sections.quality import ClassQuality
from understudy.comparison.sections.scores import ScoreComparison
from understudy.runtime.terminal.plain_text import shown
from understudy.statistics.calibration import Calibration
from understudy.statistics.errors import ErrorComparison

MEASURES = ("", "answered", "shadow", "shadow - answered")
JUDGED = ("measure", "margin", "difference", "conclusion", "rows", "rows needed")
WORST = ("request", "candidate", "answered at", "answered", "shadow", "outcome")


def fact_tables(report: ComparisonReport) -> list[tuple[str, Facts]]:
    """Return titles and facts of the sections that are not measures of both versions."""
    tables = [
        ("rows", _row_facts(report)),
        ("coverage", coverage_facts(report.coverage)),
        ("inputs and noise", noise_facts(report.inputs, report.noise)),
    ]
    if report.scores is not None:
        tables.append(("differences of single rows", _distance_facts(report.scores)))
    tables += flip_tables(report.decisions)
    tables.append(("latency of the scorers, over rows", latency_facts(report.latency)))
    return tables


def measure_tables(report: ComparisonReport) -> list[tuple[str, list[Row]]]:
    """Return titles and rows of the sections that are measures of both versions."""
    tables: list[tuple[str, list[Row]]] = []
    if report.scores is not None:
        tables.append(("scores", score_rows(report.scores)))
    quality = report.quality
    if quality is not None and quality.classes is not None:
        tables.append(("on outcomes", class_rows(quality.classes)))
    tables += quality_tables(report.decisions)
    if quality is not None and quality.numbers is not None:
        tables.append(("on outcomes that are numbers", number_rows(quality.numbers)))
    return tables


def score_rows(scores: ScoreComparison) -> list[Row]:
    return [measure_row("mean score", scores.mean)]


def class_rows(quality: ClassQuality) -> list[Row]:
    rows: list[Row] = []
    auc = quality.auc
    if auc is None:
        rows.append(("AUC", "a class has rows of fewer than two units", "", ""))
    else:
        note = " (from both intervals: few rows of a class)" if auc.method == "recovery" else ""
        rows.append(
            (
                "AUC",
                number_text(auc.champion),
                number_text(auc.shadow),
                number_text(auc.difference, sign="+") + note,
            )
        )
        rows.append(("positives, negatives", f"{auc.positives}, {auc.negatives}", "", ""))
    if quality.calibration is None:
        rows.append(("calibration", "the scores are no probabilities", "", ""))
        return rows
    return rows + _calibration_rows(quality.calibration)


def _calibration_rows(calibration: Calibration) -> list[Row]:
    champion, shadow = calibration.champion, calibration.shadow
    change = shadow.expected_calibration_error - champion.expected_calibration_error
    rows = [
        measure_row("Brier", calibration.brier),
        measure_row("log loss", calibration.log_loss),
        (
            "calibration error",
            f"{champion.expected_calibration_error:.6f}",
            f"{shadow.expected_calibration_error:.6f}",
            f"{change:+.6f} (biased upwards: no interval)",
        ),
    ]
    if champion.clipped or shadow.clipped:
        clipped = (f"{champion.clipped}", f"{shadow.clipped}", "")
        rows.append(("scores rounded to 0 or 1", *clipped))
    return rows


def number_rows(errors: ErrorComparison) -> list[Row]:
    return [
        measure_row("mean absolute error", errors.absolute),
        measure_row("mean squared error", errors.squared),
        measure_row("bias", errors.bias),
    ]


def latency_facts(latency: Iterable[Latency]) -> Facts:
    """Return the round trips of either version; they have no interval, as rows share a batch."""
    return [
        (
            f"version {each.version}, {each.rows} rows",
            f"p50 {_ms(each.p50_us)}, p90 {_ms(each.p90_us)}, p99 {_ms(each.p99_us)}",
        )
        for each in latency
    ]


def _ms(time_us: float | None) -> str:
    return "unknown" if time_us is None else f"{time_us / 1000:.2f} ms"


def margins_origin(plan: Plan, first_at: datetime) -> str:
    """Return the origin of the margins, for rows from `first_at` on; "" without margins."""
    if plan.margins is None:
        return ""
    written = plan.written
    if written is None:
        return "margins given after the rows were logged, not on record"
    late = "" if written.at <= first_at else ", after the first of these rows"
    return (
        f"margins written down by {written.actor} at {shown(written.at)}, "
        f"revision {written.revision}{late}"
    )


def judged_row(each: Judged) -> tuple[str, ...]:
    return (
        each.measure.value,
        f"{each.margin:g}",
        interval_text(each.difference, each.lower, each.upper, sign="+") or each.why,
        each.outcome.value,
        f"{each.rows:,}",
        "" if each.rows_needed is None else f"about {each.rows_needed:,}",
    )


def _row_facts(report: ComparisonReport) -> Facts:
    rows, outcomes = report.rows, report.outcomes
    return [
        ("compared", f"{rows.pairs} pairs of {rows.requests} requests, {rows.units} units"),
        ("ids used again", f"{rows.reused_ids} requests"),
        ("shadow failed", f"{rows.error} errors, {rows.timeout} timeouts"),
        ("left out", f"{rows.duplicates} duplicates, {rows.not_finite} not finite"),
        ("outcomes", outcomes_text(outcomes, of="pairs")),
    ]


def _distance_facts(scores: ScoreComparison) -> Facts:
    quantiles = ", ".join(f"{k} {v:.6f}" for k, v in scores.absolute_quantiles.items())
    pearson, spearman = scores.correlation.pearson, scores.correlation.spearman
    limits = scores.agreement
    return [
        ("|difference|", quantiles),
        ("limits of agreement", f"{limits.lower:+.6f} to {limits.upper:+.6f}"),
        ("correlation", f"Pearson {optional_text(pearson)}, Spearman {optional_text(spearman)}"),
        ("distributions", distances_text(scores.shift)),
    ]


def worst_rows(worst: Iterable[WorstPair]) -> list[tuple[str, ...]]:
    return [
        (
            each.request_id,
            each.candidate_id or "",
            shown(each.at),
            f"{each.champion:.6f}",
            f"{each.shadow:.6f}",
            "" if each.label is None else f"{each.label:g}",
        )
        for each in worst
    ]
