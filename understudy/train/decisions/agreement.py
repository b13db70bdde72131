"""The judgement on two answers to the same rows: of the original, and of its conversion. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from understudy.domain.errors import Fault
from understudy.domain.features import Feature
from understudy.train.decisions.probes import Probe, ProbeKind

Floats = NDArray[np.float64]

_ACCEPTED = {
    ProbeKind.GIVEN: "the original's answer: another converter, or a larger tolerance",
    ProbeKind.MISSING: "the original's answer, or a default of the feature in its view",
    ProbeKind.UNSEEN: "the original's answer, e.g. OneHotEncoder(handle_unknown='ignore')",
    ProbeKind.LARGE: "the original's answer, or values that are bounded inside the model",
}


@dataclass(frozen=True, slots=True)
class Compared:
    """One probe and both answers; `original` is the reason if the original refuses such rows."""

    probe: Probe
    original: Floats | str
    converted: Floats  # NaN where the model cannot compute a row


@dataclass(frozen=True, slots=True)
class Agreement:
    """The outcome of a comparison."""

    rows: int
    largest_difference: float
    places_with_missing: tuple[int, ...]  # columns, missing in some of the equal rows
    faults: tuple[Fault, ...]
    notes: tuple[str, ...]  # of rows that the original refuses and the model leaves unanswered


def differences(original: Floats, converted: Floats) -> Floats:
    """Return the difference of each row: absolute up to an answer of 1, above it relative.

    It is infinite where only one of the two is finite; two values that are not finite count as equal,
    since neither becomes an answer.
    """
    finite = np.isfinite(original) & np.isfinite(converted)
    both_not = ~np.isfinite(original) & ~np.isfinite(converted)
    apart = np.abs(np.where(finite, original, 0.0) - np.where(finite, converted, 0.0))
    scaled = apart / np.maximum(1.0, np.abs(np.where(finite, original, 1.0)))
    answer: Floats = np.where(finite | both_not, scaled, np.inf)
    return answer


def judge(
    compared: Sequence[Compared], features: Sequence[Feature], *, tolerance: float
) -> Agreement:
    """Return the agreement of both answers over all probes.

    Rows that the original refuses are a fault only if the converted model answers them.
    """
    rows, largest, missing = 0, 0.0, set()
    faults: list[Fault] = []
    notes: list[str] = []
    for each in compared:
        name = _shown(each.probe, features)
        if isinstance(each.original, str):
            if np.isfinite(each.converted).any():
                read = f"an answer, where the original has none: {each.original}"
                faults.append(Fault(f"model: {name}", read, _ACCEPTED[each.probe.kind]))
            else:
                notes.append(f"{name}: neither the original nor the model answers")
            continue
        apart = differences(each.original, each.converted)
        rows += len(apart)
        largest = max(largest, float(apart.max(initial=0.0)))
        if (wrong := apart > tolerance).any():
            faults.append(_disagreement(each, name, apart, int(wrong.sum())))
        elif each.probe.kind is ProbeKind.MISSING:
            missing.add(each.probe.place)
    return Agreement(rows, largest, tuple(sorted(missing)), tuple(faults), tuple(notes))


def _disagreement(compared: Compared, name: str, apart: Floats, count: int) -> Fault:
    row = int(apart.argmax())
    original: Any = compared.original
    read = (
        f"{compared.converted[row]:.6g} where the original answers {original[row]:.6g}; "
        f"{count} of {len(apart)} rows differ"
    )
    return Fault(f"model: {name}", read, _ACCEPTED[compared.probe.kind])


def _shown(probe: Probe, features: Sequence[Feature]) -> str:
    if probe.kind is ProbeKind.GIVEN:
        return "rows as given"
    return f"{probe.kind.value} {features[probe.place].name}"
