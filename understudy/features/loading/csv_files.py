"""CSV files, read as a stream of chunks of strings; a broken row does not affect others."""

from codecs import BOM_UTF8
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv

from understudy.features.decisions.row_values import Reject
from understudy.features.loading.chunks import SHOWN_CHARACTERS, Chunk

_SUFFIXES = (".csv", ".tsv")
_AS_BYTES = "latin-1"  # one character per byte
_LARGEST_ROW_BYTES = 4 * 1024 * 1024  # the parser's block size
_MOST_BROKEN_WAITING = 10_000  # this many without a whole row in between: another kind of file


def is_csv(path: Path) -> bool:
    return path.suffix.lower() in _SUFFIXES


@contextmanager
def open_csv_chunks(
    path: Path, columns: Sequence[str], *, chunk_rows: int
) -> Iterator[Iterator[Chunk]]:
    """Yield the chunks of a file in file order, with only the given columns, which must exist."""
    broken: deque[Reject] = deque()
    with _open_csv(path, columns, broken) as reader:
        yield _csv_chunks(_of_length(reader, chunk_rows), columns, broken)


def csv_column_names(path: Path) -> list[str]:
    """Return the names in the header of a file."""
    whatever = _parsing(path, lambda _: "skip")
    with path.open("rb") as file:
        _skip_byte_order_mark(file)
        with pa_csv.open_csv(file, read_options=_reading(), parse_options=whatever) as head:
            return [_as_utf8(name) or name for name in head.schema.names]


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
            read = repr(given[row].as_py().encode(_AS_BYTES))[:SHOWN_CHARACTERS]
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
        read = f"{row.actual_columns} columns: {text}"[:SHOWN_CHARACTERS]
        number = row.number - 2  # counted from 1, and the header is the first
        broken.append(Reject(number, "(row)", read, f"{row.expected_columns} columns"))
        return "error" if len(broken) > _MOST_BROKEN_WAITING else "skip"

    names = [name.encode().decode(_AS_BYTES) for name in columns]
    with path.open("rb") as file:
        _skip_byte_order_mark(file)
        with pa_csv.open_csv(
            file,
            read_options=_reading(),
            parse_options=_parsing(path, put_aside),
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


def _parsing(path: Path, on_broken_row: Callable[[pa_csv.InvalidRow], str]) -> pa_csv.ParseOptions:
    return pa_csv.ParseOptions(
        delimiter="\t" if path.suffix.lower() == ".tsv" else ",",
        # Without it, a line break in a quoted field is read, except at the end of a block.
        newlines_in_values=True,
        invalid_row_handler=on_broken_row,
    )


def _reading() -> pa_csv.ReadOptions:
    # With threads the reader does not report row numbers, and is no faster.
    return pa_csv.ReadOptions(use_threads=False, block_size=_LARGEST_ROW_BYTES, encoding=_AS_BYTES)


def _skip_byte_order_mark(file: BinaryIO) -> None:
    if file.read(len(BOM_UTF8)) != BOM_UTF8:
        file.seek(0)
