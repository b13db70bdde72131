"""Reads Parquet and CSV files as a stream of Arrow batches."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from domain.errors import InvalidInputError, NotFoundError

_CSV_SUFFIXES = (".csv", ".tsv")


@contextmanager
def open_batches(
    path: Path, columns: Sequence[str], *, chunk_rows: int
) -> Iterator[Iterator[pa.RecordBatch]]:
    """Yield the batches of a file, with `columns` only; rows in the order of the file.

    Raises:
        NotFoundError: there is no such file.
        InvalidInputError: it is no Parquet or CSV, or lacks columns; with all of them.
    """
    if not path.is_file():
        raise NotFoundError("file", path)
    try:
        if path.suffix.lower() in _CSV_SUFFIXES:
            with _open_csv(path, columns) as reader:
                yield iter(reader)
        else:
            # Without pre-buffering: that keeps all of the file that was read.
            with pq.ParquetFile(path, pre_buffer=False) as file:
                _check_columns(path, file.schema_arrow.names, columns)
                yield file.iter_batches(batch_size=chunk_rows, columns=list(columns))
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


def _open_csv(path: Path, columns: Sequence[str]) -> pa_csv.CSVStreamingReader:
    delimiter = "\t" if path.suffix.lower() == ".tsv" else ","
    parse = pa_csv.ParseOptions(delimiter=delimiter)
    with pa_csv.open_csv(path, parse_options=parse) as head:
        _check_columns(path, head.schema.names, columns)
    # All as text: ids keep their zeros, and one bad number rejects its row, not the file.
    convert = pa_csv.ConvertOptions(
        column_types=dict.fromkeys(columns, pa.string()),
        include_columns=list(columns),
        strings_can_be_null=True,
    )
    return pa_csv.open_csv(path, parse_options=parse, convert_options=convert)


def _check_columns(path: Path, there: Sequence[str], wanted: Sequence[str]) -> None:
    missing = [column for column in wanted if column not in there]
    if missing:
        raise InvalidInputError.of(
            str(path),
            read=f"columns {', '.join(there)}",
            accepted=f"a file that also has {', '.join(missing)}",
        )
