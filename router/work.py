"""What travels through the stages: one unit of work per call, one value per answered batch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from router.decisions.admission import Priority
from router.decisions.assignment import ArmWeight
from router.decisions.reasons import feature_reasons
from understudy.domain.deployments import Arm, DegradationLevel, DegradationReason, Deployment
from understudy.domain.errors import Fault
from understudy.domain.features import FeatureScalar

RequestFeatures = Mapping[str, FeatureScalar] | None


class Live(Protocol):
    """What work needs of the revision that it belongs to."""

    @property
    def deployment(self) -> Deployment: ...
    @property
    def seats(self) -> Sequence[ArmWeight]: ...
    def submit(self, work: Work) -> None: ...


class Answer(Protocol):
    """Where a call's answer goes; set once. An `asyncio.Future` is one."""

    def done(self) -> bool:
        """Whether it is set, or nobody waits for it any more."""
        ...

    def set_result(self, result: bytes, /) -> None: ...
    def set_exception(self, exception: Exception, /) -> None: ...


@dataclass(slots=True, eq=False)
class Arrival:
    """One call as it came, before anything in it is read."""

    answer: Answer
    priority: Priority
    arrived_s: float  # monotonic
    remaining_s: float | None  # until the caller's deadline; None: it has none


@dataclass(slots=True, eq=False)
class Work:
    """One admitted call: a single unit, or the candidates of one ScoreBatch.

    The only mutable value of the path: `degraded_because` and `tried_fallback` record how far
    down the ladder it has come, `attempts` how often a scorer failed it.
    """

    live: Live  # the revision it was admitted under and is answered under
    request_id: str
    unit_key: str
    seat: int  # index into the declared split: the arm that the unit key is assigned to
    entities: Mapping[str, str]
    arrived_s: float  # monotonic
    answer_by_s: float  # monotonic
    priority: Priority
    answer: Answer
    rows: int = 1
    features: RequestFeatures = None
    threshold: float | None = None
    outputs: tuple[str, ...] = ()
    include_digests: bool = False
    candidates: Candidates | None = None  # set for a ScoreBatch
    attempts: int = 0
    holders: int = 1  # queues and scorers that have it; only the last that fails says so
    is_alone: bool = False  # not to be joined with others: a batch with it was refused
    tried_champion: bool = False  # its challenger could not answer
    tried_fallback: bool = False
    degraded_because: str = ""
    saw_rules: bool = False  # the deployment's rules were asked, and none decided
    is_later_part: bool = False  # of a split call: it waits for its own siblings, too


@dataclass(frozen=True, slots=True)
class Candidates:
    """The rows of a ScoreBatch. Those with faults are answered with them, and not scored."""

    entity: str
    ids: Sequence[str]  # of the rows to score
    indices: Sequence[int]  # their places in the request
    features: Sequence[RequestFeatures] | None  # per row; None: no candidate brings any
    refused: Mapping[int, tuple[str, Fault]]  # place in the request -> (id, fault)
    top_k: int | None  # None: all are kept
    is_sorted: bool


@dataclass(frozen=True, slots=True)
class Served:
    """Who answered: constant for a version in a revision."""

    model: str
    version: int
    arm: Arm
    revision: int
    artifact_digest: str
    provenance_digest: str
    deployment_digest: str


@dataclass(frozen=True, slots=True)
class BatchTiming:
    taken_s: float  # monotonic: when the batch left the queue
    fetch_us: int
    infer_us: int
    rows: int


@dataclass(frozen=True, slots=True, eq=False)
class Answered:
    """A batch with its answers, before they are scattered to the callers.

    Rows of a work stand together, in the order of `works`. n = sum of their rows.
    """

    works: Sequence[Work]
    served: Served
    feature_names: tuple[str, ...]
    scores: NDArray[np.float64]  # (n,)
    levels: NDArray[np.uint8] | None  # (n,) DegradationLevel; None: every row is FULL
    statuses: NDArray[np.uint8] | None  # (n, width) FeatureStatus; None: all present
    outputs: Mapping[str, NDArray[np.generic]]  # (n, ...) by name; zeros where a rule decided
    timing: BatchTiming
    rule_rows: NDArray[np.int64] | None = None  # (n,) index of the deciding rule, or NO_RULE
    matrix: NDArray[np.float32] | None = None  # (n, width) for the log
    marks: NDArray[np.uint8] | None = None  # (n,) see `marks_of`; None: no feature degrades a row
    gap: str = ""  # why the feature store was not read
    step: str = ""  # which step of the ladder answered the rows at FALLBACK or below
    wrong_digests: int = 0  # records of another definition of their view; taken as missing

    @property
    def rows(self) -> int:
        return len(self.scores)

    def restricted(self, kept: NDArray[np.bool_]) -> Answered:
        """Return the batch with the marked rows only; rows of one work share their mark."""
        return replace(
            self,
            works=works_at(self.works, kept),
            scores=self.scores[kept],
            levels=None if self.levels is None else self.levels[kept],
            statuses=None if self.statuses is None else self.statuses[kept],
            outputs={name: values[kept] for name, values in self.outputs.items()},
            rule_rows=None if self.rule_rows is None else self.rule_rows[kept],
            matrix=None if self.matrix is None else self.matrix[kept],
            marks=None if self.marks is None else self.marks[kept],
        )

    def as_fallback(self) -> Answered:
        """Return the batch with the rows that came down the ladder to this version marked so."""
        fell = np.repeat([work.tried_fallback for work in self.works], [w.rows for w in self.works])
        levels = np.zeros(self.rows, np.uint8) if self.levels is None else self.levels
        return replace(
            self,
            levels=np.where(fell, np.uint8(DegradationLevel.FALLBACK), levels),
            step=DegradationReason.FALLBACK_VERSION,
        )


def give_up(works: Sequence[Work]) -> list[Work]:
    """Let one holder of `works` go; return those that are neither answered nor held by another."""
    left: list[Work] = []
    for work in works:
        if work.holders > 1:
            work.holders -= 1
        elif not work.answer.done():
            left.append(work)
    return left


def starts_of(works: Sequence[Work]) -> list[int]:
    """Return at which row each work starts."""
    return list(accumulate((work.rows for work in works[:-1]), initial=0))


def works_at(works: Sequence[Work], kept: NDArray[np.bool_]) -> list[Work]:
    """Return the works whose rows are marked; rows of one work share their mark."""
    return [work for work, at in zip(works, starts_of(works), strict=True) if kept[at]]


def whole_works(works: Sequence[Work], marked: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the marks of those works that are marked in all their rows; shape (n,)."""
    of_works = np.logical_and.reduceat(marked, starts_of(works))
    return np.repeat(of_works, [work.rows for work in works])


def level_of_row(answered: Answered, row: int) -> DegradationLevel:
    if answered.levels is None:
        return DegradationLevel.FULL
    return DegradationLevel(int(answered.levels[row]))


def reasons_of_row(answered: Answered, work: Work, row: int) -> tuple[str, ...]:
    """Return why this row of `work` is degraded; () when it is not."""
    level = level_of_row(answered, row)
    if level is DegradationLevel.FULL:
        return ()
    mark = 0 if answered.marks is None else int(answered.marks[row])
    reasons = feature_reasons(mark, answered.gap)
    if level is DegradationLevel.FEATURES:
        return reasons
    return (work.degraded_because, answered.step, *reasons)


def level_of_work(answered: Answered, work: Work, at: int) -> DegradationLevel:
    """Return the worst level of the rows of `work`, which start at row `at`."""
    if work.rows == 1 or answered.levels is None:
        return level_of_row(answered, at)
    return DegradationLevel(int(answered.levels[at : at + work.rows].max()))


def reasons_of_work(answered: Answered, work: Work, at: int) -> tuple[str, ...]:
    """Return why rows of `work` are degraded, each reason once; `at`: its first row."""
    if work.rows == 1 or answered.levels is None:
        return reasons_of_row(answered, work, at)
    kinds = answered.levels[at : at + work.rows].astype(np.uint16)
    if answered.marks is not None:
        kinds = kinds << np.uint16(8) | answered.marks[at : at + work.rows]
    _, firsts = np.unique(kinds, return_index=True)  # one row of each kind tells all its reasons
    each = (reasons_of_row(answered, work, at + int(first)) for first in firsts)
    return tuple(dict.fromkeys(reason for reasons in each for reason in reasons))


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
        for work, at in zip(answered.works, starts_of(answered.works), strict=True):
            if fell[at]:
                counted[work.degraded_because] += work.rows
                counted[answered.step] += work.rows
    return counted
