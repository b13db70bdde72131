"""Conversion of offered batches to Arrow columns: by buffer, never by row.

Everything here runs in the log's thread while the event loop wants the interpreter lock, so each
call handles a slice of rows that is small enough to be quick.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from itertools import chain, groupby
from typing import Any, assert_never

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from understudy.domain.logged_features import NO_FEATURES, ListedFeatures
from understudy.domain.logged_ids import LoggedIds, buckets_of
from understudy.domain.versions import checked_model_name
from understudy.logs.arrays import (
    optional_texts,
    per_batch,
    repeated_texts,
    texts,
    times,
)
from understudy.logs.batches import (
    NO_DECISION,
    LogBatch,
    OutcomeBatchLog,
    ScoreBatchLog,
    ShadowBatchLog,
    ShadowStatus,
)
from understudy.logs.feature_columns import feature_columns, optional_lists, output_lists
from understudy.logs.numbered import Numbered
from understudy.logs.schema import LogKind, schema_of_kind, with_facts
from understudy.logs.sent_names import written_names

Columns = dict[str, Any]

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
    listed: ListedFeatures = NO_FEATURES
    _hash: int = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        parts = (self.kind, self.model, self.date, self.version, self.listed)
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
                listed = NO_FEATURES if features is None else features.listed
                # By identity: the cached key keeps the names alive, so their ids are not reused.
                return self._find(LogKind.SCORE, batch.model, day, version, listed)
            case ShadowBatchLog(shadow_version=version):
                return self._find(LogKind.SHADOW, batch.model, day, version, NO_FEATURES)
            case OutcomeBatchLog():
                return self._find(LogKind.OUTCOMES, batch.model, day, 0, NO_FEATURES)
            case _:
                assert_never(batch)

    def _find(
        self, kind: LogKind, model: str, day: int, version: int, listed: ListedFeatures
    ) -> FileKey:
        short = (kind, model, day, version, id(listed))
        key = self._known.get(short)
        if key is None:
            date_text = (_EPOCH + timedelta(days=day)).isoformat()
            key = FileKey(kind, checked_model_name(model), date_text, version, listed)
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
    return with_facts(schema, ids=ids, listed=key.listed)


def record_batch(
    numbered: Sequence[Numbered], schema: pa.Schema, ids: LoggedIds, writer_id: str
) -> Any:
    """Return one Arrow record batch with the rows of `numbered`, all of one `FileKey`.

    Raises:
        ValueError: a value cannot be written, e.g. text that is not UTF-8.
    """
    batches = [each.batch for each in numbered]
    columns = _own_columns(batches, schema, ids)
    rows = np.array([batch.rows for batch in batches])
    columns["writer_id"] = pa.repeat(writer_id, int(rows.sum()))
    before = np.cumsum(rows) - rows  # rows of the slice in earlier batches
    firsts = np.array([each.first for each in numbered])
    columns["writer_sequence"] = pa.array(np.repeat(firsts - before, rows) + np.arange(rows.sum()))
    return pa.record_batch([columns[name] for name in schema.names], schema=schema)


def _own_columns(batches: Sequence[LogBatch], schema: pa.Schema, ids: LoggedIds) -> Columns:
    first = batches[0]
    match first:
        case ScoreBatchLog():
            scores = [batch for batch in batches if isinstance(batch, ScoreBatchLog)]
            return _score_columns(scores, schema, ids)
        case ShadowBatchLog():
            return _shadow_columns([b for b in batches if isinstance(b, ShadowBatchLog)], ids)
        case OutcomeBatchLog():
            return _outcome_columns([b for b in batches if isinstance(b, OutcomeBatchLog)])
        case _:
            assert_never(first)


def _row_columns(
    batches: Sequence[ScoreBatchLog | ShadowBatchLog], rows: NDArray[np.int64], ids: LoggedIds
) -> Columns:
    """Return the columns that the logs of scores and shadows share."""
    units = list(chain.from_iterable(batch.entity_ids for batch in batches))
    digests = [batch.deployment_digest or None for batch in batches]
    lineages = [batch.lineage or None for batch in batches]
    sequences = np.repeat(np.array([batch.sequence for batch in batches], np.int64), rows)
    written = ids.written(units)
    return {
        "request_id": texts(chain.from_iterable(batch.request_ids for batch in batches)),
        "candidate_id": _candidate_ids(batches, rows, ids),
        "unit_key": texts(written),
        "bucket": pa.array(np.frombuffer(buckets_of(written, ids.form), np.uint8)),
        "at_utc": times(np.repeat(np.array([batch.at_us for batch in batches]), rows)),
        "version": pa.array(np.repeat(np.array([b.version for b in batches], np.int32), rows)),
        "arm": repeated_texts([batch.arm for batch in batches], rows),
        "revision": pa.array(np.repeat(np.array([b.revision for b in batches], np.int64), rows)),
        "deployment_digest": repeated_texts(digests, rows),
        "registry_lineage": repeated_texts(lineages, rows),
        "registry_sequence": pa.array(sequences, mask=sequences == 0),
        "score": pa.array(np.concatenate([batch.scores for batch in batches])),
        "level": _levels(batches),
        "infer_us": per_batch(batches, rows, lambda batch: batch.infer_us),
    }


def _score_columns(batches: Sequence[ScoreBatchLog], schema: pa.Schema, ids: LoggedIds) -> Columns:
    rows = np.array([batch.rows for batch in batches])
    decisions = np.concatenate([batch.decisions for batch in batches])
    return {
        **_row_columns(batches, rows, ids),
        **_assigned_columns(batches),
        "threshold": _thresholds(batches),
        "decision": pa.array(decisions == 1, mask=decisions == NO_DECISION),
        "outputs": output_lists(batches, rows, schema.field("outputs").type),
        "reasons": optional_lists([b.reasons for b in batches], rows, schema.field("reasons").type),
        "rule": optional_texts([batch.rules for batch in batches], rows),
        "queue_us": _microseconds([batch.queue_s for batch in batches]),
        "fetch_us": per_batch(batches, rows, lambda batch: batch.fetch_us),
        "total_us": _microseconds([batch.total_s for batch in batches]),
        "sent_entities": written_names([batch.sent_entities for batch in batches], rows),
        "sent_features": written_names([batch.sent_features for batch in batches], rows),
        "trace_id": optional_texts([batch.trace_ids for batch in batches], rows),
        **feature_columns(batches, rows, schema, ids),
    }


def _assigned_columns(batches: Sequence[ScoreBatchLog]) -> Columns:
    """Return the facts of the arm to which each row is assigned."""
    arms: list[str] = []
    versions, weights_bp = [], []
    for split, of_split in groupby(batches, key=lambda batch: batch.split):
        seats = np.fromiter(chain.from_iterable(batch.seats for batch in of_split), np.intp)
        # As objects: an array of texts would make a new one for each row.
        arms += np.array([str(arm.arm) for arm in split], object)[seats].tolist()
        versions.append(np.array([arm.version for arm in split], np.int32)[seats])
        weights_bp.append(np.array([arm.weight_bp for arm in split], np.int32)[seats])
    return {
        "assigned_version": pa.array(np.concatenate(versions)),
        "assigned_arm": texts(arms),
        "assigned_bp": pa.array(np.concatenate(weights_bp)),
    }


def _microseconds(columns: Sequence[Sequence[float]]) -> Any:
    seconds = np.fromiter(chain.from_iterable(columns), np.float64)
    return pa.array(np.rint(seconds * 1e6).astype(np.uint32))


def _shadow_columns(batches: Sequence[ShadowBatchLog], ids: LoggedIds) -> Columns:
    rows = np.array([batch.rows for batch in batches])
    shadow_scores = np.concatenate(
        [
            np.full(batch.rows, np.nan) if batch.shadow_scores is None else batch.shadow_scores
            for batch in batches
        ]
    )
    is_ok = np.repeat([batch.status is ShadowStatus.OK for batch in batches], rows)
    probabilities = np.array([batch.inclusion_probability for batch in batches])
    shadow_versions = np.array([batch.shadow_version for batch in batches], np.int32)
    return {
        **_row_columns(batches, rows, ids),
        "shadow_version": pa.array(np.repeat(shadow_versions, rows)),
        "shadow_score": pa.array(shadow_scores, mask=~is_ok),
        "status": repeated_texts([batch.status.value for batch in batches], rows),
        "inclusion_probability": pa.array(np.repeat(probabilities, rows)),
    }


def _outcome_columns(batches: Sequence[OutcomeBatchLog]) -> Columns:
    rows = np.array([batch.rows for batch in batches])
    return {
        "request_id": texts(chain.from_iterable(batch.request_ids for batch in batches)),
        "label": pa.array(np.concatenate([batch.labels for batch in batches])),
        "observed_at_utc": times(np.concatenate([batch.observed_at_us for batch in batches])),
        "at_utc": times(np.repeat(np.array([batch.at_us for batch in batches]), rows)),
    }


def _candidate_ids(
    batches: Sequence[ScoreBatchLog | ShadowBatchLog], rows: NDArray[np.int64], ids: LoggedIds
) -> Any:
    """Return the ids of candidates in the form of unit keys: they are ids of entities too."""
    return optional_texts([_written_candidates(b.candidate_ids, ids) for b in batches], rows)


def _written_candidates(given: Sequence[str] | None, ids: LoggedIds) -> Sequence[str] | None:
    if given is None:
        return None
    written = ids.written(given)
    if all(given):
        return written
    # Rows of single calls share the batch, and their candidate id is "".
    return [digest if each else "" for each, digest in zip(given, written, strict=True)]


def _levels(batches: Sequence[ScoreBatchLog | ShadowBatchLog]) -> Any:
    return pa.array(
        np.concatenate(
            [np.zeros(b.rows, np.uint8) if b.levels is None else b.levels for b in batches]
        )
    )


def _thresholds(batches: Sequence[ScoreBatchLog]) -> Any:
    if all(batch.thresholds is None for batch in batches):
        return pa.nulls(sum(batch.rows for batch in batches), pa.float64())
    thresholds = np.concatenate(
        [np.full(b.rows, np.nan) if b.thresholds is None else b.thresholds for b in batches]
    )
    return pa.array(thresholds, mask=np.isnan(thresholds))
