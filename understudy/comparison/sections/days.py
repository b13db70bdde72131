"""Days: whether the differences, the decisions and the quality are stable over time."""

from dataclasses import dataclass

from understudy.comparison.evidence.rows import PairedRows
from understudy.comparison.plan import Plan
from understudy.comparison.sections.decisions import flips_at
from understudy.statistics.decisions import Flips
from understudy.statistics.errors import compare_errors
from understudy.statistics.intervals import interval_of
from understudy.statistics.measures import Number, PairedMeasure, number_of
from understudy.statistics.paired import mean_of
from understudy.statistics.ranking import can_compare_auc, compare_auc
from understudy.statistics.units import jackknife, units_of


@dataclass(frozen=True, slots=True)
class RankingOfDay:
    """The areas under the ROC curves on the outcomes of a day."""

    champion: Number
    shadow: Number
    difference: Number


@dataclass(frozen=True, slots=True)
class DayOfPairs:
    """The pairs that were answered on one day, UTC."""

    day: str
    pairs: int
    difference: Number  # mean of shadow minus champion
    flips: Flips | None  # at the threshold that acts; None: none does
    outcomes: int  # of these pairs
    squared_error: PairedMeasure | None  # of scores against outcomes; None: no outcome
    auc: RankingOfDay | None  # None: outcomes are no classes, or a class has fewer than two units


def days_of(rows: PairedRows, plan: Plan) -> tuple[DayOfPairs, ...]:
    """Return the days that have pairs, in their order; none if it is one: that is the comparison."""
    return tuple(_day(day, part, plan) for day, part in rows.by_day())


def _day(day: str, rows: PairedRows, plan: Plan) -> DayOfPairs:
    units, confidence = units_of(rows.unit), plan.confidence
    sums = units.sums(lambda part: (rows.shadow[part] - rows.champion[part],))
    estimate = jackknife(sums, mean_of(1))
    labelled = rows.labelled()
    return DayOfPairs(
        day=day,
        pairs=rows.champion.size,
        difference=number_of(estimate, interval_of(estimate, confidence=confidence)),
        flips=None if plan.threshold is None else flips_at(plan.threshold, rows, plan),
        outcomes=labelled.label.size,
        squared_error=_squared_error(labelled, confidence),
        auc=_ranking(labelled, confidence),
    )


def _squared_error(labelled: PairedRows, confidence: float) -> PairedMeasure | None:
    if labelled.label.size == 0:
        return None
    return compare_errors(
        labelled.label,
        labelled.champion,
        labelled.shadow,
        units=units_of(labelled.unit),
        confidence=confidence,
    ).squared


def _ranking(labelled: PairedRows, confidence: float) -> RankingOfDay | None:
    labels = labelled.class_labels()
    if labels is None or not can_compare_auc(labels, labelled.unit):
        return None
    found = compare_auc(
        labels,
        labelled.champion,
        labelled.shadow,
        clusters=labelled.unit,
        confidence=confidence,
    )
    return RankingOfDay(found.champion, found.shadow, found.difference)
