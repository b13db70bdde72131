"""The batches that a router hands to the log, in columns of equal length.

A batch belongs to the log once it is offered: the caller must neither write to its arrays and
sequences nor reuse their memory. Numbers stay as their batch has them, in numpy or in lists; the
log's own thread converts those of many batches at once to Arrow columns.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from enum import StrEnum
from operator import attrgetter
from typing import Any, Final, Literal, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from understudy.domain.logged_features import LoggedFeatures
from understudy.logs.sent_names import SentNames

NO_DECISION = -1  # in `ScoreBatchLog.decisions`: neither threshold nor rule applied

AnsweringArm = Literal["champion", "challenger"]


class ShadowStatus(StrEnum):
    """The outcome of a row that was offered to a shadow. All except the first three are drops."""

    OK = "ok"
    ERROR = "error"
    TIMEOUT = "timeout"
    SAMPLED_OUT = "sampled_out"  # by the shadow's sample rate
    QUEUE_FULL = "queue_full"  # or the router sheds mirrored rows
    EXPIRED = "expired"  # waited longer than a mirrored row may wait
    NOT_READY = "not_ready"  # the shadow had no ready scorer
    DEFAULTED = "defaulted"  # it would have read a default, which it refuses, or 0 for no value
    AT_STOP = "at_stop"  # not sent before the time of a stop was over


Outputs = tuple[tuple[str, NDArray[np.generic]], ...]  # name, shape (n, …)


class ArmShare(Protocol):
    """An arm of the declared split."""

    @property
    def arm(self) -> str: ...
    @property
    def version(self) -> int: ...
    @property
    def weight_bp(self) -> int: ...


@dataclass(slots=True, kw_only=True, eq=False)
class ScoreBatchLog:
    """One answered batch of one version: n rows of one revision.

    Its fields are `Final`: a frozen class takes three times as long to create.

    Raises:
        ValueError: on construction, if columns differ in length.
    """

    model: Final[str]
    version: Final[int]
    arm: Final[AnsweringArm]
    revision: Final[int]
    at_us: Final[int]  # UTC, microseconds since 1970, when the batch was answered
    request_ids: Final[Sequence[str]]
    # The unit keys; hashed when written, unless configured otherwise
    entity_ids: Final[Sequence[str]]
    scores: Final[NDArray[np.float64]]  # (n,)
    decisions: Final[NDArray[np.int8]]  # (n,): 1, 0 or NO_DECISION
    levels: Final[NDArray[np.uint8]]  # (n,): domain.deployments.DegradationLevel
    queue_s: Final[Sequence[float]]  # (n,): waits for a scorer
    total_s: Final[Sequence[float]]  # (n,): from arrival to answer
    fetch_us: Final[int]  # for the batch
    infer_us: Final[int]  # for the batch
    split: Final[Sequence[ArmShare]]  # the revision's declared split
    seats: Final[Sequence[int]]  # (n,): index into `split` of the arm to which the row is assigned
    deployment_digest: Final[str] = ""
    lineage: Final[str] = ""  # of the registry from which the revision came
    sequence: Final[int] = 0  # of the registry's state from which the revision was compiled
    # (n,): NaN without one; None: no row has one
    thresholds: Final[NDArray[np.float64] | None] = None
    reasons: Final[Sequence[tuple[str, ...]] | None] = None  # per row; None: no row is degraded
    outputs: Final[Outputs] = ()  # further outputs of the model; of no meaning where a rule decided
    rules: Final[Sequence[str] | None] = None  # name of the deciding rule per row, "" for none
    candidate_ids: Final[Sequence[str] | None] = None  # ScoreBatch: rows share a request id
    features: Final[LoggedFeatures | None] = None  # None: none were read
    # (n, width) FeatureStatus; None if all are present
    statuses: Final[NDArray[np.uint8] | None] = None
    sent_entities: Final[Sequence[SentNames] | None] = None  # types per row; None: not known
    sent_features: Final[Sequence[SentNames] | None] = None  # names per row; None: not known
    # Of the callers, "" for none; None: no row has one
    trace_ids: Final[Sequence[str] | None] = None

    def __post_init__(self) -> None:
        rows = len(self.request_ids)
        for name, column in zip(_SCORE_COLUMNS, _columns_of_scores(self), strict=True):
            if column is not None and len(column) != rows:
                raise ValueError(f"{name}: {len(column)} rows, expected {rows}")
        if self.features is not None:
            _check_lengths(rows, features=self.features.event_times_ms)
        width = 0 if self.features is None else len(self.features.listed.names)
        shape = (rows, width)
        if self.statuses is not None and self.statuses.shape != shape:
            raise ValueError(f"statuses: shape {self.statuses.shape}, expected {shape}")

    @property
    def rows(self) -> int:
        return len(self.request_ids)

    @property
    def size_bytes(self) -> int:
        """The approximate memory use of the batch."""
        size_bytes = self.rows * _ROW_BYTES + _texts_bytes(
            self.request_ids, self.entity_ids, self.candidate_ids, self.trace_ids
        )
        if self.features is not None:
            size_bytes += self.features.event_times_ms.nbytes
            for tensor in self.features.tensors:
                size_bytes += tensor.nbytes
                if tensor.dtype.kind == "O":
                    size_bytes += sum(map(len, tensor.ravel().tolist()))
        if self.statuses is not None:
            size_bytes += self.statuses.nbytes
        size_bytes += sum(values.nbytes for _, values in self.outputs)
        if self.sent_features is not None:
            size_bytes += sum(map(len, self.sent_features)) * _NAME_BYTES
        return size_bytes


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ShadowBatchLog:
    """Rows offered to a shadow, with one outcome: scored by it, or lost on the way.

    `version`, `arm`, `revision`, `scores` and `levels` are of the answer that the caller received.

    Raises:
        ValueError: on construction, if columns differ in length.
    """

    model: str
    shadow_version: int
    version: int
    arm: AnsweringArm
    revision: int
    at_us: int  # UTC, microseconds since 1970, when the batch was answered
    request_ids: Sequence[str]
    entity_ids: Sequence[str]
    scores: NDArray[np.float64]  # (n,): the scores that the callers received
    shadow_scores: NDArray[np.float64] | None  # (n,); None unless the status is OK
    status: ShadowStatus
    infer_us: int
    inclusion_probability: float = 1.0  # of the sample that the shadow receives
    deployment_digest: str = ""
    lineage: str = ""
    sequence: int = 0
    levels: NDArray[np.uint8] | None = None  # (n,): None: every row is FULL
    candidate_ids: Sequence[str] | None = None

    def __post_init__(self) -> None:
        _check_lengths(
            len(self.request_ids),
            entity_ids=self.entity_ids,
            scores=self.scores,
            shadow_scores=self.shadow_scores,
            levels=self.levels,
            candidate_ids=self.candidate_ids,
        )

    @property
    def rows(self) -> int:
        return len(self.request_ids)

    @property
    def size_bytes(self) -> int:
        return self.rows * _ROW_BYTES + _texts_bytes(
            self.request_ids, self.entity_ids, self.candidate_ids
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class OutcomeBatchLog:
    """Ground truth that arrives later, matched to scores by request id.

    Raises:
        ValueError: on construction, if columns differ in length.
    """

    model: str
    at_us: int  # UTC, microseconds since 1970, when the outcome was reported
    request_ids: Sequence[str]
    labels: NDArray[np.float64]  # (n,)
    observed_at_us: NDArray[np.int64]  # (n,): when the outcome happened, by the caller's clock

    def __post_init__(self) -> None:
        _check_lengths(
            len(self.request_ids), labels=self.labels, observed_at_us=self.observed_at_us
        )

    @property
    def rows(self) -> int:
        return len(self.request_ids)

    @property
    def size_bytes(self) -> int:
        return self.rows * _ROW_BYTES + _texts_bytes(self.request_ids)


LogBatch = ScoreBatchLog | ShadowBatchLog | OutcomeBatchLog

BatchT = TypeVar("BatchT", bound=LogBatch)


def rows_between(batch: BatchT, start: int, stop: int) -> BatchT:
    """Return rows `start` to `stop` of `batch` without copying its arrays."""
    columns: dict[str, Any] = {
        field.name: column[start:stop]
        for field in fields(batch)
        if isinstance(column := getattr(batch, field.name), np.ndarray | Sequence)
        and not isinstance(column, str)
        and field.name not in _OF_BATCH
    }
    if isinstance(batch, ScoreBatchLog):
        columns["outputs"] = tuple((name, each[start:stop]) for name, each in batch.outputs)
        if batch.features is not None:
            columns["features"] = batch.features.chosen(slice(start, stop))
    return replace(batch, **columns)


# Of a ScoreBatchLog, one value per row. Read together: by name each would take twice as long.
_SCORE_COLUMNS = (
    *("entity_ids", "scores", "decisions", "levels", "queue_s", "total_s", "seats", "rules"),
    *("candidate_ids", "sent_entities", "sent_features", "trace_ids", "thresholds", "reasons"),
)
_columns_of_scores = attrgetter(*_SCORE_COLUMNS)
_OF_BATCH = frozenset({"split", "outputs"})  # sequences that are no columns
_NAME_BYTES = 16  # of a feature's name, which the batches of a caller share
_ROW_BYTES = 128  # the scalars of a row, and pointers to its strings


def _texts_bytes(*columns: Sequence[str] | None) -> int:
    """Return the memory use of the strings in `columns`.

    A string that many rows share counts for each row, because it is written for each. The sum is
    additive over rows, so the parts of a batch release exactly what the whole batch reserved.
    """
    # Called on the router's event loop for each batch: no Python code per row.
    return sum([sum(map(str.__sizeof__, column)) for column in columns if column is not None])


def _check_lengths(rows: int, **columns: Sequence[object] | NDArray[np.generic] | None) -> None:
    for name, column in columns.items():
        if column is not None and len(column) != rows:
            raise ValueError(f"{name}: {len(column)} rows, expected {rows}")
