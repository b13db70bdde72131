"""Reads Parquet and CSV files as a stream of chunks of rows."""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from domain.errors import InvalidInputError, NotFoundError
from features.decisions.row_values import Reject

_CSV_SUFFIXES = (".csv", ".tsv")
_LARGEST_CSV_ROW_BYTES = 4 * 1024 * 1024  # what is parsed at a time
_MOST_BROKEN_WAITING = 10_000  # so many without a whole row between them: not a file of this kind
_SHOWN_CHARACTERS = 80


@dataclass(frozen=True, slots=True, eq=False)
class Chunk:
    """Rows that follow each other in a file: whole ones, and those that could not be parsed."""

    batch: pa.RecordBatch
    row_numbers: npt.NDArray[np.int64]  # in the file, from 0: of the rows of the batch
    broken: tuple[Reject, ...] = ()

    @property
    def rows(self) -> int:
        return len(self.batch) + len(self.broken)


@contextmanager
def open_chunks(
    path: Path, columns: Sequence[str], *, chunk_rows: int
) -> Iterator[Iterator[Chunk]]:
    """Yield the chunks of a file, with `columns` only; rows in the order of the file.

    Raises:
        NotFoundError: there is no such file.
        InvalidInputError: it is no Parquet or CSV, or lacks columns; with all of them.
    """
    if not path.is_file():
        raise NotFoundError("file", path)
    try:
        if path.suffix.lower() in _CSV_SUFFIXES:
            broken: deque[Reject] = deque()
            with _open_csv(path, columns, broken) as reader:
                yield _csv_chunks(_of_length(reader, chunk_rows), broken)
        else:
            # Without pre-buffering: that keeps all of the file that was read.
            with pq.ParquetFile(path, pre_buffer=False) as file:
                _check_columns(path, file.schema_arrow.names, columns)
                yield _chunks(file.iter_batches(batch_size=chunk_rows, columns=list(columns)))
    except pa.ArrowInvalid as error:
        first_line = str(error).splitlines()[0][:120]
        raise InvalidInputError.of(
            str(path), read=first_line, accepted="a Parquet or CSV file"
        ) from error


def count_rows(path: Path) -> int | None:
    """Return the number of rows where a file says it; None for CSV."""
    if path.suffix.lower() in _CSV_SUFFIXES:
        return None
    try:
        rows: int = pq.read_metadata(path).num_rows
    except (OSError, pa.ArrowInvalid):
        return None
    return rows


def _chunks(batches: Iterable[pa.RecordBatch]) -> Iterator[Chunk]:
    first_row = 0
    for batch in batches:
        end = first_row + len(batch)
        yield Chunk(batch, np.arange(first_row, end))
        first_row = end


def _csv_chunks(batches: Iterable[pa.RecordBatch], broken: deque[Reject]) -> Iterator[Chunk]:
    """Give rows their numbers. The reader has told of broken ones before those that follow them."""
    first_row = 0
    batch = None
    for batch in batches:
        end = first_row + len(batch)
        before: list[Reject] = []
        while broken and broken[0].row < end:
            before.append(broken.popleft())
            end += 1
        numbers = np.setdiff1d(np.arange(first_row, end), [each.row for each in before])
        yield Chunk(batch, numbers, tuple(before))
        first_row = end
    if broken:
        nothing = pa.RecordBatch.from_pylist([], batch.schema if batch else pa.schema([]))
        yield Chunk(nothing, np.arange(0), tuple(broken))


def _of_length(batches: Iterable[pa.RecordBatch], rows: int) -> Iterator[pa.RecordBatch]:
    """Yield batches of so many rows; the last may be shorter."""
    held: list[pa.RecordBatch] = []
    missing = rows
    for batch in batches:
        start = 0
        while start < len(batch):
            held.append(batch.slice(start, missing))
            start += len(held[-1])
            missing -= len(held[-1])
            if not missing:
                yield pa.concat_batches(held)
                held, missing = [], rows
    if held:
        yield pa.concat_batches(held)


def _open_csv(
    path: Path, columns: Sequence[str], broken: deque[Reject]
) -> pa_csv.CSVStreamingReader:
    """Open a CSV file; rows with another number of columns than its head are put to `broken`."""

    def put_aside(row: pa_csv.InvalidRow) -> str:
        read = f"{row.actual_columns} columns: {row.text}"[:_SHOWN_CHARACTERS]
        number = row.number - 2  # from 1, the head is the first
        broken.append(Reject(number, "(row)", read, f"{row.expected_columns} columns"))
        return "error" if len(broken) > _MOST_BROKEN_WAITING else "skip"

    delimiter = "\t" if path.suffix.lower() == ".tsv" else ","
    whatever = pa_csv.ParseOptions(delimiter=delimiter, invalid_row_handler=lambda _: "skip")
    with pa_csv.open_csv(path, parse_options=whatever) as head:
        _check_columns(path, head.schema.names, columns)
    return pa_csv.open_csv(
        path,
        # With threads the reader does not tell the numbers of rows, and is no faster.
        read_options=pa_csv.ReadOptions(use_threads=False, block_size=_LARGEST_CSV_ROW_BYTES),
        parse_options=pa_csv.ParseOptions(delimiter=delimiter, invalid_row_handler=put_aside),
        # All as text: ids keep their zeros, and one bad number rejects its row, not the file.
        # Only an empty field is absent: by default NA and null are too, which are ids and values.
        convert_options=pa_csv.ConvertOptions(
            column_types=dict.fromkeys(columns, pa.string()),
            include_columns=list(columns),
            strings_can_be_null=True,
            null_values=[""],
        ),
    )


def _check_columns(path: Path, there: Sequence[str], wanted: Sequence[str]) -> None:
    missing = [column for column in wanted if column not in there]
    if missing:
        raise InvalidInputError.of(
            str(path),
            read=f"columns {', '.join(there)}",
            accepted=f"a file that also has {', '.join(missing)}",
        )
