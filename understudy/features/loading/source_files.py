"""Files of features, Parquet or CSV, read as a stream of row chunks."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from glob import glob
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from understudy.domain.errors import Fault, InvalidInputError, NotFoundError
from understudy.features.decisions.arrow_columns import plain
from understudy.features.decisions.row_values import Reject
from understudy.features.loading.chunks import SHOWN_CHARACTERS, Chunk
from understudy.features.loading.csv_files import csv_column_names, is_csv, open_csv_chunks


def matching_files(pattern: str) -> list[Path]:
    """Return the files that match a path or a glob, sorted by name."""
    if Path(pattern).is_file():  # its name may contain the characters of a glob
        return [Path(pattern)]
    found = sorted(glob(pattern, recursive=True))  # noqa: PTH207 - a pattern may be absolute
    return [Path(each) for each in found if Path(each).is_file()]


@contextmanager
def open_chunks(
    path: Path, columns: Sequence[str], *, chunk_rows: int, may_lack: Sequence[str] = ()
) -> Iterator[Iterator[Chunk]]:
    """Yield the chunks of a file in file order, with only the given columns.

    Args:
        path: a Parquet file, or a CSV file by its suffix.
        columns: exact names.
        chunk_rows: the largest number of rows in a chunk.
        may_lack: columns that are NULL if the file does not have them.

    Raises:
        NotFoundError: there is no such file.
        InvalidInputError: it is not Parquet or CSV, has duplicate columns, or lacks columns, all
            of which are named. Reading the chunks may raise it too.
    """
    if not path.is_file():
        raise NotFoundError("file", path)
    with ExitStack() as resources:
        with _own_errors(path):
            names = _column_names(path)
            _check_columns(path, names, columns, may_lack)
            there = [column for column in columns if column in names]
            if is_csv(path):
                opened = open_csv_chunks(path, there, chunk_rows=chunk_rows)
                chunks = resources.enter_context(opened)
            else:
                # No pre-buffering: it would keep everything that was read in memory.
                file = resources.enter_context(pq.ParquetFile(path, pre_buffer=False))
                chunks = _chunks(file.iter_batches(batch_size=chunk_rows, columns=there))
        yield _complete(path, chunks, columns)


def _complete(path: Path, chunks: Iterator[Chunk], columns: Sequence[str]) -> Iterator[Chunk]:
    """Yield the chunks with NULL in columns that the file lacks, and with our errors."""
    while True:
        with _own_errors(path):
            chunk = next(chunks, None)
        if chunk is None:
            return
        batch = chunk.batch
        if len(batch):
            there = set(batch.schema.names)
            arrays = [
                plain(batch.column(name)) if name in there else pa.nulls(len(batch))
                for name in columns
            ]
            batch = pa.RecordBatch.from_arrays(arrays, names=list(columns))
        yield replace(chunk, batch=batch)


@contextmanager
def _own_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        first_line = (str(error).splitlines() or [type(error).__name__])[0][:120]
        raise InvalidInputError.of(
            str(path), read=first_line, accepted="a Parquet or CSV file"
        ) from error


def column_names(path: Path) -> list[str]:
    """Return the names of a file's columns.

    Raises:
        InvalidInputError: it is not Parquet or CSV.
    """
    with _own_errors(path):
        return _column_names(path)


def read_rows(path: Path) -> pa.Table:
    """Return all rows of a Parquet file; folder names are never columns.

    Raises:
        InvalidInputError: it is not Parquet.
    """
    with _own_errors(path), pq.ParquetFile(path) as file:
        rows = file.read()
        rows.validate(full=True)
        return rows


def count_rows(path: Path) -> int | None:
    """Return the number of rows if the file records it; None for CSV."""
    if is_csv(path):
        return None
    try:
        rows: int = pq.read_metadata(path).num_rows
    except (OSError, pa.ArrowException):
        return None
    return rows


def _chunks(batches: Iterable[pa.RecordBatch]) -> Iterator[Chunk]:
    first_row = 0
    for batch in batches:
        end = first_row + len(batch)
        yield _with_readable_texts(batch, np.arange(first_row, end))
        first_row = end


def _with_readable_texts(batch: pa.RecordBatch, numbers: npt.NDArray[np.int64]) -> Chunk:
    """Return the rows; those with invalid UTF-8, which Parquet does not check, are broken."""
    batch = pa.RecordBatch.from_arrays(
        [plain(each) for each in batch.columns], names=batch.schema.names
    )
    try:
        batch.validate(full=True)
    except pa.ArrowInvalid:
        pass
    else:
        return Chunk(batch, numbers)
    broken: list[Reject] = []
    readable = np.ones(len(batch), dtype=np.bool_)
    for name in batch.schema.names:
        column = batch.column(name)
        if not pa.types.is_string(column.type):
            continue
        for row, content in enumerate(column.cast(pa.binary()).to_pylist()):
            if content is not None and not _is_utf8(content):
                read = repr(content)[:SHOWN_CHARACTERS]
                broken.append(Reject(int(numbers[row]), name, read, "UTF-8"))
                readable[row] = False
    return Chunk(batch.filter(pa.array(readable)), numbers[readable], tuple(broken))


def _is_utf8(content: bytes) -> bool:
    try:
        content.decode()
    except UnicodeDecodeError:
        return False
    return True


def _column_names(path: Path) -> list[str]:
    if not is_csv(path):
        with pq.ParquetFile(path) as parquet:
            return list(parquet.schema_arrow.names)
    return csv_column_names(path)


def _check_columns(
    path: Path, there: Sequence[str], wanted: Sequence[str], may_lack: Sequence[str]
) -> None:
    faults: list[Fault] = []
    if missing := [column for column in wanted if column not in there and column not in may_lack]:
        accepted = f"a file that also has {', '.join(missing)}"
        faults.append(Fault(str(path), f"columns {', '.join(there)}", accepted))
    if twice := [column for column in wanted if there.count(column) > 1]:
        read = f"more than one column {', '.join(twice)}"
        faults.append(Fault(str(path), read, "each column once"))
    if faults:
        raise InvalidInputError(faults)
