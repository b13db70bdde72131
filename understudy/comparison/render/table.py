"""A comparison as tables for a terminal."""

from understudy.comparison.compare import ComparisonReport
from understudy.comparison.compare_arms import ArmReport
from understudy.comparison.decisions.verdict import Outcome, Verdict
from understudy.comparison.render import arm_texts, decision_texts, slice_texts, texts
from understudy.runtime.terminal.plain_text import shown
from understudy.runtime.terminal.screen import Screen

_STYLES = {Outcome.BETTER: "green", Outcome.EQUIVALENT: "green", Outcome.WORSE: "red"}


def print_comparison(report: ComparisonReport) -> None:
    screen, pair = Screen(), report.pair
    at = f"intervals at {report.plan.confidence:.0%}, by unit"
    screen.say(
        (report.question.model, "bold"),
        ": shadow ",
        (str(pair.shadow), "bold"),
        " against ",
        (str(pair.champion), "bold"),
        f", {shown(pair.first_at)} to {shown(pair.last_at)}; {at}",
    )
    for title, facts in texts.fact_tables(report):
        screen.facts(facts, title=title)
    for title, rows in texts.measure_tables(report):
        screen.table(texts.MEASURES, rows, title=title)
    for title, found in slice_texts.slice_tables(report.slices):
        screen.table(slice_texts.SLICES, found, title=title)
    if by_day := decision_texts.day_rows(report.days):
        screen.table(decision_texts.DAYS, by_day, title="differences by day")
    if report.worst:
        screen.table(texts.WORST, texts.worst_rows(report.worst), title="largest differences")
    _print_verdict(screen, report.verdict, texts.margins_origin(report.plan, pair.first_at))


def print_arms(report: ArmReport) -> None:
    screen, pair = Screen(), report.pair
    screen.say(
        (report.question.model, "bold"),
        ": challenger ",
        (str(pair.challenger), "bold"),
        " against champion ",
        (str(pair.champion), "bold"),
        f", {shown(pair.first_at)} to {shown(pair.last_at)}; units by assigned arm, "
        f"intervals at {report.plan.confidence:.0%}",
    )
    screen.facts(arm_texts.arm_facts(report), title="rows")
    screen.table(arm_texts.STEPS, arm_texts.ratio_rows(report), title="sample ratio")
    if distances := arm_texts.distance_facts(report):
        screen.facts(distances, title="distances of the scores")
    for title, rows in arm_texts.measure_tables(report):
        screen.table(arm_texts.MEASURES, rows, title=title)
    for title, found in slice_texts.slice_tables(report.slices):
        screen.table(slice_texts.SLICES, found, title=title)
    if by_day := arm_texts.day_rows(report):
        screen.table(arm_texts.DAYS, by_day, title="differences by day")
    _print_verdict(screen, report.verdict, texts.margins_origin(report.plan, pair.first_at))


def _print_verdict(screen: Screen, verdict: Verdict | None, origin: str) -> None:
    if verdict is None:
        return
    rows = [texts.judged_row(each) for each in verdict.judged]
    screen.table(texts.JUDGED, rows, title="verdict, with intervals that hold at every look")
    at = "" if verdict.threshold is None else f", for the threshold {verdict.threshold:g}"
    style = _STYLES.get(verdict.outcome, "yellow")
    screen.say((verdict.outcome.value, f"bold {style}"), f"{at}: {verdict.why}")
    screen.say(origin)
