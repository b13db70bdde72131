"""Conversion of offered batches to Arrow columns: by buffer, never by row.

Everything here runs in the log's thread while the event loop wants the interpreter lock, so each
call handles a slice of rows that is small enough to be quick.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from itertools import chain
from typing import Any, TypeVar, assert_never

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from understudy.domain.logged_ids import LoggedIds
from understudy.domain.versions import checked_model_name
from understudy.logs.batches import (
    NO_DECISION,
    ArmShare,
    LogBatch,
    OutcomeBatchLog,
    ScoreBatchLog,
    ShadowBatchLog,
)
from understudy.logs.schema import LogKind, schema_of_kind, with_facts
from understudy.logs.sent_names import written_names

BatchT = TypeVar("BatchT", bound=LogBatch)

_DAY_US = 86_400_000_000
_EPOCH = date(1970, 1, 1)
_MAX_KNOWN_KEYS = 1024


@dataclass(frozen=True, slots=True)
class FileKey:
    """The properties that the rows of one file share; `version` is 0 for outcomes."""

    kind: LogKind
    model: str
    date: str  # UTC, YYYY-MM-DD
    version: int
    feature_names: tuple[str, ...] = ()
    _hash: int = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        # Hashing hundreds of names for each batch took a fifth of the log's total time.
        parts = (self.kind, self.model, self.date, self.version, self.feature_names)
        object.__setattr__(self, "_hash", hash(parts))

    def __hash__(self) -> int:
        return self._hash


@dataclass(slots=True)
class FileKeys:
    """Finds the file of a batch; remembers its keys, so that batches of one file share one key."""

    _known: dict[tuple[object, ...], FileKey] = field(default_factory=dict)

    def key_of(self, batch: LogBatch) -> FileKey:
        """Return the key of the file for the rows of `batch`.

        Raises:
            InvalidInputError: the model name is invalid, and must not become part of a path.
            OverflowError: the time is outside the calendar.
        """
        day = batch.at_us // _DAY_US
        match batch:
            case ScoreBatchLog(version=version, features=features):
                names = batch.feature_names if features is not None else ()
                # By identity: the cached key keeps the names alive, so their ids are not reused.
                return self._find(LogKind.SCORE, batch.model, day, version, names)
            case ShadowBatchLog(shadow_version=version):
                return self._find(LogKind.SHADOW, batch.model, day, version, ())
            case OutcomeBatchLog():
                return self._find(LogKind.OUTCOMES, batch.model, day, 0, ())
            case _:
                assert_never(batch)

    def _find(
        self, kind: LogKind, model: str, day: int, version: int, names: tuple[str, ...]
    ) -> FileKey:
        short = (kind, model, day, version, id(names))
        key = self._known.get(short)
        if key is None:
            date_text = (_EPOCH + timedelta(days=day)).isoformat()
            key = FileKey(kind, checked_model_name(model), date_text, version, names)
            if len(self._known) >= _MAX_KNOWN_KEYS:
                self._known.clear()
            self._known[short] = key
        return key


def warm_up() -> None:
    """Trigger Arrow's set-up on first use, 10 ms that must not block an event loop."""
    pa.array(np.zeros(1))


def schema_of(key: FileKey, ids: LoggedIds) -> pa.Schema:
    """Return the schema of the file for `key`, with its metadata."""
    schema = schema_of_kind(key.kind)
    return with_facts(schema, ids=ids, feature_names=key.feature_names)


def record_batch(batches: Sequence[LogBatch], schema: pa.Schema, ids: LoggedIds) -> Any:
    """Return one Arrow record batch with the rows of `batches`, all of one `FileKey`.

    Raises:
        ValueError: a value cannot be written, e.g. text that is not UTF-8.
    """
    first = batches[0]
    match first:
        case ScoreBatchLog():
            columns = _score_columns(
                [b for b in batches if isinstance(b, ScoreBatchLog)], schema, ids
            )
        case ShadowBatchLog():
            columns = _shadow_columns([b for b in batches if isinstance(b, ShadowBatchLog)], ids)
        case OutcomeBatchLog():
            columns = _outcome_columns([b for b in batches if isinstance(b, OutcomeBatchLog)])
        case _:
            assert_never(first)
    return pa.record_batch([columns[name] for name in schema.names], schema=schema)


def _score_columns(
    batches: Sequence[ScoreBatchLog], schema: pa.Schema, ids: LoggedIds
) -> dict[str, Any]:
    rows = np.array([b.rows for b in batches])
    decisions = np.concatenate([b.decisions for b in batches])
    return {
        "request_id": _strings(chain.from_iterable(b.request_ids for b in batches)),
        "candidate_id": _candidate_ids(batches, rows, ids),
        "unit_key": _unit_keys(batches, ids),
        "at_utc": _times(np.repeat(np.array([b.at_us for b in batches]), rows)),
        "version": pa.array(np.repeat(np.array([b.version for b in batches], np.int32), rows)),
        "arm": _strings(_repeated([b.arm for b in batches], rows)),
        "assigned_version": _of_seats(batches, lambda arm: arm.version),
        "assigned_arm": _strings(_assigned_arms(batches)),
        "assigned_bp": _of_seats(batches, lambda arm: arm.weight_bp),
        "revision": pa.array(np.repeat(np.array([b.revision for b in batches], np.int64), rows)),
        "score": pa.array(np.concatenate([b.scores for b in batches])),
        "decision": pa.array(decisions == 1, mask=decisions == NO_DECISION),
        "level": pa.array(np.concatenate([b.levels for b in batches])),
        "rule": _optional_strings([b.rules for b in batches], rows),
        "queue_us": pa.array(np.concatenate([b.queue_us for b in batches])),
        "fetch_us": _per_batch(batches, rows, lambda b: b.fetch_us),
        "infer_us": _per_batch(batches, rows, lambda b: b.infer_us),
        "total_us": pa.array(np.concatenate([b.total_us for b in batches])),
        "sent_entities": written_names([b.sent_entities for b in batches], rows),
        "sent_features": written_names([b.sent_features for b in batches], rows),
        "features": _lists([b.features for b in batches], rows, schema.field("features").type),
        "statuses": _lists([b.statuses for b in batches], rows, schema.field("statuses").type),
    }


def _shadow_columns(batches: Sequence[ShadowBatchLog], ids: LoggedIds) -> dict[str, Any]:
    rows = np.array([b.rows for b in batches])
    shadow_scores = np.concatenate([b.shadow_scores for b in batches])
    return {
        "request_id": _strings(chain.from_iterable(b.request_ids for b in batches)),
        "candidate_id": _candidate_ids(batches, rows, ids),
        "unit_key": _unit_keys(batches, ids),
        "at_utc": _times(np.repeat(np.array([b.at_us for b in batches]), rows)),
        "shadow_version": pa.array(
            np.repeat(np.array([b.shadow_version for b in batches], np.int32), rows)
        ),
        "champion_version": pa.array(
            np.repeat(np.array([b.champion_version for b in batches], np.int32), rows)
        ),
        "arm": _strings(_repeated([b.arm for b in batches], rows)),
        "revision": pa.array(np.repeat(np.array([b.revision for b in batches], np.int64), rows)),
        "champion_score": pa.array(np.concatenate([b.champion_scores for b in batches])),
        "shadow_score": pa.array(shadow_scores, mask=np.isnan(shadow_scores)),
        "status": _strings(_repeated([b.status for b in batches], rows)),
        "infer_us": _per_batch(batches, rows, lambda b: b.infer_us),
    }


def _outcome_columns(batches: Sequence[OutcomeBatchLog]) -> dict[str, Any]:
    rows = np.array([b.rows for b in batches])
    return {
        "request_id": _strings(chain.from_iterable(b.request_ids for b in batches)),
        "label": pa.array(np.concatenate([b.labels for b in batches])),
        "observed_at_utc": _times(np.concatenate([b.observed_at_us for b in batches])),
        "at_utc": _times(np.repeat(np.array([b.at_us for b in batches]), rows)),
    }


def _assigned_arms(batches: Sequence[ScoreBatchLog]) -> Iterable[str]:
    for batch in batches:
        names = [str(arm.arm) for arm in batch.split]
        yield from (names[seat] for seat in batch.seats.tolist())


def _of_seats(batches: Sequence[ScoreBatchLog], fact: Callable[[ArmShare], int]) -> Any:
    """Return a fact of the arm to which each row is assigned."""
    facts = [np.array([fact(arm) for arm in b.split], np.int32)[b.seats] for b in batches]
    return pa.array(np.concatenate(facts))


def _unit_keys(batches: Sequence[ScoreBatchLog | ShadowBatchLog], ids: LoggedIds) -> Any:
    keys = list(chain.from_iterable(b.entity_ids for b in batches))
    return _strings(ids.written(keys))


def _candidate_ids(
    batches: Sequence[ScoreBatchLog | ShadowBatchLog], rows: NDArray[np.int64], ids: LoggedIds
) -> Any:
    """Return the ids of candidates in the form of unit keys: they are ids of entities too."""
    return _optional_strings([_written_candidates(b.candidate_ids, ids) for b in batches], rows)


def _written_candidates(given: Sequence[str] | None, ids: LoggedIds) -> Sequence[str] | None:
    if given is None:
        return None
    # Rows of single calls share the batch, and their candidate id is "".
    return [digest if each else "" for each, digest in zip(given, ids.written(given), strict=True)]


def _per_batch(
    batches: Sequence[BatchT], rows: NDArray[np.int64], value: Callable[[BatchT], int]
) -> Any:
    return pa.array(np.repeat(np.array([value(b) for b in batches], np.uint32), rows))


def _strings(values: Iterable[str]) -> Any:
    return pa.array(list(values), pa.string())


def _repeated(values: Sequence[str], rows: NDArray[np.int64]) -> Iterable[str]:
    return chain.from_iterable(
        [value] * count for value, count in zip(values, rows.tolist(), strict=True)
    )


def _optional_strings(columns: Sequence[Sequence[str] | None], rows: NDArray[np.int64]) -> Any:
    if all(column is None for column in columns):
        return pa.nulls(int(rows.sum()), pa.string())
    return pa.array(
        [
            value or None
            for column, count in zip(columns, rows.tolist(), strict=True)
            for value in (column if column is not None else [None] * count)
        ],
        pa.string(),
    )


def _times(at_us: NDArray[np.int64]) -> Any:
    # A view, not a cast: casting imports pyarrow.compute, 30 ms under the interpreter lock.
    return pa.array(at_us.astype(np.int64, copy=False)).view(pa.timestamp("us"))


def _lists(
    matrices: Sequence[NDArray[Any] | None], rows: NDArray[np.int64], kind: pa.DataType
) -> Any:
    """Return a list per row; null in batches without a matrix, which cost nothing."""
    given = [matrix for matrix in matrices if matrix is not None]
    if not given:
        return pa.nulls(int(rows.sum()), kind)
    is_given = np.repeat(np.array([matrix is not None for matrix in matrices]), rows)
    lengths = is_given * given[0].shape[1]
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
    return pa.ListArray.from_arrays(
        pa.array(offsets),
        pa.array(np.concatenate(given).reshape(-1)),
        type=kind,
        mask=None if is_given.all() else pa.array(~is_given),
    )
