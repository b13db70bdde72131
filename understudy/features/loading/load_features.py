"""Loading of a Parquet or CSV file into a feature store: streamed, checked, resumable."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from time import monotonic, sleep, time_ns

from understudy.domain.canonical import digest_of
from understudy.domain.features import FeatureView
from understudy.features.decisions.event_times import check_not_future
from understudy.features.decisions.record_format import event_time_ms_of, record_format
from understudy.features.decisions.row_values import (
    PackedRows,
    Reject,
    RowColumns,
    ingested,
    pack_rows,
    rejects_of,
)
from understudy.features.loading.chunks import Chunk
from understudy.features.loading.source_files import open_chunks
from understudy.features.ports import FeatureWriter, LoadMark, WriteCounts

EVENT_TIME_COLUMN = "event_time"
_SAMPLE = 32  # records of an earlier run that are looked for
FUTURE_TOLERANCE_S = 300.0  # clocks of writers may differ by this much


def utc_now_ms() -> int:
    """Return the time by the clock of this machine, UTC ms since 1970."""
    return time_ns() // 1_000_000


def latest_time_ms(now_ms: int, future_tolerance_s: float) -> int:
    """Return the latest time that a row may have, UTC ms since 1970."""
    return now_ms + round(future_tolerance_s * 1000)


@dataclass(frozen=True, slots=True)
class SourceFile:
    """A file with one row per entity and time; feature columns are named like their features."""

    path: Path
    entity_column: str
    event_times: str | int = EVENT_TIME_COLUMN  # a column, or one time for all rows in UTC ms
    created_time_column: str | None = None  # breaks ties of event times

    @property
    def columns(self) -> RowColumns:
        return RowColumns(self.entity_column, self.event_times, self.created_time_column)


@dataclass(frozen=True, slots=True)
class LoadProgress:
    """Progress of a load. Each row is written, older than the stored one, rejected, or skipped."""

    rows: int = 0
    written: int = 0
    older: int = 0
    rejected: int = 0
    skipped: int = 0  # written by an earlier run of the same load
    reloaded: bool = False  # an earlier run wrote them, but the store no longer had them


def load_features(
    source: SourceFile,
    view: FeatureView,
    writer: FeatureWriter,
    *,
    chunk_rows: int = 8192,
    threads: int = 2,
    rows_per_s: float | None = None,
    future_tolerance_s: float = FUTURE_TOLERANCE_S,
    now_ms: Callable[[], int] = utc_now_ms,
    on_reject: Callable[[Reject], None],
    on_progress: Callable[[LoadProgress], None],
) -> LoadProgress:
    """Write the rows of `source` as records of `view`; a repeated load resumes where it stopped.

    Memory is bounded by `threads` and two chunks of rows. A row with any unusable value is
    rejected as a whole. Several threads check and pack chunks, which are written in order.
    Chunks that an earlier run has written are checked again, so that their rejects are reported
    and counted; from the first record that the store refused, they are also written again.

    Args:
        source: the file to read.
        view: the view of its rows.
        writer: for the store.
        chunk_rows: number of rows per write.
        threads: number of chunks that are packed at the same time.
        rows_per_s: the limit on the rate of writes; None for no limit.
        future_tolerance_s: rows with a time further ahead of this machine's clock are rejected:
            one typing error would otherwise hide all later rows of its entity for years.
        now_ms: this machine's clock, UTC ms since 1970; the ingestion time of a record is the time
            right before its write.
        on_reject: called for each value because of which a row is rejected.
        on_progress: called after each chunk.

    Raises:
        NotFoundError: there is no such file.
        InvalidInputError: the file is not Parquet or CSV, or columns are missing.
        UnavailableError: the store did not accept the rows.
    """
    load_id = _load_id(source, view)
    done = LoadProgress()
    is_marked = True
    started_s = monotonic()
    latest_ms = latest_time_ms(now_ms(), future_tolerance_s)
    if isinstance(source.event_times, int):
        check_not_future(source.event_times, latest_ms)
    columns = _columns(source, view)
    with (
        open_chunks(source.path, columns, chunk_rows=chunk_rows) as chunks,
        ThreadPoolExecutor(threads, thread_name_prefix="pack") as executor,
    ):
        earlier = _EarlierRun(writer, view, writer.read_mark(load_id))
        for chunk, packing in _ahead(
            executor, partial(_pack, source, view, latest_ms), chunks, ahead=threads
        ):
            packed = packing.result()
            end = done.rows + chunk.rows
            is_put = earlier.covers(end, packed.records)
            counts = WriteCounts(0, 0)
            if not is_put:
                # Never beyond a refused record, which a repeated load has to report again, or a
                # row from the future, which it may accept.
                is_marked = is_marked and not packed.has_future
                mark = LoadMark(load_id, end) if is_marked else None
                records = ingested(view, packed.records, now_ms())
                counts = writer.write(view, records, mark=mark)
                is_marked = is_marked and not counts.refused
            for reject in (*chunk.broken, *packed.rejects, *rejects_of(packed, counts.refused)):
                on_reject(reject)
            rejected = chunk.broken_rows + packed.rejected_rows + len(counts.refused)
            done = replace(
                done,
                rows=end,
                written=done.written + counts.written,
                older=done.older + counts.older,
                rejected=done.rejected + rejected,
                skipped=done.skipped + (chunk.rows - rejected if is_put else 0),
                reloaded=earlier.is_lost,
            )
            on_progress(done)
            if rows_per_s is not None:
                early_s = (done.rows - done.skipped) / rows_per_s - (monotonic() - started_s)
                sleep(max(0.0, early_s))
    return done


class _EarlierRun:
    """The rows that an earlier run of a load has written, as far as the store still has them.

    A set may have been truncated since: then most of the first records are not there, and all are
    written again. A few may be absent because their entities were deleted, or there because other
    files have them too. Records beyond their time to live prove nothing.
    """

    def __init__(self, writer: FeatureWriter, view: FeatureView, rows: int) -> None:
        self.is_lost = False
        self._writer = writer
        self._view = view
        self._rows = rows
        self._is_proven = False
        self._form = record_format(view)

    def covers(self, end: int, records: Sequence[tuple[str, bytes]]) -> bool:
        """Return whether the chunk with `records`, which ends at row `end`, is in the store."""
        if end > self._rows:
            return False
        if not self._is_proven and (
            sample := list(dict.fromkeys(self._lasting(records)))[:_SAMPLE]
        ):
            self._is_proven = True
            held = self._writer.count_held(self._view, sample)
            self.is_lost = 2 * held < len(sample)
            self._rows = 0 if self.is_lost else self._rows
        return not self.is_lost

    def _lasting(self, records: Sequence[tuple[str, bytes]]) -> list[str]:
        """Return the entities whose records have not expired."""
        if self._view.ttl_s is None:
            return [entity_id for entity_id, _ in records]
        oldest_ms = utc_now_ms() - self._view.ttl_s * 1000
        return [
            entity_id
            for entity_id, record in records
            if event_time_ms_of(self._form, record) > oldest_ms
        ]


def _ahead(
    executor: ThreadPoolExecutor,
    pack: Callable[[Chunk], PackedRows],
    chunks: Iterable[Chunk],
    *,
    ahead: int,
) -> Iterator[tuple[Chunk, "Future[PackedRows]"]]:
    """Yield (chunk, packing) in file order, with `ahead` chunks being packed at the same time."""
    waiting: deque[tuple[Chunk, Future[PackedRows]]] = deque()
    for chunk in chunks:
        waiting.append((chunk, executor.submit(pack, chunk)))
        if len(waiting) > ahead:
            yield waiting.popleft()
    yield from waiting


def _pack(source: SourceFile, view: FeatureView, latest_ms: int, chunk: Chunk) -> PackedRows:
    if not len(chunk.batch):
        return PackedRows([], [], [], 0)
    return pack_rows(
        view,
        chunk.batch,
        columns=source.columns,
        row_numbers=chunk.row_numbers,
        latest_ms=latest_ms,
    )


def _columns(source: SourceFile, view: FeatureView) -> list[str]:
    features = (feature.name for feature in view.features)
    return list(dict.fromkeys([*source.columns.names, *features]))


def _load_id(source: SourceFile, view: FeatureView) -> str:
    # A changed file is a new load; rows that it shares with the old one are then found older.
    state = source.path.stat() if source.path.is_file() else None
    return digest_of(
        "load/1",
        {
            "path": str(source.path.resolve()),
            "size_bytes": state.st_size if state else None,
            "changed_ns": str(state.st_mtime_ns) if state else None,
            "view": view.digest,
            "entity_column": source.entity_column,
            "event_times": source.event_times,
            "created_time_column": source.created_time_column,
        },
    )
