"""Import of outcomes from a file of another system into the outcome log."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from understudy.comparison.decisions.outcome_values import OutcomeColumns
from understudy.comparison.decisions.repeated_outcomes import (
    OutcomeKey,
    conflicting_rows,
    is_first,
)
from understudy.comparison.outcome_files import Outcomes, read_outcomes
from understudy.domain.errors import UnavailableError
from understudy.domain.versions import checked_model_name
from understudy.logs.batches import OutcomeBatchLog
from understudy.logs.finished_files import Scope
from understudy.logs.reader import open_logs
from understudy.logs.writer import LogWriter

_BATCH_ROWS = 8192
_BATCHES_PER_FLUSH = 8  # well below the capacity of the log's queue


@dataclass(frozen=True, slots=True)
class ImportedOutcomes:
    """The effect of an import, in rows of the file: each is imported or repeated."""

    imported: int
    repeated: int  # already in the log, or above in the file
    matched: int  # of a request that is in the score log
    unmatched: int
    conflicting: int  # with another label for the same request and time, in the file
    from_future: int  # observed after now, by the file


def import_outcomes(
    file: Path,
    log_dir: Path,
    model: str,
    *,
    columns: OutcomeColumns,
    at_us: int,
    flush_timeout_s: float = 60.0,
) -> ImportedOutcomes:
    """Write the outcomes in `file` (Parquet, CSV or JSON) to the log, unless it has them.

    Either all rows or none are written, because the whole file is checked first. An outcome with
    the request, label and time of one in the log is repeated. Without a column of times the time
    cannot tell an old file from a correction, so the request and label decide alone.

    Args:
        file: one outcome per row; labels are numbers or booleans, times have a zone or are UTC.
        log_dir: the log directory; created if it does not exist.
        model: name of the deployment.
        columns: names of the columns to read.
        at_us: now, UTC, microseconds since 1970.
        flush_timeout_s: limit on writing some ten thousand rows.

    Raises:
        InvalidInputError: a column is missing, or a row lacks a usable value.
        NotFoundError: the file does not exist.
        UnavailableError: the log directory cannot be read or written.
    """
    checked_model_name(model)
    outcomes = read_outcomes(file, columns)
    table = _table_of(outcomes, at_us)
    logged = _logged(table, log_dir, model, has_times=outcomes.observed_at_us is not None)
    keys = _keys(table)
    fresh = table.filter(pa.array(logged.is_new & is_first(keys)))
    with LogWriter(log_dir) as writer:
        for number, batch in enumerate(_batches(fresh, model, at_us), start=1):
            writer.offer(batch)
            if number % _BATCHES_PER_FLUSH == 0:
                _flush(writer, log_dir, flush_timeout_s)
        _flush(writer, log_dir, flush_timeout_s)
    return ImportedOutcomes(
        imported=len(fresh),
        repeated=len(table) - len(fresh),
        matched=logged.matched,
        unmatched=len(table) - logged.matched,
        conflicting=conflicting_rows(keys),
        from_future=int(np.count_nonzero(table["observed_at_us"].to_numpy() > at_us)),
    )


def _table_of(outcomes: Outcomes, at_us: int) -> pa.Table:
    rows = len(outcomes.request_ids)
    observed = outcomes.observed_at_us
    return pa.table(
        {
            "place": np.arange(rows),
            "request_id": pa.array(outcomes.request_ids, pa.string()),
            "label": outcomes.labels,
            "observed_at_us": np.full(rows, at_us) if observed is None else observed,
        }
    )


def _keys(table: pa.Table) -> list[OutcomeKey]:
    columns = (table[name].to_pylist() for name in ("request_id", "observed_at_us", "label"))
    return list(zip(*columns, strict=True))


@dataclass(frozen=True, slots=True, eq=False)
class _Logged:
    """The outcomes of a file that the logs know."""

    is_new: npt.NDArray[np.bool_]  # shape (n,)
    matched: int


def _logged(table: pa.Table, log_dir: Path, model: str, *, has_times: bool) -> _Logged:
    is_new = np.ones(len(table), dtype=np.bool_)
    if not log_dir.is_dir():
        return _Logged(is_new, 0)
    with open_logs(log_dir, Scope(model)) as logs:
        logs.add("given", table)
        found = logs.table(_FOUND, {"model": model, "has_times": has_times})
        (count,) = logs.rows(_MATCHED, {"model": model})
    is_new[found["place"].to_numpy()] = False
    return _Logged(is_new, count["n"])


_FOUND = """
    SELECT place FROM given WHERE EXISTS (
        SELECT 1 FROM outcomes
        WHERE model = $model AND outcomes.request_id = given.request_id
          AND outcomes.label = given.label
          AND (NOT $has_times OR epoch_us(outcomes.observed_at_utc) = given.observed_at_us)
    )
"""
_MATCHED = """
    SELECT count(*) AS n FROM given
    WHERE request_id IN (SELECT request_id FROM score WHERE model = $model)
"""


def _flush(writer: LogWriter, log_dir: Path, timeout_s: float) -> None:
    if not writer.flush(timeout_s):
        raise UnavailableError("log directory", f"{log_dir} cannot be written")


def _batches(outcomes: pa.Table, model: str, at_us: int) -> Iterator[OutcomeBatchLog]:
    for start in range(0, len(outcomes), _BATCH_ROWS):
        part = outcomes.slice(start, _BATCH_ROWS)
        yield OutcomeBatchLog(
            model=model,
            at_us=at_us,
            request_ids=part["request_id"].to_pylist(),
            labels=part["label"].to_numpy(),
            observed_at_us=part["observed_at_us"].to_numpy(),
        )
