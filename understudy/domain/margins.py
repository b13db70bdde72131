"""The margins of a verdict: the differences that do not matter, by measure. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from understudy.domain.errors import Fault, InvalidInputError


class Measure(StrEnum):
    """The measures on which a verdict may rest."""

    AUC = "auc"
    BRIER = "brier"
    LOG_LOSS = "log_loss"
    RECALL = "recall"
    PRECISION = "precision"
    FALSE_POSITIVE_RATE = "false_positive_rate"
    RECALL_AT_EQUAL_ALARMS = "recall_at_equal_alarms"
    COST = "cost"
    ABSOLUTE_ERROR = "absolute_error"
    SQUARED_ERROR = "squared_error"
    POSITIVE_SHARE = "positive_share"
    MEAN_SCORE = "mean_score"


LOWER_IS_BETTER = frozenset(
    {
        Measure.BRIER,
        Measure.LOG_LOSS,
        Measure.FALSE_POSITIVE_RATE,
        Measure.COST,
        Measure.ABSOLUTE_ERROR,
        Measure.SQUARED_ERROR,
    }
)
NEITHER_IS_BETTER = frozenset({Measure.POSITIVE_SHARE, Measure.MEAN_SCORE})
NEEDS_THRESHOLD = frozenset(
    {
        Measure.RECALL,
        Measure.PRECISION,
        Measure.FALSE_POSITIVE_RATE,
        Measure.RECALL_AT_EQUAL_ALARMS,
        Measure.COST,
        Measure.POSITIVE_SHARE,
    }
)
UP_TO_ONE = NEEDS_THRESHOLD - {Measure.COST} | {Measure.AUC}  # shares of rows or of pairs of rows


@dataclass(frozen=True, slots=True)
class Costs:
    """The cost of a wrong decision, in the analyst's unit."""

    false_positive: float
    false_negative: float


@dataclass(frozen=True, slots=True)
class Margins:
    """The largest difference that does not matter, per measure, in the measure's unit.

    `primary` is the measure on which a shadow can be better; the others guard.
    """

    primary: Measure
    of: Mapping[Measure, float]


def read_margins(text: Mapping[str, Any], *, has_threshold: bool, has_costs: bool) -> Margins:
    """Return the margins in a parsed file: `primary: auc` and `margins: {auc: 0.005, …}`.

    Raises:
        InvalidInputError: a key, measure or margin is wrong, or cannot act; all faults reported.
    """
    faults = [
        Fault(key, repr(text[key])[:80], "primary and margins only")
        for key in text.keys() - {"primary", "margins"}
    ]
    known = ", ".join(Measure)
    primary = _measure(text.get("primary"))
    if primary is None or primary in NEITHER_IS_BETTER:
        accepted = f"a measure of quality: {known}"
        faults.append(Fault("primary", repr(text.get("primary")), accepted))
    given = text.get("margins")
    if not isinstance(given, Mapping) or not given:
        faults.append(Fault("margins", repr(given)[:80], "a mapping of measures to margins"))
        given = {}
    margins: dict[Measure, float] = {}
    for name, margin in given.items():
        measure = _measure(name)
        if measure is None:
            faults.append(Fault(f"margins.{name}", repr(name), f"one of {known}"))
        elif isinstance(margin, bool) or not isinstance(margin, int | float) or not margin > 0:
            faults.append(Fault(f"margins.{name}", repr(margin), "a number above 0"))
        else:
            faults += _unusable(measure, has_threshold=has_threshold, has_costs=has_costs)
            margins[measure] = float(margin)
    if primary is not None and primary not in margins and not faults:
        faults.append(Fault("margins", ", ".join(margins), f"a margin of {primary}, the primary"))
    if faults or primary is None:
        raise InvalidInputError(faults)
    return Margins(primary, margins)


def _measure(name: object) -> Measure | None:
    return Measure(name) if isinstance(name, str) and name in set(Measure) else None


def _unusable(measure: Measure, *, has_threshold: bool, has_costs: bool) -> list[Fault]:
    if measure in NEEDS_THRESHOLD and not has_threshold:
        return [Fault(f"margins.{measure}", "no threshold", "--threshold, or no such margin")]
    if measure is Measure.COST and not has_costs:
        return [Fault(f"margins.{measure}", "no costs", "--cost, or no such margin")]
    return []
