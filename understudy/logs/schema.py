"""The columns of the logs as Arrow schemas: the single definition of their names and types.

Times are UTC without a zone, so that every reader shows the same time. `unit_key` and
`candidate_id` are digests unless the metadata of the file says `plain`.
"""

from enum import StrEnum

import pyarrow as pa

from understudy.domain.logged_features import (
    AGES,
    ELEMENTS_KEY,
    NO_FEATURES,
    STATUSES,
    FeatureList,
    ListedFeatures,
)
from understudy.domain.logged_ids import ID_FORM_KEY, LOG_KEY_ID_KEY, LoggedIds

SCHEMA_VERSION = "4"  # grows when a column changes its meaning; new columns need no new number

VERSION_KEY = b"understudy_log_version"


class LogKind(StrEnum):
    """The kinds of log; each value is also the name of a folder in the log directory."""

    SCORE = "score"
    SHADOW = "shadow"
    OUTCOMES = "outcomes"


_TIME = pa.timestamp("us")
_TEXT = pa.string()


def _required(name: str, kind: pa.DataType) -> pa.Field:
    return pa.field(name, kind, nullable=False)


def _list(kind: pa.DataType, *, nullable: bool = False) -> pa.DataType:
    return pa.list_(pa.field("element", kind, nullable=nullable))


_WRITER = (
    _required("writer_id", _TEXT),
    _required("writer_sequence", pa.int64()),  # from 1, per writer, log and model
)
_STATE = (
    _required("revision", pa.int64()),
    pa.field("deployment_digest", _TEXT),
    pa.field("registry_lineage", _TEXT),
    pa.field("registry_sequence", pa.int64()),
)
_ROW = (
    _required("request_id", _TEXT),
    pa.field("candidate_id", _TEXT),
    _required("unit_key", _TEXT),
    _required("bucket", pa.uint8()),
    _required("at_utc", _TIME),
    *_WRITER,
    _required("version", pa.int32()),
    _required("arm", _TEXT),
)
_OUTPUT = pa.struct([_required("name", _TEXT), _required("values", _list(pa.float64()))])

_SCORE_SCHEMA = pa.schema(
    [
        *_ROW,
        _required("assigned_version", pa.int32()),
        _required("assigned_arm", _TEXT),
        _required("assigned_bp", pa.int32()),
        *_STATE,
        _required("score", pa.float64()),
        pa.field("threshold", pa.float64()),
        pa.field("decision", pa.bool_()),
        pa.field("outputs", _list(_OUTPUT)),
        _required("level", pa.uint8()),
        pa.field("reasons", _list(_TEXT)),
        pa.field("rule", _TEXT),
        _required("queue_us", pa.uint32()),
        _required("fetch_us", pa.uint32()),
        _required("infer_us", pa.uint32()),
        _required("total_us", pa.uint32()),
        pa.field("sent_entities", _TEXT),
        pa.field("sent_features", _TEXT),
        pa.field("trace_id", _TEXT),
        # Of variable length, although a file has one: readers of several files need one type.
        pa.field(FeatureList.FLOATS, _list(pa.float32())),
        pa.field(FeatureList.DOUBLES, _list(pa.float64())),
        pa.field(FeatureList.INT64S, _list(pa.int64())),
        pa.field(FeatureList.TEXTS, _list(_TEXT)),
        pa.field(FeatureList.DIGESTS, _list(_TEXT)),
        pa.field(STATUSES, _list(pa.uint8())),
        pa.field(AGES, _list(pa.int64(), nullable=True)),
    ]
)

_SHADOW_SCHEMA = pa.schema(
    [
        *_ROW,
        *_STATE,
        _required("score", pa.float64()),
        _required("level", pa.uint8()),
        _required("shadow_version", pa.int32()),
        pa.field("shadow_score", pa.float64()),
        _required("status", _TEXT),
        _required("inclusion_probability", pa.float64()),
        _required("infer_us", pa.uint32()),
    ]
)

_OUTCOMES_SCHEMA = pa.schema(
    [
        _required("request_id", _TEXT),
        _required("label", pa.float64()),
        _required("observed_at_utc", _TIME),
        _required("at_utc", _TIME),
        *_WRITER,
    ]
)


def schema_of_kind(kind: LogKind) -> pa.Schema:
    """Return the columns of a log, the same in every file, so that readers can join the files."""
    match kind:
        case LogKind.SCORE:
            return _SCORE_SCHEMA
        case LogKind.SHADOW:
            return _SHADOW_SCHEMA
        case LogKind.OUTCOMES:
            return _OUTCOMES_SCHEMA


def with_facts(
    schema: pa.Schema, *, ids: LoggedIds, listed: ListedFeatures = NO_FEATURES
) -> pa.Schema:
    """Return `schema` with file metadata that readers need besides the columns."""
    return schema.with_metadata(
        {
            VERSION_KEY: SCHEMA_VERSION,
            ID_FORM_KEY: ids.form.value,
            LOG_KEY_ID_KEY: ids.key_id,
            ELEMENTS_KEY: listed.as_json,
        }
    )
