"""The latest record of each entity at a time: a DuckDB ASOF join over packed records.

DuckDB sees ids, times and records in our types, never the files: the loader reads those, so that
history and stores cannot differ in the meaning of an id, a time or a number.
"""

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from understudy.domain.features import FeatureView
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
        "record": pa.binary(),
    }
)
_CREATE = """
    CREATE TEMP TABLE history (
        entity VARCHAR, at_ms BIGINT, created_ms BIGINT, fingerprint BIGINT, record BLOB
    )
"""
# The order of `decisions.record_order`, in SQL.
_JOIN = """
    WITH latest AS (
        SELECT entity, at_ms, record FROM history QUALIFY row_number() OVER (
            PARTITION BY entity, at_ms ORDER BY created_ms DESC, fingerprint DESC
        ) = 1
    )
    SELECT asked.place, latest.record
    FROM asked ASOF JOIN latest ON asked.entity = latest.entity AND asked.at_ms >= latest.at_ms
"""
_ROWS_AT_A_TIME = 8192


def latest_records(
    view: FeatureView,
    entity_ids: list[str | None],
    at_ms: npt.NDArray[np.int64],
    source: HistorySource,
) -> list[bytes | None]:
    """Return the packed record of each entity at its time; None if there is none.

    Args:
        view: the view of the records.
        entity_ids: n ids; None for no entity.
        at_ms: shape (n,), UTC milliseconds since 1970.
        source: the history of the view's records.

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
            _keep(connection, view, packed)
        connection.register("asked", asked)
        for batch in connection.sql(_JOIN).to_arrow_reader(_ROWS_AT_A_TIME):
            places, found = batch.columns
            for place, record in zip(places.to_pylist(), found.to_pylist(), strict=True):
                records[place] = record
    return records


def _keep(connection: duckdb.DuckDBPyConnection, view: FeatureView, packed: PackedRows) -> None:
    form = record_format(view)
    records = [record for _, record in packed.records]
    table = pa.table(
        [
            [entity_id for entity_id, _ in packed.records],
            [event_time_ms_of(form, record) for record in records],
            [created_time_ms_of(form, record) for record in records],
            [fingerprint_of(record) for record in records],
            records,
        ],
        schema=_HISTORY,
    )
    connection.register("chunk", table)
    connection.execute("INSERT INTO history SELECT * FROM chunk")
    connection.unregister("chunk")
