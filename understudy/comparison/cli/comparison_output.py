"""Output of a comparison for people."""

from understudy.comparison.compare import ComparisonReport, OutcomeComparison, ScoreComparison
from understudy.runtime.terminal.json_output import print_json
from understudy.runtime.terminal.output_option import Format
from understudy.runtime.terminal.plain_text import shown
from understudy.runtime.terminal.screen import Screen
from understudy.statistics.calibration import Calibration
from understudy.statistics.ranking import Auc

_ON_OUTCOMES = ("", "answered", "shadow", "shadow - answered")
Facts = list[tuple[str, object]]


def print_comparison(report: ComparisonReport, form: Format) -> None:
    if form is Format.JSON:
        print_json(report)
        return
    screen, pair, at = Screen(), report.pair, f"intervals at {report.confidence:.0%}"
    screen.say(
        (report.model, "bold"),
        ": shadow ",
        (str(pair.shadow), "bold"),
        " against ",
        (str(pair.champion), "bold"),
        f", {shown(pair.first_at)} to {shown(pair.last_at)}",
    )
    screen.facts(_row_facts(report), title="rows")
    if report.scores is not None:
        screen.facts(_score_facts(report.scores), title=f"scores ({at})")
    if report.on_outcomes is not None:
        rows = _outcome_rows(report.on_outcomes)
        screen.table(_ON_OUTCOMES, rows, title=f"on outcomes ({at})")
    for other in report.other_pairs:
        screen.say(
            f"also logged: shadow {other.shadow} against {other.champion}, {other.rows} rows"
        )


def _row_facts(report: ComparisonReport) -> Facts:
    rows, outcomes = report.rows, report.outcomes
    truth = (
        f"{outcomes.matched} pairs with, {outcomes.unmatched_pairs} without; "
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


def _score_facts(scores: ScoreComparison) -> Facts:
    facts: Facts = [
        ("means", f"{scores.champion_mean:.6f} answered, {scores.shadow_mean:.6f} shadow")
    ]
    if scores.difference is not None:
        difference = scores.difference
        interval = _interval(difference.estimate, difference.lower, difference.upper, sign="+")
        facts.append(("mean difference", f"{interval} over {difference.clusters} units"))
    quantiles = ", ".join(f"{k} {v:.6f}" for k, v in scores.absolute_quantiles.items())
    pearson, spearman = scores.correlation.pearson, scores.correlation.spearman
    facts += [
        ("|difference|", quantiles),
        ("correlation", f"Pearson {_optional(pearson)}, Spearman {_optional(spearman)}"),
        ("distributions", f"KS {scores.shift.ks_distance:.4f}, PSI {scores.shift.psi:.4f}"),
    ]
    if scores.flips is not None:
        flips = scores.flips
        counts = (
            f"{flips.to_positive + flips.to_negative} flips ({flips.to_positive} to positive, "
            f"{flips.to_negative} to negative), {_interval(flips.rate, flips.lower, flips.upper)}"
        )
        facts.append((f"decisions at {flips.threshold:g}", counts))
    return facts


def _outcome_rows(outcomes: OutcomeComparison) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = []
    auc = outcomes.auc
    if auc is not None:
        p_value = "" if auc.p_value is None else f", p = {auc.p_value:.3g}"
        difference = f"{_auc(auc.difference, sign='+')}{p_value}"
        rows.append(("AUC", _auc(auc.champion), _auc(auc.shadow), difference))
        rows.append(("positives, negatives", f"{auc.positives}, {auc.negatives}", "", ""))
    champion, shadow = outcomes.champion, outcomes.shadow
    for label, name in (
        ("Brier", "brier"),
        ("log loss", "log_loss"),
        ("calibration error", "expected_calibration_error"),
    ):
        rows.append((label, *_calibration_cells(champion, shadow, name)))
    return rows


def _calibration_cells(
    champion: Calibration | None, shadow: Calibration | None, name: str
) -> list[str]:
    values = [None if each is None else float(getattr(each, name)) for each in (champion, shadow)]
    first, second = values
    change = "" if first is None or second is None else f"{second - first:+.6f}"
    return [*(_optional(value, "no probabilities") for value in values), change]


def _auc(auc: Auc, sign: str = "") -> str:
    return _interval(auc.estimate, auc.lower, auc.upper, sign=sign)


def _interval(estimate: float, lower: float, upper: float, sign: str = "") -> str:
    return f"{estimate:{sign}.6f} [{lower:{sign}.6f}, {upper:{sign}.6f}]"


def _optional(value: float | None, otherwise: str = "undefined") -> str:
    return otherwise if value is None else f"{value:.6f}"
