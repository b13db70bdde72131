"""A batch with its answers: the answering version, times, degradation and its reasons."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from router.calls.call import Call
from router.calls.rows import calls_at, starts_of
from router.decisions.reasons import feature_reasons
from understudy.domain.deployments import Arm, DegradationLevel, DegradationReason
from understudy.domain.logged_features import LoggedFeatures


@dataclass(frozen=True, slots=True)
class Served:
    """The identity of the answering version, constant for a version in a revision."""

    model: str
    version: int
    arm: Arm
    revision: int
    artifact_digest: str
    provenance_digest: str
    deployment_digest: str
    lineage: str  # of the registry whose state this revision was compiled from
    sequence: int  # of that state


@dataclass(frozen=True, slots=True)
class BatchTiming:
    taken_s: float  # monotonic: when the batch left the queue
    fetch_us: int
    infer_us: int
    rows: int


@dataclass(slots=True, eq=False)  # `Final` instead of frozen, created in a third of the time
class Answered:
    """A batch with its answers, before they are scattered to the callers.

    The rows of a call are consecutive, in the order of `calls`. n = sum of their rows.
    """

    calls: Final[Sequence[Call]]
    served: Final[Served]
    feature_names: Final[tuple[str, ...]]
    scores: Final[NDArray[np.float64]]  # (n,)
    levels: Final[NDArray[np.uint8] | None]  # (n,) DegradationLevel; None: every row is FULL
    statuses: Final[NDArray[np.uint8] | None]  # (n, width) FeatureStatus; None: all present
    # (n, ...) by name; zeros where a rule decided
    outputs: Final[Mapping[str, NDArray[np.generic]]]
    timing: Final[BatchTiming]
    rule_rows: Final[NDArray[np.int64] | None] = None  # (n,) index of the deciding rule, or NO_RULE
    # Of n rows, for the log; None: no model was asked
    features: Final[LoggedFeatures | None] = None
    # (n,) see `marks_of`; None if no feature degrades a row
    marks: Final[NDArray[np.uint8] | None] = None
    # (n,) rows without a score, because the model cannot see that a value is missing; None: no row
    incomplete: Final[NDArray[np.bool_] | None] = None
    gap: Final[str] = ""  # why the feature store was not read
    step: Final[str] = ""  # the step of the ladder that answered the rows at FALLBACK or below
    wrong_digests: Final[int] = 0  # records of another definition of their view; treated as missing

    @property
    def rows(self) -> int:
        return len(self.scores)

    def restricted(self, kept: NDArray[np.bool_]) -> Answered:
        """Return the batch with only the marked rows; rows of one call share their mark."""
        return replace(
            self,
            calls=calls_at(self.calls, kept),
            scores=self.scores[kept],
            levels=None if self.levels is None else self.levels[kept],
            statuses=None if self.statuses is None else self.statuses[kept],
            outputs={name: values[kept] for name, values in self.outputs.items()},
            rule_rows=None if self.rule_rows is None else self.rule_rows[kept],
            features=None if self.features is None else self.features.chosen(kept),
            marks=None if self.marks is None else self.marks[kept],
            incomplete=None if self.incomplete is None else self.incomplete[kept],
        )

    def as_fallback(self) -> Answered:
        """Return the batch with rows that fell to this version marked as FALLBACK."""
        fell = np.repeat(
            [call.progress.tried_fallback for call in self.calls],
            [call.rows for call in self.calls],
        )
        levels = np.zeros(self.rows, np.uint8) if self.levels is None else self.levels
        return replace(
            self,
            levels=np.where(fell, np.uint8(DegradationLevel.FALLBACK), levels),
            step=DegradationReason.FALLBACK_VERSION,
        )


def level_of_row(answered: Answered, row: int) -> DegradationLevel:
    if answered.levels is None:
        return DegradationLevel.FULL
    return DegradationLevel(int(answered.levels[row]))


def reasons_of_row(answered: Answered, call: Call, row: int) -> tuple[str, ...]:
    """Return the reasons why this row of `call` is degraded; () if it is not."""
    level = level_of_row(answered, row)
    if level is DegradationLevel.FULL:
        return ()
    mark = 0 if answered.marks is None else int(answered.marks[row])
    reasons = feature_reasons(mark, answered.gap)
    if level is DegradationLevel.FEATURES:
        return reasons
    return (call.progress.degraded_because, answered.step, *reasons)


def level_of_call(answered: Answered, call: Call, at: int) -> DegradationLevel:
    """Return the worst level of the rows of `call`, which start at row `at`."""
    if call.rows == 1 or answered.levels is None:
        return level_of_row(answered, at)
    return DegradationLevel(int(answered.levels[at : at + call.rows].max()))


def reasons_of_call(answered: Answered, call: Call, at: int) -> tuple[str, ...]:
    """Return the reasons why rows of `call` are degraded, each once; `at` is its first row."""
    if call.rows == 1 or answered.levels is None:
        return reasons_of_row(answered, call, at)
    kinds = answered.levels[at : at + call.rows].astype(np.uint16)
    if answered.marks is not None:
        kinds = kinds << np.uint16(8) | answered.marks[at : at + call.rows]
    _, firsts = np.unique(kinds, return_index=True)  # one row of each kind has all its reasons
    each = (reasons_of_row(answered, call, at + int(first)) for first in firsts)
    return tuple(dict.fromkeys(reason for reasons in each for reason in reasons))


def reasons_by_row(answered: Answered) -> list[tuple[str, ...]]:
    """Return the reasons of each row, () if it is not degraded."""
    reasons: list[tuple[str, ...]] = []
    for call, at in zip(answered.calls, starts_of(answered.calls), strict=True):
        reasons += [reasons_of_row(answered, call, row) for row in range(at, at + call.rows)]
    return reasons


def count_reasons(answered: Answered) -> Counter[str]:
    """Return how many rows are degraded for each reason."""
    counted: Counter[str] = Counter()
    if answered.marks is not None:
        of_marks = np.bincount(answered.marks)
        for mark in np.flatnonzero(of_marks).tolist():
            for reason in feature_reasons(mark, answered.gap):
                counted[reason] += int(of_marks[mark])
    if answered.step and answered.levels is not None:
        fell = answered.levels >= DegradationLevel.FALLBACK
        for call, at in zip(answered.calls, starts_of(answered.calls), strict=True):
            if fell[at]:
                counted[call.progress.degraded_because] += call.rows
                counted[answered.step] += call.rows
    return counted
