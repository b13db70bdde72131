"""A comparison as tables for a terminal."""

from collections.abc import Iterable

from understudy.comparison.compare import ComparisonReport
from understudy.comparison.decisions.verdict import Judged, Outcome, Verdict
from understudy.comparison.evidence.rows import WorstPair
from understudy.comparison.render.measures import (
    Row,
    class_rows,
    decision_rows,
    flip_facts,
    interval_text,
    number_rows,
    optional_text,
    score_rows,
)
from understudy.comparison.sections.coverage import Coverage
from understudy.comparison.sections.scores import ScoreComparison
from understudy.runtime.terminal.plain_text import shown
from understudy.runtime.terminal.screen import Screen
from understudy.statistics.loss import LossDependence

_MEASURES = ("", "answered", "shadow", "shadow - answered")
_JUDGED = ("measure", "margin", "shadow - answered", "conclusion", "rows", "rows needed")
_WORST = ("request", "candidate", "answered at", "answered", "shadow", "outcome")
_STYLES = {Outcome.BETTER: "green", Outcome.EQUIVALENT: "green", Outcome.WORSE: "red"}
Facts = list[tuple[str, object]]


def print_comparison(report: ComparisonReport) -> None:
    screen, pair = Screen(), report.pair
    at = f"intervals at {report.plan.confidence:.0%}, by unit"
    screen.say(
        (report.question.model, "bold"),
        ": shadow ",
        (str(pair.shadow), "bold"),
        " against ",
        (str(pair.champion), "bold"),
        f", {shown(pair.first_at)} to {shown(pair.last_at)}",
    )
    screen.facts(_row_facts(report), title="rows")
    screen.facts(_coverage_facts(report.coverage), title="coverage")
    if report.scores is not None:
        screen.table(_MEASURES, score_rows(report.scores), title=f"scores ({at})")
        screen.facts(_distance_facts(report.scores), title="differences of single rows")
    if report.flips is not None:
        title = f"decisions at {report.flips.threshold:g} ({at})"
        screen.facts(flip_facts(report.flips), title=title)
    _print_quality(screen, report, at)
    if report.worst:
        screen.table(_WORST, _worst_rows(report.worst), title="largest differences")
    _print_verdict(screen, report.verdict)


def _print_quality(screen: Screen, report: ComparisonReport, at: str) -> None:
    quality = report.quality
    if quality is None:
        return
    rows: list[Row] = []
    if quality.classes is not None:
        rows += class_rows(quality.classes)
        if quality.classes.decisions is not None:
            rows += decision_rows(quality.classes.decisions)
    if quality.numbers is not None:
        rows += number_rows(quality.numbers)
    screen.table(_MEASURES, rows, title=f"on outcomes ({at})")


def _print_verdict(screen: Screen, verdict: Verdict | None) -> None:
    if verdict is None:
        return
    rows = [_judged_row(each) for each in verdict.judged]
    screen.table(_JUDGED, rows, title="verdict, with intervals that hold at every look")
    at = "" if verdict.threshold is None else f", for the threshold {verdict.threshold:g}"
    style = _STYLES.get(verdict.outcome, "yellow")
    screen.say((verdict.outcome.value, f"bold {style}"), f"{at}: {verdict.why}")


def _judged_row(each: Judged) -> tuple[str, ...]:
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
    truth = (
        f"{outcomes.matched} pairs with, {outcomes.unmatched_pairs} without "
        f"({outcomes.immature} of them too young); "
        f"{outcomes.duplicates} repeated, {outcomes.conflicting} conflicting, "
        f"{outcomes.observed_before_answer} observed before the answer, "
        f"{outcomes.not_binary} not 0 or 1, {outcomes.of_candidates} of candidates, "
        f"{outcomes.of_several_units} of several units"
    )
    return [
        ("compared", f"{rows.pairs} pairs of {rows.requests} requests, {rows.units} units"),
        ("ids used again", f"{rows.reused_ids} requests"),
        ("shadow failed", f"{rows.error} errors, {rows.timeout} timeouts"),
        ("left out", f"{rows.duplicates} duplicates, {rows.not_finite} not finite"),
        ("outcomes", truth),
    ]


def _coverage_facts(coverage: Coverage) -> Facts:
    share = "none was sent" if coverage.kept_share is None else f"{coverage.kept_share:.2%}"
    facts: Facts = [
        ("answered by the shadow", f"{coverage.kept} of {coverage.sent} sent rows ({share})"),
        ("lost by score", _loss_text(coverage.by_score)),
        ("lost by outcome", _loss_text(coverage.by_outcome)),
        ("effective units", f"{coverage.effective_units:.1f}"),
    ]
    facts += [("REFUSED", reason) for reason in coverage.refusals]
    facts += [("warning", reason) for reason in coverage.warnings]
    return facts


def _loss_text(loss: LossDependence) -> str:
    chance = loss.chance
    found = interval_text(chance.estimate, chance.lower, chance.upper)
    if found is None:
        return chance.why
    return f"chance {found} that a lost row has the higher one; 0.5 if neutral"


def _distance_facts(scores: ScoreComparison) -> Facts:
    quantiles = ", ".join(f"{k} {v:.6f}" for k, v in scores.absolute_quantiles.items())
    pearson, spearman = scores.correlation.pearson, scores.correlation.spearman
    limits, shift = scores.agreement, scores.shift
    distances = (
        f"KS {shift.ks_distance:.4f}, PSI {shift.psi:.4f} "
        f"(independent samples of one distribution: up to {shift.psi_by_chance:.4f})"
    )
    return [
        ("|difference|", quantiles),
        ("limits of agreement", f"{limits.lower:+.6f} to {limits.upper:+.6f}"),
        ("correlation", f"Pearson {optional_text(pearson)}, Spearman {optional_text(spearman)}"),
        ("distributions", distances),
    ]


def _worst_rows(worst: Iterable[WorstPair]) -> list[tuple[str, ...]]:
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
