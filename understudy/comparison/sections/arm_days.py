"""Days of live arms: whether the differences of both arms are stable over time."""

from dataclasses import dataclass

from understudy.comparison.evidence.arm_rows import AssignedRows
from understudy.comparison.plan import Plan
from understudy.comparison.sections.arm_measures import (
    Asked,
    Column,
    centre_of,
    counts_of,
    measured,
    per,
)
from understudy.statistics.arms import ArmMeasure


@dataclass(frozen=True, slots=True)
class DayOfArms:
    """The rows that were answered on one day, UTC."""

    day: str
    rows: int  # of both arms
    score: ArmMeasure  # mean
    positive_share: ArmMeasure | None  # at the threshold that acts; None: none does
    outcomes: int  # of these rows
    squared_error: ArmMeasure | None  # mean, of scores against outcomes; None: no outcome


def days_of_arms(rows: AssignedRows, plan: Plan) -> tuple[DayOfArms, ...]:
    """Return the days that have rows, in their order; none if it is one: that is the comparison."""
    return tuple(_day(day, part, plan) for day, part in rows.by_day())


def _day(day: str, rows: AssignedRows, plan: Plan) -> DayOfArms:
    threshold, centre = plan.threshold, centre_of(rows.score)
    columns: dict[str, Column] = {"score": lambda part: rows.score[part] - centre}
    asked = [Asked("score", per("score"), centre=centre)]
    if threshold is not None:
        columns["alarm"] = lambda part: rows.score[part] >= threshold
        asked.append(Asked("alarm", per("alarm"), rows=counts_of(rows)))
    found = measured(rows, columns, asked, confidence=plan.confidence).measures
    labelled = rows.labelled()
    return DayOfArms(
        day=day,
        rows=rows.score.size,
        score=found["score"],
        positive_share=found.get("alarm"),
        outcomes=labelled.score.size,
        squared_error=_squared_error(labelled, plan) if labelled.score.size else None,
    )


def _squared_error(labelled: AssignedRows, plan: Plan) -> ArmMeasure:
    found = measured(
        labelled,
        {"squared": lambda part: (labelled.score[part] - labelled.label[part]) ** 2},
        [Asked("squared", per("squared"))],
        confidence=plan.confidence,
    )
    return found.measures["squared"]
