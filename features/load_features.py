"""Load a Parquet or CSV file into a feature store: streamed, checked, resumable."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from time import monotonic, sleep

import numpy as np
import pyarrow as pa

from domain.canonical import digest_of
from domain.features import FeatureView
from features.decisions.row_values import PackedRows, Reject, pack_rows, rejects_of
from features.ports import FeatureWriter, LoadMark, WriteCounts
from features.source_files import open_batches

EVENT_TIME_COLUMN = "event_time"
_SKIPPED = PackedRows([], [], [], 0)


@dataclass(frozen=True, slots=True)
class SourceFile:
    """A file with a row per entity and time; columns of features have the features' names."""

    path: Path
    entity_column: str
    event_times: str | int = EVENT_TIME_COLUMN  # a column, or one time for all rows in UTC ms


@dataclass(frozen=True, slots=True)
class LoadProgress:
    """How a load stands. Each row is written, older than what is there, rejected or skipped."""

    rows: int = 0
    written: int = 0
    older: int = 0
    rejected: int = 0
    skipped: int = 0  # put by an earlier run of the same load


def load_features(
    source: SourceFile,
    view: FeatureView,
    writer: FeatureWriter,
    *,
    chunk_rows: int = 8192,
    threads: int = 2,
    rows_per_s: float | None = None,
    on_reject: Callable[[Reject], None],
    on_progress: Callable[[LoadProgress], None],
) -> LoadProgress:
    """Put the rows of `source` as records of `view`; a repetition goes on where it stopped.

    Memory is bounded by `threads` and two chunks of rows. A row with an unusable value is
    rejected whole. Chunks are checked and packed by several threads and written in order.

    Args:
        source: what to read.
        view: what its rows are records of.
        writer: of the store.
        chunk_rows: rows that are written together.
        threads: chunks that are packed at a time.
        rows_per_s: what the store may be asked to take; None: as fast as it goes.
        on_reject: called for each value that keeps its row out.
        on_progress: called after each chunk.

    Raises:
        NotFoundError: there is no such file.
        InvalidInputError: it is no Parquet or CSV, or columns are missing in it.
        UnavailableError: the store did not take the rows.
    """
    load_id = _load_id(source, view)
    done = LoadProgress()
    started_s = monotonic()
    columns = _columns(source, view)
    with (
        open_batches(source.path, columns, chunk_rows=chunk_rows) as batches,
        ThreadPoolExecutor(threads, thread_name_prefix="pack") as executor,
    ):
        pack = partial(_pack, source, view)
        done_rows = writer.read_mark(load_id)
        for rows, packing in _ahead(executor, pack, batches, done_rows, ahead=threads):
            packed = packing.result() if packing is not None else _SKIPPED
            for reject in packed.rejects:
                on_reject(reject)
            end = done.rows + rows
            counts = WriteCounts(0, 0)
            if packing is not None:
                counts = writer.write(view, packed.records, mark=LoadMark(load_id, end))
            for reject in rejects_of(packed, counts.refused):
                on_reject(reject)
            done = replace(
                done,
                rows=end,
                written=done.written + counts.written,
                older=done.older + counts.older,
                rejected=done.rejected + packed.rejected_rows + len(counts.refused),
                skipped=done.skipped + (0 if packing is not None else rows),
            )
            on_progress(done)
            if rows_per_s is not None:
                early_s = (done.rows - done.skipped) / rows_per_s - (monotonic() - started_s)
                sleep(max(0.0, early_s))
    return done


def _ahead(
    executor: ThreadPoolExecutor,
    pack: Callable[[pa.RecordBatch, int], PackedRows],
    batches: Iterable[pa.RecordBatch],
    done_rows: int,
    *,
    ahead: int,
) -> Iterator[tuple[int, "Future[PackedRows] | None"]]:
    """Yield (rows, packing) in the order of the file, with `ahead` chunks being packed.

    Chunks that end within `done_rows` are not packed again.
    """
    waiting: deque[tuple[int, Future[PackedRows] | None]] = deque()
    first_row = 0
    for batch in batches:
        end = first_row + len(batch)
        packing = None if end <= done_rows else executor.submit(pack, batch, first_row)
        waiting.append((len(batch), packing))
        first_row = end
        if len(waiting) > ahead:
            yield waiting.popleft()
    yield from waiting


def _pack(
    source: SourceFile, view: FeatureView, batch: pa.RecordBatch, first_row: int
) -> PackedRows:
    return pack_rows(
        view,
        batch,
        entity_column=source.entity_column,
        event_times=source.event_times,
        row_numbers=np.arange(first_row, first_row + len(batch)),
    )


def _columns(source: SourceFile, view: FeatureView) -> list[str]:
    names = [source.entity_column]
    if isinstance(source.event_times, str):
        names.append(source.event_times)
    return list(dict.fromkeys([*names, *(feature.name for feature in view.features)]))


def _load_id(source: SourceFile, view: FeatureView) -> str:
    # A changed file is another load; what it has in common with the first is then found older.
    state = source.path.stat() if source.path.is_file() else None
    return digest_of(
        {
            "path": str(source.path.resolve()),
            "size_bytes": state.st_size if state else 0,
            "changed_ns": state.st_mtime_ns if state else 0,
            "view": view.digest,
            "entity_column": source.entity_column,
            "event_times": source.event_times,
        }
    )
