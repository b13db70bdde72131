"""The verdict on a shadow, from intervals and margins written down before. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from math import ceil

from understudy.domain.margins import (
    LOWER_IS_BETTER,
    NEITHER_IS_BETTER,
    UP_TO_ONE,
    Margins,
    Measure,
)
from understudy.statistics.intervals import Interval, anytime_interval
from understudy.statistics.units import FEW_EFFECTIVE_UNITS, Estimate


class Outcome(StrEnum):
    """The possible conclusions on a measure, and on a shadow."""

    EQUIVALENT = "EQUIVALENT"  # the whole interval is within the margin
    BETTER = "BETTER"  # it is not, and excludes 0 on the good side
    WORSE = "WORSE"  # the same on the bad side
    INCONCLUSIVE = "INCONCLUSIVE"


@dataclass(frozen=True, slots=True)
class Judged:
    """One measure against its margin."""

    measure: Measure
    margin: float
    outcome: Outcome
    difference: float | None  # shadow minus champion
    lower: float | None  # of an interval that holds however often one looks
    upper: float | None
    rows: int
    rows_needed: int | None  # estimated, for a conclusion; None: concluded, or no estimate
    why: str = ""  # why there is no interval


@dataclass(frozen=True, slots=True)
class Verdict:
    """The outcome over all measures, for the threshold that it names."""

    outcome: Outcome
    primary: Measure
    threshold: float | None
    judged: tuple[Judged, ...]
    why: str


@dataclass(frozen=True, slots=True)
class Shown:
    """The difference of a measure, and the rows that it rests on."""

    estimate: Estimate
    rows: int


def verdict_of(
    shown: Mapping[Measure, Shown],
    margins: Margins,
    *,
    threshold: float | None,
    confidence: float,
    refusals: Sequence[str] = (),
) -> Verdict:
    """Judge each measure that has a margin, and the shadow.

    A shadow is worse if one measure is worse; better if the primary measure is, and no other is
    inconclusive; equivalent if all are. Each measure is judged at the whole confidence: to be
    better or equivalent, all must pass (Berger 1982, "Multiparameter hypothesis testing and
    acceptance sampling"); a single measure that is worse is shown at that confidence divided by
    the number of measures.

    Args:
        shown: the difference of each measure that could be computed.
        margins: written down before.
        threshold: the lowest score that is a positive decision.
        confidence: of each interval at all looks together, in (0, 1).
        refusals: reasons for which the rows allow no conclusion.
    """
    judged = tuple(
        _judge(measure, margin, shown.get(measure), confidence, len(margins.of))
        for measure, margin in margins.of.items()
    )
    outcome, why = _overall(judged, margins.primary)
    if refusals:
        outcome, why = Outcome.INCONCLUSIVE, "; ".join(refusals)
    return Verdict(outcome, margins.primary, threshold, judged, why)


def _overall(judged: Sequence[Judged], primary: Measure) -> tuple[Outcome, str]:
    by = {each.measure: each.outcome for each in judged}
    worse = [measure for measure, outcome in by.items() if outcome is Outcome.WORSE]
    unknown = [measure for measure, outcome in by.items() if outcome is Outcome.INCONCLUSIVE]
    if worse:
        return Outcome.WORSE, f"worse: {', '.join(worse)}"
    if unknown:
        return Outcome.INCONCLUSIVE, f"not shown yet: {', '.join(unknown)}"
    if by[primary] is Outcome.BETTER:
        return Outcome.BETTER, f"better: {primary}; no other measure is worse"
    return Outcome.EQUIVALENT, "all measures are within their margins"


def _judge(
    measure: Measure, margin: float, shown: Shown | None, confidence: float, measures: int
) -> Judged:
    if shown is None:
        why = "it cannot be computed from these rows"
        return Judged(measure, margin, Outcome.INCONCLUSIVE, None, None, None, 0, None, why)
    estimate = _believed(measure, shown.estimate)
    found = anytime_interval(estimate, confidence=confidence, scale=margin)
    divided = 1 - (1 - confidence) / measures
    of_harm = anytime_interval(estimate, confidence=divided, scale=margin)
    if found is None or of_harm is None or estimate.value is None:
        why = estimate.why
        return Judged(
            measure, margin, Outcome.INCONCLUSIVE, estimate.value, None, None, shown.rows, None, why
        )
    outcome = _outcome(measure, margin, found, of_harm)
    needed = None
    if outcome is Outcome.INCONCLUSIVE:
        needed = _rows_needed(estimate.value, margin, found, shown.rows)
    return Judged(
        measure, margin, outcome, estimate.value, found.lower, found.upper, shown.rows, needed
    )


def _believed(measure: Measure, estimate: Estimate) -> Estimate:
    """Return the estimate without a variance that its units cannot support.

    The interval is asymptotic, so a few units allow none. A share that did not differ in any of
    n units may still differ in the next one: its standard error is at least 1 / n.
    """
    units = estimate.effective_units
    if estimate.variance is None:
        return estimate
    if units < FEW_EFFECTIVE_UNITS:
        why = f"it rests on {units:.1f} effective units; at least {FEW_EFFECTIVE_UNITS} are needed"
        return replace(estimate, variance=None, why=why)
    if measure in UP_TO_ONE:
        return replace(estimate, variance=max(estimate.variance, 1 / units**2))
    return estimate


def _outcome(measure: Measure, margin: float, found: Interval, of_harm: Interval) -> Outcome:
    """Return the conclusion from intervals of shadow minus champion."""
    if -margin < found.lower and found.upper < margin:
        return Outcome.EQUIVALENT
    if measure in NEITHER_IS_BETTER:
        excludes_none = of_harm.lower <= 0 <= of_harm.upper
        return Outcome.INCONCLUSIVE if excludes_none else Outcome.WORSE
    if _as_gain(measure, found).lower > 0:
        return Outcome.BETTER
    return Outcome.WORSE if _as_gain(measure, of_harm).upper < 0 else Outcome.INCONCLUSIVE


def _as_gain(measure: Measure, interval: Interval) -> Interval:
    if measure in LOWER_IS_BETTER:
        return Interval(-interval.upper, -interval.lower)
    return interval


def _rows_needed(difference: float, margin: float, found: Interval, rows: int) -> int | None:
    """Estimate the rows after which the interval no longer contains both answers.

    Its width falls with the square root of the rows, so half the distance takes four times.
    """
    half_width = (found.upper - found.lower) / 2
    distance = max(margin - abs(difference), abs(difference))
    if distance <= 0 or half_width <= distance:
        return None
    return ceil(rows * (half_width / distance) ** 2)
