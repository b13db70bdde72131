"""Arms: live champion against challenger, by intention to treat."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np

from understudy.comparison.decisions.verdict import Shown
from understudy.comparison.evidence.arm_rows import ArmEvidence, AssignedRows
from understudy.comparison.plan import Plan, thresholds_of
from understudy.comparison.sections.arm_curves import (
    ArmCurves,
    calibration_errors,
    curves_of_arms,
)
from understudy.comparison.sections.arm_distributions import distributions_of_arms
from understudy.comparison.sections.arm_measures import (
    Asked,
    Column,
    Measured,
    centre_of,
    cost_of,
    counts_of,
    false_alarms,
    measured,
    per,
)
from understudy.domain.margins import Measure
from understudy.statistics.arms import ArmMeasure, arm_auc
from understudy.statistics.calibration import are_probabilities, log_losses
from understudy.statistics.distributions import DistributionShift
from understudy.statistics.ranking import auc_of, can_compare_auc
from understudy.statistics.sample_ratio import SampleRatio, sample_ratios
from understudy.statistics.units import Floats

FoundT = TypeVar("FoundT")


@dataclass(frozen=True, slots=True)
class ArmDecisionsAt:
    """The decisions of both arms at one threshold."""

    threshold: float
    acts: bool  # the verdict holds for it; the others were asked for
    measures: Mapping[str, ArmMeasure]  # by the name in tables


@dataclass(frozen=True, slots=True)
class ArmComparison:
    """The measures of both arms, and whether their units allow to compare them."""

    measures: Mapping[str, ArmMeasure]  # by the name in tables
    decisions: tuple[ArmDecisionsAt, ...]  # at each threshold, first that which acts
    judged: Mapping[Measure, Shown]  # those on which a verdict may rest
    sample_ratio: tuple[SampleRatio, ...]  # of each step
    distances: Mapping[str, DistributionShift]  # of the scores, by the name in tables
    curves: ArmCurves | None  # None: an arm has no row
    refusals: tuple[str, ...]
    notes: tuple[str, ...]  # measures that are missing, with the reason


def compare_arms(evidence: ArmEvidence, plan: Plan) -> ArmComparison:
    """Return the measures of both arms on all rows, and on those with outcomes."""
    ratios = sample_ratios(evidence.first_seen)
    # Before the rows with outcomes are copied: each takes a part of the memory.
    scores = distributions_of_arms(evidence.rows, confidence=plan.confidence)
    labelled = evidence.rows.labelled()
    on_outcomes, notes = _on_outcomes(evidence, labelled, plan)
    curves = (
        None if scores is None else curves_of_arms(scores, labelled, confidence=plan.confidence)
    )
    found = _on_all(evidence.rows, plan) | on_outcomes | calibration_errors(curves)
    decisions = [
        (threshold, _decisions(evidence.rows, labelled, threshold, plan))
        for threshold in thresholds_of(plan)
    ]
    acting = [each.judged for threshold, each in decisions if threshold == plan.threshold]
    return ArmComparison(
        measures=found.measures,
        decisions=tuple(
            ArmDecisionsAt(threshold, threshold == plan.threshold, each.measures)
            for threshold, each in decisions
        ),
        judged=found.judged | (acting[0] if acting else {}),
        sample_ratio=ratios,
        distances={} if scores is None else {"distributions": scores.shift},
        curves=curves,
        refusals=tuple(_refusals(evidence, ratios, plan)),
        notes=tuple(notes),
    )


def beside(found: ArmComparison, own: ArmComparison) -> ArmComparison:
    """Return a comparison with the measures of an A/A arm beside its own, under names of theirs."""
    decisions = [
        replace(each, measures={**each.measures, **_as_own(of_own.measures)})
        for each, of_own in zip(found.decisions, own.decisions, strict=True)
    ]
    return replace(
        found,
        measures={**found.measures, **_as_own(own.measures)},
        decisions=tuple(decisions),
        distances={**found.distances, **_as_own(own.distances)},
    )


def _as_own(found: Mapping[str, FoundT]) -> dict[str, FoundT]:
    return {f"{name}, A/A": each for name, each in found.items()}


def _refusals(evidence: ArmEvidence, ratios: tuple[SampleRatio, ...], plan: Plan) -> Iterator[str]:
    for each in ratios:
        if each.is_mismatch:
            yield (
                f"sample ratio: {each.challenger} of {each.champion + each.challenger} units are "
                f"in the challenger's arm, the declared share is {each.expected_share:.2%}: units "
                "were lost or moved by their arm"
            )
    if evidence.in_both:
        yield (
            f"{evidence.in_both} units were in both arms while one split was in effect: the log's "
            "unit keys are not those of the assignment"
        )
    for name, arm in (("champion", evidence.champion), ("challenger", evidence.challenger)):
        answered = arm.rows + arm.not_finite
        if answered and arm.rows / answered < plan.least_kept:
            yield (
                f"{arm.rows / answered:.1%} of the rows of the {name}'s arm have a finite score; "
                f"at least {plan.least_kept:.1%} are needed"
            )


def _on_all(rows: AssignedRows, plan: Plan) -> Measured:
    counts, centre = counts_of(rows), centre_of(rows.score)
    return measured(
        rows,
        {
            "score": lambda part: rows.score[part] - centre,
            "degraded": lambda part: rows.level[part] > 0,
            "fallen": lambda part: rows.level[part] > 1,
            "total_us": lambda part: rows.total_us[part],
        },
        [
            Asked("mean score", per("score"), measure=Measure.MEAN_SCORE, centre=centre),
            Asked("share of degraded rows", per("degraded"), rows=counts),
            Asked("share without a model", per("fallen"), rows=counts),
            Asked("mean time, us", per("total_us")),
        ],
        confidence=plan.confidence,
    )


def _on_outcomes(
    evidence: ArmEvidence, labelled: AssignedRows, plan: Plan
) -> tuple[Measured, list[str]]:
    """Return the measures on rows with outcomes, and the reasons for which some are missing."""
    if labelled.label.size == 0:
        return Measured(), ["no row of either arm has an outcome that counts"]
    if labelled.class_labels() is None:
        return _numbers(labelled, plan), []
    return _classes(evidence, labelled, plan)


def _numbers(labelled: AssignedRows, plan: Plan) -> Measured:
    centre = centre_of(labelled.label)

    def error(part: slice) -> Floats:
        return labelled.score[part] - labelled.label[part]

    return measured(
        labelled,
        {
            "outcome": lambda part: labelled.label[part] - centre,
            "absolute": lambda part: np.abs(error(part)),
            "squared": lambda part: error(part) ** 2,
            "error": error,
        },
        [
            Asked("mean outcome", per("outcome"), centre=centre),
            Asked("mean absolute error", per("absolute"), measure=Measure.ABSOLUTE_ERROR),
            Asked("mean squared error", per("squared"), measure=Measure.SQUARED_ERROR),
            Asked("bias", per("error")),
        ],
        confidence=plan.confidence,
    )


def _classes(
    evidence: ArmEvidence, labelled: AssignedRows, plan: Plan
) -> tuple[Measured, list[str]]:
    columns: dict[str, Column] = {"positive": lambda part: labelled.label[part]}
    notes: list[str] = []
    asked = [Asked("share of positive outcomes", per("positive"), rows=counts_of(labelled))]
    if are_probabilities(labelled.score):

        def inside(part: slice) -> Floats:
            return np.clip(labelled.score[part], 0, 1)

        columns["squared"] = lambda part: (inside(part) - labelled.label[part]) ** 2
        columns["log_loss"] = lambda part: log_losses(labelled.label[part], inside(part))
        asked += [
            Asked("Brier", per("squared"), measure=Measure.BRIER),
            Asked("log loss", per("log_loss"), measure=Measure.LOG_LOSS),
        ]
    else:
        notes.append("Brier, log loss: the scores are no probabilities")
    found = measured(labelled, columns, asked, confidence=plan.confidence)
    if len(evidence.steps) > 1:
        notes.append("AUC: the weight changed, and a ranking of weighted rows has no interval")
    elif (area := _areas(labelled, plan.confidence)) is None:
        notes.append("AUC: a class of an arm has rows of fewer than two units")
    else:
        found.add("AUC", area, labelled.label.size, Measure.AUC)
    return found, notes


def _areas(labelled: AssignedRows, confidence: float) -> ArmMeasure | None:
    sides = []
    for side in labelled.sides():
        labels, units = side.label == 1, side.unit
        if not can_compare_auc(labels, units):
            return None
        sides.append(auc_of(labels, side.score, clusters=units, confidence=confidence))
    return arm_auc(sides[0], sides[1])


def _decisions(
    rows: AssignedRows, labelled: AssignedRows, threshold: float, plan: Plan
) -> Measured:
    share = Asked(
        "share of positive decisions",
        per("alarm"),
        rows=counts_of(rows),
        measure=Measure.POSITIVE_SHARE,
    )
    alarms = {"alarm": lambda part: rows.score[part] >= threshold}
    found = measured(rows, alarms, [share], confidence=plan.confidence)
    if labelled.class_labels() is None:
        return found
    return found | _decisions_on_outcomes(labelled, threshold, plan)


def _decisions_on_outcomes(labelled: AssignedRows, threshold: float, plan: Plan) -> Measured:
    alarm, positive = labelled.score >= threshold, labelled.label == 1
    asked = [
        Asked(
            "recall",
            per("found", "positive"),
            over="positive",
            rows=counts_of(labelled, positive),
            measure=Measure.RECALL,
        ),
        Asked(
            "precision",
            per("found", "alarm"),
            over="alarm",
            rows=counts_of(labelled, alarm),
            measure=Measure.PRECISION,
        ),
        Asked(
            "false positive rate",
            false_alarms,
            over="negative",
            rows=counts_of(labelled, ~positive),
            measure=Measure.FALSE_POSITIVE_RATE,
        ),
    ]
    if plan.costs is not None:
        asked.append(Asked("cost per row", cost_of(plan.costs), measure=Measure.COST))
    return measured(
        labelled,
        {
            "alarm": lambda part: alarm[part],
            "positive": lambda part: positive[part],
            "negative": lambda part: ~positive[part],
            "found": lambda part: alarm[part] & positive[part],
        },
        asked,
        confidence=plan.confidence,
    )
