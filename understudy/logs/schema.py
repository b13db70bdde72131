"""The columns of the logs as Arrow schemas: the single definition of their names and types.

Times are UTC without a zone, so that every reader shows the same time. `unit_key` and
`candidate_id` are digests unless the metadata of the file says `plain`.
"""

import json
from enum import StrEnum

import pyarrow as pa

from understudy.domain.logged_ids import ID_FORM_KEY, LOG_KEY_ID_KEY, LoggedIds

SCHEMA_VERSION = "2"  # grows when a column changes its meaning; new columns need no new number

VERSION_KEY = b"understudy_log_version"
FEATURE_NAMES_KEY = b"feature_names"  # JSON list, in the order of `features`


class LogKind(StrEnum):
    """The kinds of log; each value is also the name of a folder in the log directory."""

    SCORE = "score"
    SHADOW = "shadow"
    OUTCOMES = "outcomes"


_TIME = pa.timestamp("us")

_SCORE_FIELDS = (
    pa.field("request_id", pa.string(), nullable=False),
    pa.field("candidate_id", pa.string()),
    pa.field("unit_key", pa.string(), nullable=False),
    pa.field("at_utc", _TIME, nullable=False),
    pa.field("version", pa.int32(), nullable=False),
    pa.field("arm", pa.string(), nullable=False),
    pa.field("assigned_version", pa.int32(), nullable=False),
    pa.field("assigned_arm", pa.string(), nullable=False),
    pa.field("assigned_bp", pa.int32(), nullable=False),
    pa.field("revision", pa.int64(), nullable=False),
    pa.field("score", pa.float64(), nullable=False),
    pa.field("decision", pa.bool_()),
    pa.field("level", pa.uint8(), nullable=False),
    pa.field("rule", pa.string()),
    pa.field("queue_us", pa.uint32(), nullable=False),
    pa.field("fetch_us", pa.uint32(), nullable=False),
    pa.field("infer_us", pa.uint32(), nullable=False),
    pa.field("total_us", pa.uint32(), nullable=False),
    pa.field("sent_entities", pa.string()),
    pa.field("sent_features", pa.string()),
)

_SCORE_SCHEMA = pa.schema(
    [
        *_SCORE_FIELDS,
        # Of variable length, although a file has one: readers of several files need one type.
        pa.field("features", pa.list_(pa.field("element", pa.float32(), nullable=False))),
        pa.field("statuses", pa.list_(pa.field("element", pa.uint8(), nullable=False))),
    ]
)

_SHADOW_SCHEMA = pa.schema(
    [
        pa.field("request_id", pa.string(), nullable=False),
        pa.field("candidate_id", pa.string()),
        pa.field("unit_key", pa.string(), nullable=False),
        pa.field("at_utc", _TIME, nullable=False),
        pa.field("shadow_version", pa.int32(), nullable=False),
        pa.field("champion_version", pa.int32(), nullable=False),
        pa.field("arm", pa.string(), nullable=False),
        pa.field("revision", pa.int64(), nullable=False),
        pa.field("champion_score", pa.float64(), nullable=False),
        pa.field("shadow_score", pa.float64()),
        pa.field("status", pa.string(), nullable=False),
        pa.field("infer_us", pa.uint32(), nullable=False),
    ]
)

_OUTCOMES_SCHEMA = pa.schema(
    [
        pa.field("request_id", pa.string(), nullable=False),
        pa.field("label", pa.float64(), nullable=False),
        pa.field("observed_at_utc", _TIME, nullable=False),
        pa.field("at_utc", _TIME, nullable=False),
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
    schema: pa.Schema, *, ids: LoggedIds, feature_names: tuple[str, ...] = ()
) -> pa.Schema:
    """Return `schema` with file metadata that readers need besides the columns."""
    return schema.with_metadata(
        {
            VERSION_KEY: SCHEMA_VERSION,
            ID_FORM_KEY: ids.form.value,
            LOG_KEY_ID_KEY: ids.key_id,
            FEATURE_NAMES_KEY: json.dumps(feature_names),
        }
    )
