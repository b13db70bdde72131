"""Parquet and CSV files, read as a stream of row chunks."""

from codecs import BOM_UTF8
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from glob import glob
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from understudy.domain.errors import Fault, InvalidInputError, NotFoundError
from understudy.features.decisions.arrow_columns import plain
from understudy.features.decisions.row_values import Reject

_CSV_SUFFIXES = (".csv", ".tsv")
_AS_BYTES = "latin-1"  # one character per byte
_LARGEST_CSV_ROW_BYTES = 4 * 1024 * 1024  # the parser's block size
_MOST_BROKEN_WAITING = 10_000  # this many without a whole row in between: another kind of file
_SHOWN_CHARACTERS = 80


@dataclass(frozen=True, slots=True, eq=False)
class Chunk:
    """Consecutive rows of a file: whole ones, and those that could not be parsed."""

    batch: pa.RecordBatch
    row_numbers: npt.NDArray[np.int64]  # row in the file, from 0, of each row of the batch
    broken: tuple[Reject, ...] = ()

    @property
    def broken_rows(self) -> int:
        return len({each.row for each in self.broken})  # a row may be broken in several columns

    @property
    def rows(self) -> int:
        return len(self.batch) + self.broken_rows


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
        path: a Parquet file, or one of CSV by its suffix.
        columns: exact names.
        chunk_rows: the largest number of rows in a chunk.
        may_lack: those of the columns that are NULL if the file does not have them.

    Raises:
        NotFoundError: there is no such file.
        InvalidInputError: it is not Parquet or CSV, has a column twice, or lacks columns, all of
            which are named. Reading the chunks may raise it too.
    """
    if not path.is_file():
        raise NotFoundError("file", path)
    with ExitStack() as resources:
        with _own_errors(path):
            names = _column_names(path)
            _check_columns(path, names, columns, may_lack)
            there = [column for column in columns if column in names]
            if _is_csv(path):
                broken: deque[Reject] = deque()
                reader = resources.enter_context(_open_csv(path, there, broken))
                chunks = _csv_chunks(_of_length(reader, chunk_rows), there, broken)
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


def _is_csv(path: Path) -> bool:
    return path.suffix.lower() in _CSV_SUFFIXES


def column_names(path: Path) -> list[str]:
    """Return the names of a file's columns.

    Raises:
        InvalidInputError: it is not Parquet or CSV.
    """
    with _own_errors(path):
        return _column_names(path)


def read_rows(path: Path) -> pa.Table:
    """Return all rows of a Parquet file; folders are names and never columns.

    Raises:
        InvalidInputError: it is not Parquet.
    """
    with _own_errors(path), pq.ParquetFile(path) as file:
        rows = file.read()
        rows.validate(full=True)
        return rows


def count_rows(path: Path) -> int | None:
    """Return the number of rows if the file records it; None for CSV."""
    if _is_csv(path):
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
                read = repr(content)[:_SHOWN_CHARACTERS]
                broken.append(Reject(int(numbers[row]), name, read, "UTF-8"))
                readable[row] = False
    return Chunk(batch.filter(pa.array(readable)), numbers[readable], tuple(broken))


def _is_utf8(content: bytes) -> bool:
    try:
        content.decode()
    except UnicodeDecodeError:
        return False
    return True


def _csv_chunks(
    batches: Iterable[pa.RecordBatch], columns: Sequence[str], broken: deque[Reject]
) -> Iterator[Chunk]:
    """Number the rows. The reader reports broken rows before the rows that follow them."""
    first_row = 0
    batch = None
    for batch in batches:
        end = first_row + len(batch)
        before: list[Reject] = []
        while broken and broken[0].row < end:
            before.append(broken.popleft())
            end += 1
        numbers = np.setdiff1d(np.arange(first_row, end), [each.row for each in before])
        yield _as_texts(batch, columns, numbers, before)
        first_row = end
    if broken:
        nothing = pa.RecordBatch.from_pylist([], batch.schema if batch else pa.schema([]))
        yield Chunk(nothing, np.arange(0), tuple(broken))


def _as_texts(
    batch: pa.RecordBatch,
    columns: Sequence[str],
    numbers: npt.NDArray[np.int64],
    broken: list[Reject],
) -> Chunk:
    """Return the rows as UTF-8; rows with invalid UTF-8 join the broken ones."""
    readable = np.ones(len(batch), dtype=np.bool_)
    arrays: list[pa.Array] = []
    for name, given in zip(columns, batch.columns, strict=True):
        if pc.all(pc.string_is_ascii(given)).as_py():
            arrays.append(given)
            continue
        texts = [None if each is None else _as_utf8(each) for each in given.to_pylist()]
        arrays.append(pa.array(texts, pa.string()))
        lost = pc.xor(given.is_valid(), arrays[-1].is_valid()).to_numpy(zero_copy_only=False)
        for row in np.flatnonzero(lost).tolist():
            read = repr(given[row].as_py().encode(_AS_BYTES))[:_SHOWN_CHARACTERS]
            broken.append(Reject(int(numbers[row]), name, read, "UTF-8"))
        readable &= ~lost
    whole = pa.RecordBatch.from_arrays(arrays, names=list(columns))
    return Chunk(whole.filter(pa.array(readable)), numbers[readable], tuple(broken))


def _as_utf8(text: str) -> str | None:
    try:
        return text.encode(_AS_BYTES).decode()
    except UnicodeDecodeError:
        return None


def _of_length(batches: Iterable[pa.RecordBatch], rows: int) -> Iterator[pa.RecordBatch]:
    """Yield batches of `rows` rows; the last may be shorter."""
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


@contextmanager
def _open_csv(
    path: Path, columns: Sequence[str], broken: deque[Reject]
) -> Iterator[pa_csv.CSVStreamingReader]:
    """Open a CSV file; rows with more or fewer columns than the header are added to `broken`.

    Text is read byte by byte, because pyarrow rejects a whole file over one invalid UTF-8 field.
    """

    def put_aside(row: pa_csv.InvalidRow) -> str:
        text = row.text.encode(_AS_BYTES).decode(errors="replace")
        read = f"{row.actual_columns} columns: {text}"[:_SHOWN_CHARACTERS]
        number = row.number - 2  # counted from 1, and the header is the first
        broken.append(Reject(number, "(row)", read, f"{row.expected_columns} columns"))
        return "error" if len(broken) > _MOST_BROKEN_WAITING else "skip"

    delimiter = _delimiter_of(path)
    names = [name.encode().decode(_AS_BYTES) for name in columns]
    with path.open("rb") as file:
        _skip_byte_order_mark(file)
        with pa_csv.open_csv(
            file,
            read_options=_reading(),
            parse_options=pa_csv.ParseOptions(delimiter=delimiter, invalid_row_handler=put_aside),
            # All as text: ids keep leading zeros, and a bad number rejects its row, not the file.
            # Only an empty field is absent: by default NA and null are too, but here they are values.
            convert_options=pa_csv.ConvertOptions(
                column_types=dict.fromkeys(names, pa.string()),
                include_columns=names,
                strings_can_be_null=True,
                null_values=[""],
            ),
        ) as rows:
            yield rows


def _column_names(path: Path) -> list[str]:
    if not _is_csv(path):
        with pq.ParquetFile(path) as parquet:
            return list(parquet.schema_arrow.names)
    whatever = pa_csv.ParseOptions(
        delimiter=_delimiter_of(path), invalid_row_handler=lambda _: "skip"
    )
    with path.open("rb") as file:
        _skip_byte_order_mark(file)
        with pa_csv.open_csv(file, read_options=_reading(), parse_options=whatever) as head:
            return [_as_utf8(name) or name for name in head.schema.names]


def _delimiter_of(path: Path) -> str:
    return "\t" if path.suffix.lower() == ".tsv" else ","


def _reading() -> pa_csv.ReadOptions:
    # With threads the reader does not report row numbers, and is no faster.
    return pa_csv.ReadOptions(
        use_threads=False, block_size=_LARGEST_CSV_ROW_BYTES, encoding=_AS_BYTES
    )


def _skip_byte_order_mark(file: BinaryIO) -> None:
    if file.read(len(BOM_UTF8)) != BOM_UTF8:
        file.seek(0)


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
