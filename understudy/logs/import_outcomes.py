"""Import of outcomes from a file of another system into the outcome log."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa

from understudy.domain.errors import Fault, InvalidInputError, NotFoundError, UnavailableError
from understudy.domain.versions import checked_model_name
from understudy.logs.batches import OutcomeBatchLog
from understudy.logs.reader import one_line
from understudy.logs.writer import LogWriter
from understudy.runtime.in_memory_sql import open_in_memory

_BATCH_ROWS = 8192
_BATCHES_PER_FLUSH = 8  # well below the capacity of the log's queue
_READING = {
    ".parquet": "read_parquet($file, hive_partitioning = false)",
    ".csv": "read_csv($file, all_varchar = true, hive_partitioning = false)",  # an id such as 007 is not a number
    ".json": "read_json($file, hive_partitioning = false)",
    ".jsonl": "read_json($file, hive_partitioning = false)",
    ".ndjson": "read_json($file, hive_partitioning = false)",
}


@dataclass(frozen=True, slots=True)
class OutcomeColumns:
    """Names of the columns in the file; `observed_at` is None for the time of the import."""

    request_id: str = "request_id"
    label: str = "label"
    observed_at: str | None = None


def import_outcomes(
    file: Path,
    log_dir: Path,
    model: str,
    *,
    columns: OutcomeColumns,
    at_us: int,
    flush_timeout_s: float = 60.0,
) -> int:
    """Write the outcomes in `file` (Parquet, CSV or JSON lines) to the log; return their number.

    Either all rows or none are written, because the whole file is checked first.

    Args:
        file: one outcome per row; labels are numbers or booleans, times have a zone or are UTC.
        log_dir: the log directory; created if it does not exist.
        model: name of the deployment.
        columns: names of the columns to read.
        at_us: now, UTC, microseconds since 1970.
        flush_timeout_s: limit on writing some ten thousand rows.

    Raises:
        InvalidInputError: a column is missing or of another type, or a row lacks a value.
        NotFoundError: the file does not exist.
        UnavailableError: the log directory cannot be written.
    """
    checked_model_name(model)
    outcomes = _read(file, columns, at_us)
    with LogWriter(log_dir) as writer:
        for number, batch in enumerate(_batches(outcomes, model, at_us), start=1):
            writer.offer(batch)
            if number % _BATCHES_PER_FLUSH == 0:
                _flush(writer, log_dir, flush_timeout_s)
        _flush(writer, log_dir, flush_timeout_s)
    return int(outcomes.num_rows)


def _flush(writer: LogWriter, log_dir: Path, timeout_s: float) -> None:
    if not writer.flush(timeout_s):
        raise UnavailableError("log directory", f"{log_dir} cannot be written")


def _batches(outcomes: pa.Table, model: str, at_us: int) -> Iterator[OutcomeBatchLog]:
    for start in range(0, outcomes.num_rows, _BATCH_ROWS):
        part = outcomes.slice(start, _BATCH_ROWS)
        yield OutcomeBatchLog(
            model=model,
            at_us=at_us,
            request_ids=part["request_id"].to_pylist(),
            labels=part["label"].to_numpy(),
            observed_at_us=part["observed_at_us"].to_numpy(),
        )


def _read(file: Path, columns: OutcomeColumns, at_us: int) -> pa.Table:
    if not file.is_file():
        raise NotFoundError("file", file)
    reading = _READING.get(file.suffix.lower())
    if reading is None:
        raise InvalidInputError.of("file", read=file.name, accepted=", ".join(sorted(_READING)))
    with open_in_memory(files=[file]) as connection:
        try:
            source = connection.sql(f"SELECT * FROM {reading}", params={"file": str(file)})  # noqa: S608 - ours
            _check_names(source.columns, columns)
            return _checked(_typed(source, columns), columns, at_us)
        except duckdb.Error as error:
            accepted = "a file in the format of its extension"
            raise InvalidInputError([Fault(file.name, one_line(error), accepted)]) from error


def _check_names(there: list[str], columns: OutcomeColumns) -> None:
    wanted = [columns.request_id, columns.label]
    if columns.observed_at is not None:
        wanted.append(columns.observed_at)
    faults = [
        Fault(f"column {name}", "no such column", f"one of {', '.join(there)}")
        for name in wanted
        if name not in there
    ]
    if faults:
        raise InvalidInputError(faults)


def _typed(source: duckdb.DuckDBPyRelation, columns: OutcomeColumns) -> pa.Table:
    label = _quoted(columns.label)
    observed = "NULL" if columns.observed_at is None else _quoted(columns.observed_at)
    return source.project(
        f"""nullif(trim(TRY_CAST({_quoted(columns.request_id)} AS VARCHAR)), '') AS request_id,
        coalesce(TRY_CAST({label} AS DOUBLE), TRY_CAST({label} AS BOOLEAN)::DOUBLE) AS label,
        epoch_us(TRY_CAST({observed} AS TIMESTAMPTZ)) AS observed_at_us"""
    ).to_arrow_table()


def _checked(outcomes: pa.Table, columns: OutcomeColumns, at_us: int) -> pa.Table:
    """Return `outcomes` if every row is complete; the default time is now."""
    labels = outcomes["label"].to_numpy()  # a null becomes NaN
    bad_counts = {
        f"column {columns.request_id}": outcomes["request_id"].null_count,
        f"column {columns.label}": int(np.count_nonzero(~np.isfinite(labels))),
    }
    if columns.observed_at is None:
        now = pa.array(np.full(outcomes.num_rows, at_us, np.int64))
        outcomes = outcomes.set_column(2, "observed_at_us", now)
    else:
        bad_counts[f"column {columns.observed_at}"] = outcomes["observed_at_us"].null_count
    faults = [
        Fault(name, f"{count} rows without a usable value", "a value in every row")
        for name, count in bad_counts.items()
        if count
    ]
    if faults:
        raise InvalidInputError(faults)
    return outcomes


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
