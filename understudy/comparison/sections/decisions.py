"""Decisions: those of both versions at the threshold that acts, and at others asked for."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from understudy.comparison.evidence.rows import PairedRows
from understudy.comparison.plan import Plan, thresholds_of
from understudy.statistics.decisions import DecisionQuality, Flips, decision_flips, decision_quality
from understudy.statistics.paired import MIN_PAIRS
from understudy.statistics.units import units_of


@dataclass(frozen=True, slots=True)
class DecisionsAt:
    """The decisions at one threshold."""

    acts: bool  # the verdict holds for it; the others were asked for
    flips: Flips
    quality: DecisionQuality | None  # None: no outcome, or outcomes that are no classes


def compare_decisions(rows: PairedRows, plan: Plan) -> tuple[DecisionsAt, ...]:
    """Return the decisions at each threshold of the plan, first that which acts.

    There are none for fewer than two pairs, or without a threshold.
    """
    if plan.threshold is None or rows.champion.size < MIN_PAIRS:
        return ()
    labelled = rows.labelled()
    labels = labelled.class_labels()
    return tuple(
        DecisionsAt(
            acts=threshold == plan.threshold,
            flips=flips_at(threshold, rows, plan),
            quality=None if labels is None else _quality(threshold, labels, labelled, plan),
        )
        for threshold in thresholds_of(plan)
    )


def acting_of(decisions: Sequence[DecisionsAt]) -> DecisionsAt | None:
    """Return the decisions at the threshold that acts; None if none does."""
    return next((each for each in decisions if each.acts), None)


def flips_at(threshold: float, rows: PairedRows, plan: Plan) -> Flips:
    return decision_flips(
        rows.champion,
        rows.shadow,
        threshold=threshold,
        units=units_of(rows.unit),
        confidence=plan.confidence,
    )


def _quality(
    threshold: float, labels: NDArray[np.bool_], labelled: PairedRows, plan: Plan
) -> DecisionQuality:
    return decision_quality(
        labels,
        labelled.champion,
        labelled.shadow,
        threshold=threshold,
        units=units_of(labelled.unit),
        costs=plan.costs,
        confidence=plan.confidence,
    )
