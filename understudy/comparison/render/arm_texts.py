"""The contents of a comparison of arms as rows of text."""

from collections.abc import Mapping

from understudy.comparison.compare_arms import ArmReport
from understudy.comparison.evidence.arm_rows import ArmCensus
from understudy.comparison.render.coverage_texts import Facts, outcomes_text
from understudy.comparison.render.decision_texts import last_days
from understudy.comparison.render.number_texts import (
    distances_text,
    number_text,
    threshold_text,
)
from understudy.comparison.sections.arm_days import DayOfArms
from understudy.runtime.terminal.plain_text import shown
from understudy.statistics.arms import ArmMeasure
from understudy.statistics.sample_ratio import SampleRatio

MEASURES = ("", "champion", "challenger", "challenger - champion")
DAYS = ("day", "rows", "mean score", "positive", "outcomes", "squared error")
STEPS = ("units by their first split", "champion", "challenger", "share", "declared", "evidence")


def arm_facts(report: ArmReport) -> Facts:
    """Return the rows of both arms, the steps of the weight, and reasons against a conclusion."""
    facts: Facts = [
        ("champion's arm", _census(report.champion)),
        ("challenger's arm", _census(report.challenger)),
        ("champion's outcomes", outcomes_text(report.champion.outcomes, of="rows")),
        ("challenger's outcomes", outcomes_text(report.challenger.outcomes, of="rows")),
        ("weight of the challenger", _steps(report)),
    ]
    facts += [("REFUSED", reason) for reason in report.comparison.refusals]
    facts += [("warning", warning) for warning in report.warnings]
    facts += [("left out", note) for note in report.comparison.notes]
    return facts


def distance_facts(report: ArmReport) -> Facts:
    """Return the distances of both arms' scores, beside those of chance."""
    found = report.comparison.distances
    return [(name, distances_text(each)) for name, each in found.items()]


def measure_tables(report: ArmReport) -> list[tuple[str, list[tuple[str, ...]]]]:
    """Return titles and rows of the measures, and of the decisions at each threshold."""
    found = report.comparison
    return [
        ("measures", _measure_rows(found.measures)),
        *(
            (f"decisions at {threshold_text(each.threshold, acts=each.acts)}", rows)
            for each in found.decisions
            for rows in [_measure_rows(each.measures)]
        ),
    ]


def _measure_rows(measures: Mapping[str, ArmMeasure]) -> list[tuple[str, ...]]:
    return [
        (
            name,
            number_text(each.champion),
            number_text(each.challenger),
            number_text(each.difference, sign="+"),
        )
        for name, each in measures.items()
    ]


def day_rows(report: ArmReport) -> list[tuple[str, ...]]:
    """Return challenger minus champion on each day, or on the last days if they are many."""
    return last_days([_day_row(each) for each in report.days])


def _day_row(each: DayOfArms) -> tuple[str, ...]:
    share, squares = each.positive_share, each.squared_error
    return (
        each.day,
        f"{each.rows:,}",
        number_text(each.score.difference, sign="+"),
        "" if share is None else number_text(share.difference, sign="+"),
        f"{each.outcomes:,}",
        "" if squares is None else number_text(squares.difference, sign="+"),
    )


def ratio_rows(report: ArmReport) -> list[tuple[str, ...]]:
    ratios = report.comparison.sample_ratio
    return [_ratio_row(number, each) for number, each in enumerate(ratios, start=1)]


def _ratio_row(number: int, each: SampleRatio) -> tuple[str, ...]:
    share = "no unit"
    if each.share is not None and each.lower is not None and each.upper is not None:
        share = f"{each.share:.2%} [{each.lower:.2%}, {each.upper:.2%}]"
    conclusion = "MISMATCH" if each.is_mismatch else "no mismatch shown"
    return (
        f"step {number}",
        f"{each.champion:,}",
        f"{each.challenger:,}",
        share,
        f"{each.expected_share:.2%}",
        f"{each.evidence:.3g}, {conclusion}",
    )


def _census(arm: ArmCensus) -> str:
    return (
        f"{arm.rows:,} rows of {arm.requests:,} requests, {arm.units:,} units; "
        f"{arm.answered_by_others:,} answered by another version, {arm.degraded:,} degraded; "
        f"{arm.not_finite:,} left out as not finite"
    )


def _steps(report: ArmReport) -> str:
    return ", ".join(
        f"{each.weight_bp / 100:g} % from {shown(each.first_at)} ({each.rows:,} rows)"
        for each in report.steps
    )
