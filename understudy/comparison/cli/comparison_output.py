"""Prints a comparison for people."""

from dataclasses import asdict
from datetime import datetime

from rich.table import Table

from understudy.comparison.cli.output import Format, console_of_width, print_json
from understudy.comparison.compare import ComparisonReport, OutcomeComparison, ScoreComparison
from understudy.statistics.calibration import Calibration
from understudy.statistics.ranking import Auc


def print_comparison(report: ComparisonReport, form: Format) -> None:
    if form is Format.JSON:
        print_json(asdict(report))
        return
    console = console_of_width()
    pair = report.pair
    console.print(
        f"[bold]{report.model}[/bold]: shadow [bold]{pair.shadow}[/bold] against "
        f"[bold]{pair.champion}[/bold], {_time(pair.first_at)} to {_time(pair.last_at)} UTC"
    )
    console.print(_rows_table(report))
    if report.scores is not None:
        console.print(_scores_table(report.scores, report.confidence))
    if report.on_outcomes is not None:
        console.print(_outcomes_table(report.on_outcomes, report.confidence))
    for other in report.other_pairs:
        console.print(
            f"also logged: shadow {other.shadow} beside {other.champion}, {other.rows} rows"
        )


def _rows_table(report: ComparisonReport) -> Table:
    rows, outcomes = report.rows, report.outcomes
    table = _facts_table("rows")
    table.add_row("compared", f"{rows.pairs} pairs of {rows.requests} requests, {rows.units} units")
    table.add_row("shadow failed", f"{rows.error} errors, {rows.timeout} timeouts")
    table.add_row("left out", f"{rows.duplicates} duplicates, {rows.not_finite} not finite")
    table.add_row(
        "outcomes",
        f"{outcomes.matched} pairs with, {outcomes.unmatched_pairs} without; "
        f"{outcomes.duplicates} repeated, {outcomes.conflicting} conflicting, "
        f"{outcomes.observed_before_answer} observed before the answer, "
        f"{outcomes.not_binary} not 0 or 1, {outcomes.of_candidates} of candidates",
    )
    return table


def _scores_table(scores: ScoreComparison, confidence: float) -> Table:
    table = _facts_table(f"scores (intervals at {confidence:.0%})")
    table.add_row("means", f"{scores.champion_mean:.6f} answered, {scores.shadow_mean:.6f} shadow")
    if scores.difference is not None:
        difference = scores.difference
        table.add_row(
            "mean difference",
            f"{_interval(difference.estimate, difference.lower, difference.upper, sign='+')} "
            f"over {difference.clusters} units",
        )
    table.add_row(
        "|difference|", ", ".join(f"{k} {v:.6f}" for k, v in scores.absolute_quantiles.items())
    )
    correlation = scores.correlation
    table.add_row(
        "correlation",
        f"Pearson {_optional(correlation.pearson)}, Spearman {_optional(correlation.spearman)}",
    )
    table.add_row("distributions", f"KS {scores.shift.ks_distance:.4f}, PSI {scores.shift.psi:.4f}")
    if scores.flips is not None:
        flips = scores.flips
        table.add_row(
            f"decisions at {flips.threshold:g}",
            f"{flips.to_positive + flips.to_negative} flips ({flips.to_positive} to positive, "
            f"{flips.to_negative} to negative), {_interval(flips.rate, flips.lower, flips.upper)}",
        )
    return table


def _outcomes_table(outcomes: OutcomeComparison, confidence: float) -> Table:
    table = Table(title=f"on outcomes (intervals at {confidence:.0%})", title_justify="left")
    for heading in ("", "answered", "shadow", "shadow - answered"):
        table.add_column(heading)
    auc = outcomes.auc
    if auc is not None:
        p_value = "" if auc.p_value is None else f", p = {auc.p_value:.3g}"
        difference = f"{_auc(auc.difference, sign='+')}{p_value}"
        table.add_row("AUC", _auc(auc.champion), _auc(auc.shadow), difference)
        table.add_row("positives, negatives", f"{auc.positives}, {auc.negatives}", "", "")
    champion, shadow = outcomes.champion, outcomes.shadow
    for label, name in (
        ("Brier", "brier"),
        ("log loss", "log_loss"),
        ("calibration error", "expected_calibration_error"),
    ):
        table.add_row(label, *_calibration_cells(champion, shadow, name))
    return table


def _calibration_cells(
    champion: Calibration | None, shadow: Calibration | None, name: str
) -> list[str]:
    values = [None if each is None else float(getattr(each, name)) for each in (champion, shadow)]
    first, second = values
    change = "" if first is None or second is None else f"{second - first:+.6f}"
    return [*(_optional(value, "no probabilities") for value in values), change]


def _facts_table(title: str) -> Table:
    table = Table(title=title, title_justify="left", show_header=False)
    table.add_column(style="bold")
    table.add_column()
    return table


def _auc(auc: Auc, sign: str = "") -> str:
    return _interval(auc.estimate, auc.lower, auc.upper, sign=sign)


def _interval(estimate: float, lower: float, upper: float, sign: str = "") -> str:
    return f"{estimate:{sign}.6f} [{lower:{sign}.6f}, {upper:{sign}.6f}]"


def _optional(value: float | None, otherwise: str = "undefined") -> str:
    return otherwise if value is None else f"{value:.6f}"


def _time(moment: datetime) -> str:
    return moment.isoformat(sep=" ", timespec="seconds")
