"""The plan of a comparison, written down before it is made."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from understudy.comparison.decisions.verdict import Shown, Verdict, verdict_of
from understudy.domain.errors import InvalidInputError
from understudy.domain.margins import Costs, Margins, Measure, WrittenMargins, idle_margins

LEAST_KEPT = 0.9


@dataclass(frozen=True, slots=True)
class Plan:
    """The rules by which the rows of a pair are judged."""

    threshold: float | None = None  # that acts: the lowest score that is a positive decision
    other_thresholds: tuple[float, ...] = ()  # that are shown too; no verdict rests on them
    costs: Costs | None = None
    margins: Margins | None = None  # None: no verdict is asked for
    written: WrittenMargins | None = None  # the origin of the margins; None: given afterwards
    confidence: float = 0.95
    slices: tuple[str, ...] = ()  # columns whose values are compared one by one
    slices_file: Path | None = None  # with further columns, by request id
    least_kept: float = LEAST_KEPT  # of the rows sent to the shadow; below, nothing is concluded


MarginsOf = Callable[[int], WrittenMargins | None]
"""The margins on record for a version."""


def nothing_written(_version: int) -> WrittenMargins | None:
    """Return None: no registry is asked."""
    return None


def completed(plan: Plan, version: int, written: MarginsOf) -> Plan:
    """Return the plan with the margins on record for `version`, unless it has margins.

    The deployment's threshold is then that which acts, and a given one is shown besides: margins
    on record are those of the decisions in service. Costs that it lacks are those of the margins.

    Raises:
        InvalidInputError: a margin cannot act without a threshold or costs.
        UnavailableError: the registry does not answer.
    """
    if plan.margins is None and (found := written(version)) is not None:
        plan = replace(plan, margins=found.margins, written=found)
        if found.threshold is not None:
            plan = with_thresholds(plan, found.threshold, *thresholds_of(plan))
    if plan.margins is None:
        return plan
    costs = plan.costs or plan.margins.costs
    idle = idle_margins(
        plan.margins, has_threshold=plan.threshold is not None, has_costs=costs is not None
    )
    if idle:
        raise InvalidInputError(idle)
    return replace(plan, costs=costs)


def with_thresholds(plan: Plan, *thresholds: float) -> Plan:
    """Return the plan with other thresholds, each once: the first one acts."""
    distinct = tuple(dict.fromkeys(thresholds))
    return replace(plan, threshold=distinct[0] if distinct else None, other_thresholds=distinct[1:])


def thresholds_of(plan: Plan) -> tuple[float, ...]:
    """Return the thresholds of the plan, first that which acts."""
    return () if plan.threshold is None else (plan.threshold, *plan.other_thresholds)


def verdict_by(
    plan: Plan, shown: Mapping[Measure, Shown], refusals: Sequence[str]
) -> Verdict | None:
    """Return the verdict on the differences that were shown; None if the plan has no margins."""
    if plan.margins is None:
        return None
    return verdict_of(
        shown,
        plan.margins,
        threshold=plan.threshold,
        confidence=plan.confidence,
        refusals=refusals,
    )
