"""One unfinished log file: a journal of record batches that becomes one Parquet file.

open --append--> open --close--> closed --finish--> Parquet file in place, journal gone

A journal is an Arrow stream: each record batch is self-contained, so everything that a killed
process had appended can still be read. A file that is due and a file found after a crash are
finished in the same way, and finishing is safe to repeat.
"""

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from understudy.domain.logged_features import AGES, STATUSES, FeatureList
from understudy.logs.access import LogAccess

JOURNAL_SUFFIX = ".inprogress"
_ROW_GROUP_BYTES = 8 << 20  # small enough to encode quickly, large enough to scan fast
_ROW_GROUP_ROWS = 65_536
_REPETITIVE = (
    *("writer_id", "version", "arm", "assigned_version", "assigned_arm", "assigned_bp"),
    *("revision", "deployment_digest", "registry_lineage", "registry_sequence", "threshold"),
    *("rule", "shadow_version", "status", "inclusion_probability", "bucket"),
)
_TEXT_LISTS = (FeatureList.TEXTS, FeatureList.DIGESTS, "reasons")
_FLOAT_LISTS = (FeatureList.FLOATS, FeatureList.DOUBLES)
_VECTORS = (*_TEXT_LISTS, *_FLOAT_LISTS, FeatureList.INT64S, STATUSES, AGES, "outputs")


@dataclass(slots=True)
class Journal:
    """An open journal. Not safe for use by two threads.

    Raises:
        OSError: on creation and in `append`: the write failed. The journal keeps the rows of
            earlier calls, and must not be appended to again.
    """

    path: Path
    schema: pa.Schema
    rows: int = 0
    size_bytes: int = 0
    _sink: Any = field(init=False, repr=False)
    _stream: Any = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._sink = pa.OSFile(str(self.path), "wb")
        self._stream = pa.ipc.new_stream(self._sink, self.schema)  # written to with the first batch

    def append(self, batch: pa.RecordBatch) -> None:
        self._stream.write_batch(batch)
        self.rows += batch.num_rows
        # The sum over the buffers of a batch would take a sixth of the time of writing them.
        self.size_bytes = self._sink.tell()

    def close(self) -> None:
        """Close the file. A missing end mark is no fault: a journal is complete without one."""
        try:
            self._stream.close()
        except OSError:
            pass  # the end mark cannot be written to a full disk
        finally:
            self._sink.close()


@dataclass(frozen=True, slots=True)
class FinishedRows:
    """The rows of a journal that became visible, and the size of its unreadable end."""

    rows: int
    torn_bytes: int = 0


def finish_journal(
    journal: Path, target: Path, *, pause: Callable[[], None], access: LogAccess | None = None
) -> FinishedRows:
    """Write the rows of a closed journal to `target`, where they become visible all at once.

    The journal is removed. Repeating this after a crash gives the same file under the same name.
    A journal that no longer exists, or has no complete record batch, leaves no file.

    Args:
        journal: the file written by `Journal`; may end anywhere, as after a crash.
        target: the new file, on the same file system; its folder is created.
        pause: called between slices of encoding.
        access: to the new file; by default as the umask has it.

    Raises:
        OSError: the write failed; nothing is visible, and the journal stays.
    """
    if not journal.exists():
        return FinishedRows(0)
    finished = _replace_target(JournalReader(journal), target, pause, access or LogAccess())
    journal.unlink(missing_ok=True)
    return finished


@dataclass(slots=True)
class JournalReader:
    """Yields the complete record batches of a journal, up to its end or to where it was torn."""

    path: Path
    torn_bytes: int = 0  # bytes after the last complete batch; known once all batches are read

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        with pa.OSFile(str(self.path), "rb") as source:
            whole_bytes = 0
            try:
                stream = pa.ipc.open_stream(source)
                whole_bytes = source.tell()
                for batch in stream:
                    whole_bytes = source.tell()
                    yield batch
            except (pa.ArrowInvalid, OSError):
                # The process died, or its disk was full, in the middle of a batch.
                self.torn_bytes = source.size() - whole_bytes


def _replace_target(
    journal: JournalReader, target: Path, pause: Callable[[], None], access: LogAccess
) -> FinishedRows:
    partial = journal.path.with_suffix(f".parquet{JOURNAL_SUFFIX}")
    try:
        rows = write_rows(journal, partial, pause)
        if rows:
            access.make_folder(target.parent)
            access.admit(partial)
            partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)
    return FinishedRows(rows, journal.torn_bytes)


def write_rows(
    batches: Iterable[pa.RecordBatch], partial: Path, pause: Callable[[], None] = lambda: None
) -> int:
    """Write the rows of batches of one schema to a Parquet file and its disk; return their number.

    Raises:
        OSError: the write failed; a part of the file may be there.
    """
    rows = 0
    writer: Any = None
    try:
        for table in _row_groups(batches):
            if writer is None:
                writer = pq.ParquetWriter(str(partial), table.schema, **encoding_of(table.schema))
            writer.write_table(table, row_group_size=table.num_rows)
            rows += table.num_rows
            pause()
    finally:
        if writer is not None:
            writer.close()
    if rows:
        with partial.open("rb+") as file:
            os.fsync(file.fileno())  # their source is removed next, so the rows must be on disk
    return rows


def _row_groups(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.Table]:
    gathered: list[pa.RecordBatch] = []
    size_bytes = rows = 0
    for batch in batches:
        gathered.append(batch)
        size_bytes += batch.nbytes
        rows += batch.num_rows
        if size_bytes >= _ROW_GROUP_BYTES or rows >= _ROW_GROUP_ROWS:
            yield pa.Table.from_batches(gathered)
            gathered, size_bytes, rows = [], 0, 0
    if gathered:
        yield pa.Table.from_batches(gathered)


def encoding_of(schema: pa.Schema) -> dict[str, Any]:
    """Return the storage options of the columns; docs/decisions/0005 has the measurements."""
    names = schema.names
    repetitive = [name for name in _REPETITIVE if name in names]
    texts = [f"{name}.list.element" for name in _TEXT_LISTS if name in names]
    return {
        "compression": "zstd",
        "compression_level": 1,
        "use_dictionary": [*repetitive, *texts],
        # Bytes of equal significance side by side: vectors compress at a third of the cost.
        "use_byte_stream_split": [f"{n}.list.element" for n in _FLOAT_LISTS if n in names],
        "write_statistics": [name for name in names if name not in _VECTORS],
    }
