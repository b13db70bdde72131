"""Measures of both arms from rows: of weighted sums over units, in columns of each arm's own."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from understudy.comparison.decisions.verdict import Shown
from understudy.comparison.evidence.arm_rows import AssignedRows
from understudy.domain.margins import Costs, Measure
from understudy.statistics.arms import (
    ArmEstimates,
    ArmMeasure,
    OfBothArms,
    arm_estimates,
    arm_mean,
    arm_share,
)
from understudy.statistics.units import Floats, OfTotals, UnitSums, ratio, units_of

WEIGHT = "weight"  # the column of weights itself
Column = Callable[[slice], NDArray[Any]]
"""The values of some of the rows."""
Total = Callable[[str], Floats]
Statistic = Callable[[Total], Floats]
"""From the weighted total of each column of an arm to the measure of that arm."""
Counts = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Asked:
    """A measure of both arms, by its name in tables."""

    name: str
    of: Statistic
    over: str = WEIGHT  # the column in which a unit has its part of the measure
    moved_by: str | None = None  # that of all units that move it; None: those with a part
    rows: Counts | None = None  # unweighted rows of the share in either arm; None: it is no share
    measure: Measure | None = None  # on which a verdict may rest
    centre: float = 0.0  # that was taken from the values, and is added to the means


@dataclass(frozen=True, slots=True)
class Measured:
    """Measures by name; the judged ones are among them."""

    measures: dict[str, ArmMeasure] = field(default_factory=dict)
    judged: dict[Measure, Shown] = field(default_factory=dict)

    def add(self, name: str, found: ArmMeasure, rows: int, measure: Measure | None = None) -> None:
        self.measures[name] = found
        if measure is not None:
            self.judged[measure] = Shown(found.estimate, rows)

    def __or__(self, other: "Measured") -> "Measured":
        return Measured(self.measures | other.measures, self.judged | other.judged)


def measured(
    rows: AssignedRows, columns: Mapping[str, Column], asked: Sequence[Asked], *, confidence: float
) -> Measured:
    """Return the measures of both arms over rows, in two passes over their sums."""
    found = Measured()
    for each, estimate in zip(asked, estimated(rows, columns, asked), strict=True):
        if each.rows is None:
            number = arm_mean(estimate.moved(each.centre), confidence=confidence)
        else:
            number = arm_share(estimate, rows=each.rows, confidence=confidence)
        found.add(each.name, number, rows.score.size, each.measure)
    return found


def estimated(
    rows: AssignedRows, columns: Mapping[str, Column], asked: Sequence[Asked]
) -> list[ArmEstimates]:
    """Return the estimates of the measures, without their intervals."""
    names = (WEIGHT, *columns)
    return arm_estimates(_sums(rows, columns), [_of_both(each, names) for each in asked])


def counts_of(rows: AssignedRows, chosen: NDArray[np.bool_] | None = None) -> Counts:
    """Return the chosen rows, or all, of the champion's arm and of the challenger's."""
    challengers = rows.is_challenger if chosen is None else rows.is_challenger & chosen
    all_rows = rows.score.size if chosen is None else np.count_nonzero(chosen)
    of_challenger = float(np.count_nonzero(challengers))
    return float(all_rows) - of_challenger, of_challenger


def centre_of(values: Floats) -> float:
    """Return a constant near the values, which keeps the digits of means far from 0."""
    return float(values.mean()) if values.size else 0.0


def per(name: str, over: str = WEIGHT) -> Statistic:
    """Return the total of a column, divided by that of another."""
    return lambda total: ratio(total(name), total(over))


def false_alarms(total: Total) -> Floats:
    """Return the share of negatives that are alarmed, from `alarm`, `found` and `negative`."""
    return ratio(total("alarm") - total("found"), total("negative"))


def cost_of(costs: Costs) -> Statistic:
    """Return the mean cost of wrong decisions, from `alarm`, `found` and `positive`."""

    def mean(total: Total) -> Floats:
        alarmed, missed = total("alarm") - total("found"), total("positive") - total("found")
        spent = costs.false_positive * alarmed + costs.false_negative * missed
        return ratio(spent, total(WEIGHT))

    return mean


def _sums(rows: AssignedRows, columns: Mapping[str, Column]) -> UnitSums:
    """Return sums over units: of the rows, then of each arm the weights and the columns."""

    def of_part(part: slice) -> list[Floats]:
        weights, is_challenger = rows.weights(part), rows.is_challenger[part]
        sides = np.where(is_challenger, 0.0, weights), np.where(is_challenger, weights, 0.0)
        values = [each(part) for each in columns.values()]
        return [each for side in sides for each in (side, *(side * value for value in values))]

    return units_of(rows.unit).sums(of_part)


def _of_both(asked: Asked, names: Sequence[str]) -> OfBothArms:
    def side(start: int) -> OfTotals:
        places = {name: start + place for place, name in enumerate(names)}
        moved_by = asked.moved_by or asked.over
        return OfTotals(
            lambda totals: asked.of(lambda name: totals[..., places[name]]),
            lambda sums: sums[:, places[asked.over]],
            lambda sums: sums[:, places[moved_by]],
        )

    return OfBothArms(side(1), side(1 + len(names)))
