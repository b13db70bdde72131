"""Arms: live champion against challenger, by intention to treat."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from understudy.comparison.decisions.verdict import Shown
from understudy.comparison.evidence.arm_sums import COLUMNS
from understudy.comparison.evidence.arms import ArmEvidence, ScoredOutcomes
from understudy.comparison.plan import Plan
from understudy.domain.margins import Costs, Measure
from understudy.statistics.arms import ArmMeasure, arm_auc, arm_mean, arm_share
from understudy.statistics.calibration import are_probabilities
from understudy.statistics.ranking import auc_of, can_compare_auc
from understudy.statistics.sample_ratio import SampleRatio, sample_ratios
from understudy.statistics.units import Floats, OfTotals, UnitSums, ratio

_PLACE = {name: place for place, name in enumerate(COLUMNS)}


@dataclass(frozen=True, slots=True)
class ArmComparison:
    """The measures of both arms, and whether their units allow to compare them."""

    measures: Mapping[str, ArmMeasure]  # by the name in tables
    judged: Mapping[Measure, Shown]  # those on which a verdict may rest
    sample_ratio: tuple[SampleRatio, ...]  # of each step
    refusals: tuple[str, ...]
    notes: tuple[str, ...]  # measures that are missing, with the reason


def compare_arms(evidence: ArmEvidence, plan: Plan) -> ArmComparison:
    """Return the measures of both arms on all rows, and on those with outcomes."""
    ratios = sample_ratios(evidence.first_seen)
    arms = _Arms(UnitSums.of(evidence.sums), plan.confidence)
    on_all, on_outcomes = _on_all(evidence, plan, arms), _on_outcomes(evidence, plan, arms)
    return ArmComparison(
        measures=on_all.measures | on_outcomes.measures,
        judged=on_all.judged | on_outcomes.judged,
        sample_ratio=ratios,
        refusals=tuple(_refusals(evidence, ratios)),
        notes=tuple(on_outcomes.notes),
    )


def _refusals(evidence: ArmEvidence, ratios: tuple[SampleRatio, ...]) -> list[str]:
    refusals = [
        f"sample ratio: {each.challenger} of {each.champion + each.challenger} units are in the "
        f"challenger's arm, the declared share is {each.expected_share:.2%}: units were lost or "
        "moved by their arm"
        for each in ratios
        if each.is_mismatch
    ]
    if evidence.in_both:
        refusals.append(
            f"{evidence.in_both} units were in both arms while one split was in effect: the log's "
            "unit keys are not those of the assignment"
        )
    return refusals


@dataclass(frozen=True, slots=True)
class _Found:
    """Measures by name; the judged ones are among them."""

    measures: dict[str, ArmMeasure] = field(default_factory=dict)
    judged: dict[Measure, Shown] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def add(self, name: str, found: ArmMeasure, rows: int, measure: Measure | None = None) -> None:
        self.measures[name] = found
        if measure is not None:
            self.judged[measure] = Shown(found.estimate, rows)


Statistic = Callable[[Floats], Floats]
Counts = tuple[float, float]  # rows of the champion's arm, of the challenger's


@dataclass(frozen=True, slots=True)
class _Arms:
    """Estimates of measures from sums over units, whose first half is the champion's."""

    sums: UnitSums
    confidence: float

    def mean(self, of: Statistic, over: str) -> ArmMeasure:
        return arm_mean(self.sums, *self._both(of, over), confidence=self.confidence)

    def share(self, of: Statistic, over: str, rows: Counts) -> ArmMeasure:
        sides = self._both(of, over)
        return arm_share(self.sums, *sides, rows=rows, confidence=self.confidence)

    def _both(self, of: Statistic, over: str) -> tuple[OfTotals, OfTotals]:
        def side(start: int) -> OfTotals:
            end = start + len(COLUMNS)
            return OfTotals(
                lambda totals: of(totals[..., start:end]),
                lambda sums: sums[:, start + _PLACE[over]],
            )

        return side(0), side(len(COLUMNS))


def _per(name: str, over: str) -> Statistic:
    return lambda arm: ratio(arm[..., _PLACE[name]], arm[..., _PLACE[over]])


def _false_alarms(arm: Floats) -> Floats:
    alarm, found, outcome, weight = (
        arm[..., _PLACE[name]] for name in ("alarm", "found", "outcome", "outcome_weight")
    )
    return ratio(alarm - found, weight - outcome)


def _cost(costs: Costs) -> Statistic:
    def mean(arm: Floats) -> Floats:
        alarm, found, outcome, weight = (
            arm[..., _PLACE[name]] for name in ("alarm", "found", "outcome", "outcome_weight")
        )
        wrong = costs.false_positive * (alarm - found) + costs.false_negative * (outcome - found)
        return ratio(wrong, weight)

    return mean


def _on_all(evidence: ArmEvidence, plan: Plan, arms: _Arms) -> _Found:
    found = _Found()
    counts = float(evidence.champion.rows), float(evidence.challenger.rows)
    rows = evidence.champion.rows + evidence.challenger.rows
    found.add("mean score", arms.mean(_per("score", "weight"), "weight"), rows, Measure.MEAN_SCORE)
    if plan.threshold is not None:
        share = arms.share(_per("positive", "weight"), "weight", counts)
        found.add("share of positive decisions", share, rows, Measure.POSITIVE_SHARE)
    for name, column in (
        ("share of degraded rows", "degraded"),
        ("share without a model", "fallen"),
    ):
        found.add(name, arms.share(_per(column, "weight"), "weight", counts), rows)
    found.add("mean time, us", arms.mean(_per("total_us", "weight"), "weight"), rows)
    return found


def _on_outcomes(evidence: ArmEvidence, plan: Plan, arms: _Arms) -> _Found:
    found, given = _Found(), evidence.outcomes
    if given.label.size == 0:
        found.notes.append("no row of either arm has an outcome that counts")
        return found
    if not np.isin(given.label, (0.0, 1.0)).all():
        rows = given.label.size
        for name, column, measure in (
            ("mean outcome", "outcome", None),
            ("mean absolute error", "absolute", Measure.ABSOLUTE_ERROR),
            ("mean squared error", "squared", Measure.SQUARED_ERROR),
        ):
            mean = arms.mean(_per(column, "outcome_weight"), "outcome_weight")
            found.add(name, mean, rows, measure)
        return found
    _add_classes(found, evidence, plan, arms)
    if plan.threshold is not None:
        _add_decisions(found, given, plan.threshold, plan.costs, arms)
    return found


def _add_classes(found: _Found, evidence: ArmEvidence, plan: Plan, arms: _Arms) -> None:
    given = evidence.outcomes
    rows, weight = given.label.size, "outcome_weight"
    counts = _counts(given, np.ones(rows, np.bool_))
    found.add(
        "share of positive outcomes", arms.share(_per("outcome", weight), weight, counts), rows
    )
    if len(evidence.steps) > 1:
        found.notes.append(
            "AUC: the weight changed, and a ranking of weighted rows has no interval"
        )
    elif (area := _areas(given, plan.confidence)) is None:
        found.notes.append("AUC: a class of an arm has rows of fewer than two units")
    else:
        found.add("AUC", area, rows, Measure.AUC)
    if not are_probabilities(given.score):
        found.notes.append("Brier, log loss: the scores are no probabilities")
        return
    for name, column, measure in (
        ("Brier", "squared", Measure.BRIER),
        ("log loss", "log_loss", Measure.LOG_LOSS),
    ):
        found.add(name, arms.mean(_per(column, weight), weight), rows, measure)


def _areas(given: ScoredOutcomes, confidence: float) -> ArmMeasure | None:
    sides = []
    for is_side in (~given.is_challenger, given.is_challenger):
        labels, units = given.label[is_side] == 1, given.unit[is_side]
        if not can_compare_auc(labels, units):
            return None
        sides.append(auc_of(labels, given.score[is_side], clusters=units, confidence=confidence))
    return arm_auc(sides[0], sides[1])


def _add_decisions(
    found: _Found, given: ScoredOutcomes, threshold: float, costs: Costs | None, arms: _Arms
) -> None:
    rows, alarm, positive = given.label.size, given.score >= threshold, given.label == 1
    recall = arms.share(_per("found", "outcome"), "outcome", _counts(given, positive))
    found.add("recall", recall, rows, Measure.RECALL)
    precision = arms.share(_per("found", "alarm"), "alarm", _counts(given, alarm))
    found.add("precision", precision, rows, Measure.PRECISION)
    alarms = arms.share(_false_alarms, "outcome_weight", _counts(given, ~positive))
    found.add("false positive rate", alarms, rows, Measure.FALSE_POSITIVE_RATE)
    if costs is not None:
        found.add("cost per row", arms.mean(_cost(costs), "outcome_weight"), rows, Measure.COST)


def _counts(given: ScoredOutcomes, chosen: NDArray[np.bool_]) -> Counts:
    challenger = float(np.count_nonzero(chosen & given.is_challenger))
    return float(np.count_nonzero(chosen)) - challenger, challenger
