"""The latest record of each entity at a time: a DuckDB ASOF join over rows that a store would accept."""

from dataclasses import dataclass

import duckdb
import numpy as np
import pyarrow as pa
from duckdb.func import FunctionNullHandling, PythonUDFType
from duckdb.sqltypes import BIGINT, VARCHAR

from understudy.domain.features import FeatureView
from understudy.features.decisions.row_values import PackedRows, pack_rows, times_ms_of_texts
from understudy.runtime.in_memory_sql import open_in_memory

_ID, _TIME, _FILE, _ROW = "__id", "__event_time", "__file", "__row"
_TEXT_TIME_MS = "text_time_ms"  # our SQL function
_ROWS_AT_A_TIME = 8192


@dataclass(frozen=True, slots=True)
class HistorySource:
    """The Parquet files with the history of a view's records."""

    files: str  # a path or a glob
    entity_column: str
    event_time_column: str = "event_time"


def latest_records(view: FeatureView, asked: pa.Table, source: HistorySource) -> list[bytes | None]:
    """Return the packed record of each requested entity at its time; None if there is none.

    The code that loads rows into stores decides which rows count, never SQL: if the newest row of
    an entity is unusable, all rows of that entity are checked, and the join is repeated without
    the unusable ones.

    Args:
        view: the view of the records.
        asked: `place` (0 to n - 1), `entity`, `at_ms` (UTC).
        source: the history of the view's records.

    Raises:
        duckdb.Error: the files do not exist, or lack columns.
    """
    records: list[bytes | None] = [None] * len(asked)
    with open_in_memory() as connection:
        connection.register("asked", asked)
        connection.register("unusable", _places([], []))
        connection.create_function(
            _TEXT_TIME_MS,
            times_ms_of_texts,
            [VARCHAR],
            BIGINT,
            type=PythonUDFType.ARROW,
            null_handling=FunctionNullHandling.SPECIAL,  # null also for unreadable text
        )
        matched = _joined(connection, view, source)
        packed = _packed(view, matched)
        if packed.rejected_rows:
            rejected = np.setdiff1d(np.arange(len(matched)), packed.rows)
            connection.register("suspects", matched.select(["__entity"]).take(rejected))
            connection.register("unusable", _unusable_rows(connection, view, source))
            matched = _joined(connection, view, source)
            packed = _packed(view, matched)
    places = matched["__place"].to_pylist()
    for row, (_, record) in zip(packed.rows, packed.records, strict=True):
        records[places[row]] = record
    return records


def _joined(
    connection: duckdb.DuckDBPyConnection, view: FeatureView, source: HistorySource
) -> pa.Table:
    """Return the latest row of each requested entity. Among rows of equal time the first counts."""
    values = ", ".join(_quoted(feature.name) for feature in view.features)
    query = f"""
        WITH usable AS (
            SELECT * FROM ({_history_of(connection, view, source)}) ANTI JOIN unusable USING ({_FILE}, {_ROW})
        ),
        history AS (
            SELECT * FROM usable QUALIFY row_number() OVER (
                PARTITION BY __entity, __at_ms ORDER BY {_FILE}, {_ROW}
            ) = 1
        )
        SELECT asked.place AS __place, __entity, {_ID}, {_TIME}, {values}
        FROM asked ASOF JOIN history
            ON asked.entity = history.__entity AND asked.at_ms >= history.__at_ms
        ORDER BY asked.place
    """  # noqa: S608 - names are quoted, files are a parameter
    return connection.sql(query, params=[source.files]).to_arrow_table().combine_chunks()


def _unusable_rows(
    connection: duckdb.DuckDBPyConnection, view: FeatureView, source: HistorySource
) -> pa.Table:
    """Return the places of all rows of suspect entities that loading rejects."""
    history = _history_of(connection, view, source)
    query = f"SELECT * FROM ({history}) SEMI JOIN suspects USING (__entity)"  # noqa: S608 - as above
    files: list[str] = []
    rows: list[int] = []
    answer = connection.sql(query, params=[source.files])
    for batch in answer.to_arrow_reader(_ROWS_AT_A_TIME):
        packed = _packed(view, batch)
        rejected = np.setdiff1d(np.arange(len(batch)), packed.rows)
        files += batch.column(_FILE).take(rejected).to_pylist()
        rows += batch.column(_ROW).take(rejected).to_pylist()
    return _places(files, rows)


def _places(files: list[str], rows: list[int]) -> pa.Table:
    return pa.table({_FILE: pa.array(files, pa.string()), _ROW: pa.array(rows, pa.int64())})


def _packed(view: FeatureView, rows: pa.Table | pa.RecordBatch) -> PackedRows:
    batch = rows if isinstance(rows, pa.RecordBatch) else _only_batch(rows)
    return pack_rows(
        view,
        batch,
        entity_column=_ID,
        event_times=_TIME,
        row_numbers=np.arange(len(batch)),
    )


def _only_batch(table: pa.Table) -> pa.RecordBatch:
    batches = table.to_batches()
    return batches[0] if batches else pa.RecordBatch.from_pylist([], table.schema)


def _history_of(
    connection: duckdb.DuckDBPyConnection, view: FeatureView, source: HistorySource
) -> str:
    """Return the SQL for a view's rows; its one parameter is the list of files.

    Files may differ in types: DuckDB would otherwise cast to the types of the first, 3.5 to 4.
    """
    entity, time = _quoted(source.entity_column), _quoted(source.event_time_column)
    values = ", ".join(_quoted(feature.name) for feature in view.features)
    times = f"SELECT {time} FROM read_parquet(?, union_by_name = true)"  # noqa: S608 - as below
    is_text = connection.sql(times, params=[source.files]).types == [VARCHAR]
    at_ms = f"{_TEXT_TIME_MS if is_text else 'epoch_ms'}({time})"
    return f"""
        SELECT *, make_timestamp_ms(__at_ms) AS {_TIME} FROM (
            SELECT {entity}::VARCHAR AS __entity, {entity} AS {_ID}, {at_ms} AS __at_ms,
                filename AS {_FILE}, file_row_number AS {_ROW}, {values}
            FROM read_parquet(?, filename = true, file_row_number = true, union_by_name = true)
            WHERE {entity} IS NOT NULL AND {time} IS NOT NULL
        ) WHERE __at_ms IS NOT NULL
    """  # noqa: S608 - names are quoted, files are a parameter


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
