"""Quality: both versions against outcomes, without regard to a threshold."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from understudy.comparison.evidence.rows import OutcomeCensus, PairedRows
from understudy.comparison.plan import Plan
from understudy.statistics.calibration import Calibration, calibration_of
from understudy.statistics.errors import ErrorComparison, compare_errors
from understudy.statistics.ranking import AucComparison, can_compare_auc, compare_auc
from understudy.statistics.units import units_of


@dataclass(frozen=True, slots=True)
class ClassQuality:
    """On outcomes that are 0 or 1."""

    rows: int
    auc: AucComparison | None  # None: a class has rows of fewer than two units
    calibration: Calibration | None  # None: scores are no probabilities


@dataclass(frozen=True, slots=True)
class Quality:
    """On matured outcomes. Outcomes that are all 0 or 1 are classes, others numbers."""

    classes: ClassQuality | None
    numbers: ErrorComparison | None


def mixture_of(outcomes: Sequence[OutcomeCensus]) -> tuple[str, ...]:
    """Return a warning if some outcomes are classes, 0 or 1, and others are not; () if none is."""
    matched = sum(each.matched for each in outcomes)
    others = sum(each.not_binary for each in outcomes)
    if not 0 < others < matched:
        return ()
    told = f"{others} of {matched} outcomes are neither 0 nor 1, so all count as numbers"
    return (f"{told}: there is no AUC, recall, precision or calibration",)


def compare_quality(rows: PairedRows, plan: Plan) -> Quality | None:
    """Return the quality on outcomes; None if no pair has one."""
    labelled = rows.labelled()
    if labelled.label.size == 0:
        return None
    labels = labelled.class_labels()
    if labels is not None:
        return Quality(classes=_compare_classes(labels, labelled, plan), numbers=None)
    return Quality(
        classes=None,
        numbers=compare_errors(
            labelled.label,
            labelled.champion,
            labelled.shadow,
            units=units_of(labelled.unit),
            confidence=plan.confidence,
        ),
    )


def _compare_classes(labels: NDArray[np.bool_], rows: PairedRows, plan: Plan) -> ClassQuality:
    units = units_of(rows.unit)
    champion, shadow, confidence = rows.champion, rows.shadow, plan.confidence
    auc = None
    if can_compare_auc(labels, rows.unit):
        auc = compare_auc(labels, champion, shadow, clusters=rows.unit, confidence=confidence)
    calibration = calibration_of(labels, champion, shadow, units=units, confidence=confidence)
    return ClassQuality(labels.size, auc, calibration)
