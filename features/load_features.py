"""Load a Parquet or CSV file into a feature store: streamed, checked, resumable."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from domain.canonical import digest_of
from domain.features import FeatureView
from features.decisions.row_values import Reject, pack_rows
from features.ports import FeatureWriter, LoadMark
from features.source_files import open_batches

EVENT_TIME_COLUMN = "event_time"


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
    on_reject: Callable[[Reject], None],
    on_progress: Callable[[LoadProgress], None],
) -> LoadProgress:
    """Put the rows of `source` as records of `view`; a repetition goes on where it stopped.

    Memory is bounded by some chunks of rows. A row with an unusable value is rejected whole.

    Raises:
        NotFoundError: there is no such file.
        InvalidInputError: it is no Parquet or CSV, or columns are missing in it.
        UnavailableError: the store did not take the rows.
    """
    load_id = _load_id(source, view)
    done_rows = writer.read_mark(load_id)
    done = LoadProgress()
    with open_batches(source.path, _columns(source, view), chunk_rows=chunk_rows) as batches:
        for batch in batches:
            end = done.rows + len(batch)
            if end <= done_rows:
                done = replace(done, rows=end, skipped=done.skipped + len(batch))
                on_progress(done)
                continue
            packed = pack_rows(
                view,
                batch,
                entity_column=source.entity_column,
                event_times=source.event_times,
                first_row=done.rows,
            )
            for reject in packed.rejects:
                on_reject(reject)
            counts = writer.write(view, packed.records, mark=LoadMark(load_id, end))
            done = replace(
                done,
                rows=end,
                written=done.written + counts.written,
                older=done.older + counts.older,
                rejected=done.rejected + packed.rejected_rows,
            )
            on_progress(done)
    return done


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
