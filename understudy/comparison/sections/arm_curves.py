"""Curves of live arms: distributions of scores, ranking and calibration of each arm's own rows."""

from dataclasses import dataclass

import numpy as np

from understudy.comparison.evidence.arm_rows import AssignedRows, RowsOfArm
from understudy.comparison.sections.arm_distributions import ArmDistribution, ArmDistributions
from understudy.comparison.sections.arm_measures import Measured
from understudy.statistics.arms import ArmMeasure
from understudy.statistics.calibration import Reliability, are_probabilities, reliability_of
from understudy.statistics.class_curves import ClassCurves, class_curves
from understudy.statistics.measures import Number
from understudy.statistics.units import Estimate, units_of


@dataclass(frozen=True, slots=True)
class ArmShape:
    """The scores of one arm, and of its rows with outcomes their quality as classes."""

    scores: ArmDistribution
    classes: ClassCurves | None  # None: its outcomes do not have both classes
    reliability: Reliability | None  # None: outcomes are no classes, or scores no probabilities
    labelled_units: float  # effective ones, of the rows with outcomes


@dataclass(frozen=True, slots=True)
class ArmCurves:
    """Figures of both arms. The rows of each arm have their weights."""

    champion: ArmShape
    challenger: ArmShape


def curves_of_arms(
    scores: ArmDistributions, labelled: AssignedRows, *, confidence: float
) -> ArmCurves:
    """Return the curves, with bands at `confidence`.

    Args:
        scores: of both arms.
        labelled: the rows with outcomes.
        confidence: coverage of each band and interval, in (0, 1).
    """
    are_classes = labelled.class_labels() is not None
    is_probability = are_classes and are_probabilities(labelled.score)
    champion, challenger = (
        ArmShape(
            scores=of_side,
            classes=_classes(side, confidence) if are_classes else None,
            reliability=_reliability(side, confidence) if is_probability else None,
            labelled_units=side.effective_units,
        )
        for of_side, side in zip(
            (scores.champion, scores.challenger), labelled.sides(), strict=True
        )
    )
    return ArmCurves(champion, challenger)


def calibration_errors(curves: ArmCurves | None) -> Measured:
    """Return the calibration error of both arms, which has no interval; nothing without one."""
    found = Measured()
    if curves is None:
        return found
    sides = (curves.champion, curves.challenger)
    errors = [each.reliability.expected_calibration_error for each in sides if each.reliability]
    if len(errors) < len(sides):
        return found
    why = "it is biased upwards"
    one, two = (
        Number(error, None, None, each.labelled_units, why)
        for error, each in zip(errors, sides, strict=True)
    )
    units = min(each.labelled_units for each in sides)
    change = Estimate(errors[1] - errors[0], None, units, why)
    difference = Number(change.value, None, None, units, why)
    found.add("calibration error", ArmMeasure(one, two, difference, change), 0)
    return found


def _classes(labelled: RowsOfArm, confidence: float) -> ClassCurves | None:
    labels = labelled.label == 1
    if not 0 < np.count_nonzero(labels) < labels.size:
        return None
    return class_curves(
        labels,
        labelled.score,
        units=units_of(labelled.unit),
        weights=labelled.weight,
        confidence=confidence,
    )


def _reliability(labelled: RowsOfArm, confidence: float) -> Reliability | None:
    if labelled.label.size == 0:
        return None
    return reliability_of(
        labelled.label == 1,
        labelled.score,
        units=units_of(labelled.unit),
        weights=labelled.weight,
        confidence=confidence,
    )
