"""The margins of a verdict: the differences that do not matter, by measure. Pure."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from enum import StrEnum
from math import isfinite
from typing import Any

from understudy.domain.errors import Fault, InvalidInputError, repeats


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
_QUALITY = tuple(measure for measure in Measure if measure not in NEITHER_IS_BETTER)
UP_TO_ONE = NEEDS_THRESHOLD - {Measure.COST} | {Measure.AUC}  # shares of rows or of pairs of rows


_COST_NAMES = ("false_positive", "false_negative")


@dataclass(frozen=True, slots=True)
class Costs:
    """The cost of a wrong decision, in the analyst's unit.

    Raises:
        InvalidInputError: on construction, if a cost is negative or not finite, or both are 0.
    """

    false_positive: float
    false_negative: float

    def __post_init__(self) -> None:
        given = (self.false_positive, self.false_negative)
        faults = [
            Fault(f"costs.{name}", str(cost), "a finite number, 0 or above")
            for name, cost in zip(_COST_NAMES, given, strict=True)
            if not (isfinite(cost) and cost >= 0)
        ]
        if not faults and not any(given):
            faults.append(Fault("costs", "0 and 0", "at least one cost above 0"))
        if faults:
            raise InvalidInputError(faults)


@dataclass(frozen=True, slots=True)
class Margin:
    """The largest difference of a measure that does not matter, in the measure's unit."""

    measure: Measure
    size: float


@dataclass(frozen=True, slots=True)
class Margins:
    """The margins of a verdict, each measure once, in their order.

    Raises:
        InvalidInputError: on construction, if they contradict each other; all faults reported.
    """

    primary: Measure  # the measure on which a shadow can be better; the others guard
    each: tuple[Margin, ...]
    costs: Costs | None = None  # of decisions, for the measure cost

    def __post_init__(self) -> None:
        if faults := list(_faults(self)):
            raise InvalidInputError(faults)

    @property
    def of(self) -> dict[Measure, float]:
        return {margin.measure: margin.size for margin in self.each}

    @classmethod
    def of_sizes(
        cls, primary: Measure, sizes: Mapping[Measure, float], costs: Costs | None = None
    ) -> "Margins":
        return cls(primary, tuple(Margin(measure, size) for measure, size in sizes.items()), costs)


@dataclass(frozen=True, slots=True)
class WrittenMargins:
    """The margins of a shadow as a revision has them, and their origin."""

    margins: Margins
    threshold: float | None  # of the newest revision with the shadow; None: it has none
    revision: int  # the first with these margins
    actor: str
    at: datetime  # UTC, without a zone


def _faults(margins: Margins) -> Iterator[Fault]:
    for margin in margins.each:
        if not (isfinite(margin.size) and margin.size > 0):
            yield Fault(f"margins.{margin.measure}", str(margin.size), "a finite number above 0")
    measures = [margin.measure for margin in margins.each]
    yield from repeats("margins", measures)
    if margins.primary in NEITHER_IS_BETTER:
        yield Fault("primary", margins.primary, f"a measure of quality: {_known(_QUALITY)}")
    elif margins.primary not in measures:
        accepted = f"a margin of {margins.primary}, the primary"
        yield Fault("margins", ", ".join(measures) or "none", accepted)
    if margins.costs is not None and Measure.COST not in measures:
        yield Fault("costs", "costs", "no costs without a margin of cost")


def idle_margins(margins: Margins, *, has_threshold: bool, has_costs: bool) -> list[Fault]:
    """Return a fault for each margin that cannot act without a threshold or costs."""
    return [
        fault
        for margin in margins.each
        for fault in _idle(margin.measure, has_threshold=has_threshold, has_costs=has_costs)
    ]


def _idle(measure: Measure, *, has_threshold: bool, has_costs: bool) -> Iterator[Fault]:
    if measure in NEEDS_THRESHOLD and not has_threshold:
        yield Fault(f"margins.{measure}", "no threshold", "a threshold, or no such margin")
    elif measure is Measure.COST and not has_costs:
        yield Fault(f"margins.{measure}", "no costs", "costs, or no such margin")


def read_margins(text: Mapping[str, Any]) -> Margins:
    """Return the margins in a parsed file: `primary: auc` and `margins: {auc: 0.005, …}`.

    Costs are optional: `costs: {false_positive: 1, false_negative: 25}`.

    Raises:
        InvalidInputError: a key, measure, margin or cost is wrong; all faults reported.
    """
    faults = [
        Fault(str(key), repr(text[key])[:80], "primary, margins and costs only")
        for key in text.keys() - {"primary", "margins", "costs"}
    ]
    primary = _measure(text.get("primary"))
    if primary is None:
        accepted = f"a measure of quality: {_known(_QUALITY)}"
        faults.append(Fault("primary", repr(text.get("primary"))[:80], accepted))
    given = text.get("margins")
    if not isinstance(given, Mapping) or not given:
        faults.append(Fault("margins", repr(given)[:80], "a mapping of measures to margins"))
        given = {}
    margins: list[Margin] = []
    for name, size in given.items():
        measure = _measure(name)
        if measure is None:
            faults.append(Fault(f"margins.{name}", repr(name)[:80], f"one of {_known(Measure)}"))
        elif not _is_number(size):
            faults.append(Fault(f"margins.{name}", repr(size)[:80], "a finite number above 0"))
        else:
            margins.append(Margin(measure, float(size)))
    costs = text.get("costs")
    if costs is not None and not _are_costs(costs):
        faults.append(
            Fault("costs", repr(costs)[:80], "false_positive and false_negative, numbers")
        )
    if faults or primary is None:
        raise InvalidInputError(faults)
    read = None if costs is None else Costs(*(float(costs[name]) for name in _COST_NAMES))
    return Margins(primary, tuple(margins), read)


def margins_text(margins: Margins) -> dict[str, Any]:
    """Return the content of a file that `read_margins` reads as `margins`."""
    sizes = {measure.value: size for measure, size in margins.of.items()}
    text: dict[str, Any] = {"primary": margins.primary.value, "margins": sizes}
    if margins.costs is not None:
        text["costs"] = asdict(margins.costs)
    return text


def _measure(name: object) -> Measure | None:
    return Measure(name) if isinstance(name, str) and name in set(Measure) else None


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _are_costs(value: object) -> bool:
    return (
        isinstance(value, Mapping)
        and value.keys() == set(_COST_NAMES)
        and all(map(_is_number, value.values()))
    )


def _known(measures: Iterable[Measure]) -> str:
    return ", ".join(measures)
