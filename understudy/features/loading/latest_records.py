"""The latest record of each entity at a time: a DuckDB ASOF join over packed records.

DuckDB sees ids, times and records in our types, never the files: the loader reads those, so that
history and stores cannot differ in the meaning of an id, a time or a number.
"""

from typing import assert_never

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from understudy.domain.features import FeatureView
from understudy.features.decisions.ingestion_times import (
    KnownAt,
    KnownBy,
    KnownWhenAsked,
    known_from_ms,
    with_time_of,
)
from understudy.features.decisions.record_format import (
    created_time_ms_of,
    event_time_ms_of,
    record_format,
)
from understudy.features.decisions.record_order import fingerprint_of
from understudy.features.decisions.row_values import PackedRows
from understudy.features.loading.history_files import HistorySource, packed_rows_of
from understudy.runtime.in_memory_sql import open_in_memory

_HISTORY = pa.schema(
    {
        "entity": pa.string(),
        "at_ms": pa.int64(),
        "created_ms": pa.int64(),
        "fingerprint": pa.int64(),
        "known_ms": pa.int64(),
        "record": pa.binary(),
    }
)
_CREATE = """
    CREATE TEMP TABLE history (
        entity VARCHAR, at_ms BIGINT, created_ms BIGINT, fingerprint BIGINT, known_ms BIGINT,
        record BLOB
    )
"""
# The order of `decisions.record_order`, in SQL. Of equal records the first ingested one is kept.
_ONCE = """
    SELECT * FROM history QUALIFY row_number() OVER (
        PARTITION BY entity, at_ms, created_ms, fingerprint ORDER BY known_ms NULLS LAST
    ) = 1
"""
_LATEST = """
    SELECT entity, at_ms, record FROM chosen QUALIFY row_number() OVER (
        PARTITION BY entity, at_ms ORDER BY created_ms DESC, fingerprint DESC, known_ms NULLS LAST
    ) = 1
"""
_FOUND = """
    SELECT asked.place, latest.record
    FROM asked ASOF JOIN latest ON asked.entity = latest.entity AND asked.at_ms >= latest.at_ms
"""
_OF_ALL = f"WITH chosen AS (FROM history), latest AS ({_LATEST}) {_FOUND}"
_OF_KNOWN_BY = f"""
    WITH once AS ({_ONCE}),
    chosen AS (SELECT * FROM once WHERE coalesce(known_ms, at_ms) <= $by_ms),
    latest AS ({_LATEST}) {_FOUND}
"""  # noqa: S608 - ours
# A record answers from the later of its times on, unless one that is later in the order already
# does: so each moment at which the answer may change has the greatest place in the order so far.
_OF_KNOWN_WHEN_ASKED = f"""
    WITH once AS ({_ONCE}),
    ordered AS (
        SELECT entity, record, greatest(at_ms, coalesce(known_ms, at_ms)) AS from_ms,
               row_number() OVER (
                   PARTITION BY entity ORDER BY at_ms, created_ms, fingerprint
               ) AS place_in_order
        FROM once
    ),
    answers AS (
        SELECT DISTINCT entity, from_ms, max(place_in_order) OVER (
            PARTITION BY entity ORDER BY from_ms RANGE UNBOUNDED PRECEDING
        ) AS place_in_order
        FROM ordered
    )
    SELECT asked.place, ordered.record
    FROM asked ASOF JOIN answers
      ON asked.entity = answers.entity AND asked.at_ms >= answers.from_ms
    JOIN ordered ON ordered.entity = answers.entity
      AND ordered.place_in_order = answers.place_in_order
"""  # noqa: S608 - ours
_ROWS_AT_A_TIME = 8192


def latest_records(
    view: FeatureView,
    entity_ids: list[str | None],
    at_ms: npt.NDArray[np.int64],
    source: HistorySource,
    known_at: KnownAt | None = None,
) -> list[bytes | None]:
    """Return the packed record of each entity at its time; None if there is none.

    A record has the ingestion time of its file. Where that is unknown, the record counts as known
    at its event time.

    Args:
        view: the view of the records.
        entity_ids: n ids; None for no entity.
        at_ms: shape (n,), UTC milliseconds since 1970.
        source: the history of the view's records.
        known_at: the time by which records must have been ingested; None for no limit.

    Raises:
        InvalidInputError: a file is not readable, or lacks columns.
        NotFoundError: there are no files.
    """
    records: list[bytes | None] = [None] * len(entity_ids)
    entities = {each for each in entity_ids if each is not None}
    asked = pa.table(
        {
            "place": np.arange(len(entity_ids)),
            "entity": pa.array(entity_ids, pa.string()),
            "at_ms": at_ms,
        }
    )
    with open_in_memory() as connection:
        connection.execute(_CREATE)
        for packed in packed_rows_of(view, source, entities):
            _keep(connection, view, packed, source, known_at)
        connection.register("asked", asked)
        query, parameters = _query_of(known_at)
        for batch in connection.sql(query, params=parameters).to_arrow_reader(_ROWS_AT_A_TIME):
            places, found = batch.columns
            for place, record in zip(places.to_pylist(), found.to_pylist(), strict=True):
                records[place] = record
    return records


def _query_of(known_at: KnownAt | None) -> tuple[str, dict[str, int]]:
    match known_at:
        case None:
            return _OF_ALL, {}
        case KnownBy(by_ms):
            return _OF_KNOWN_BY, {"by_ms": by_ms}
        case KnownWhenAsked():
            return _OF_KNOWN_WHEN_ASKED, {}
        case _:
            assert_never(known_at)


def _keep(
    connection: duckdb.DuckDBPyConnection,
    view: FeatureView,
    packed: PackedRows,
    source: HistorySource,
    known_at: KnownAt | None,
) -> None:
    form = record_format(view)
    records = [with_time_of(form, each, source.stored.get(name)) for name, each in packed.records]
    table = pa.table(
        [
            [entity_id for entity_id, _ in packed.records],
            [event_time_ms_of(form, record) for record in records],
            [created_time_ms_of(form, record) for record in records],
            [fingerprint_of(form, record) for record in records],
            [known_from_ms(form, record, known_at) for record in records],
            records,
        ],
        schema=_HISTORY,
    )
    connection.register("chunk", table)
    connection.execute("INSERT INTO history SELECT * FROM chunk")
    connection.unregister("chunk")
