"""Arrow columns without the encodings that a file's writer may have chosen."""

from typing import Any

import pyarrow as pa


def plain(column: pa.Array | pa.ChunkedArray) -> pa.Array:
    """Return the column as one array, with strings as `string` and without any encoding."""
    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks()
        if isinstance(column, pa.ChunkedArray):
            column = pa.concat_arrays(column.chunks) if column.chunks else column
    if isinstance(column.type, pa.BaseExtensionType):
        return column  # its storage may have any meaning
    if pa.types.is_run_end_encoded(column.type):
        column = column.cast(column.type.value_type)
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if pa.types.is_large_string(column.type) or pa.types.is_string_view(column.type):
        column = column.cast(pa.string())
    return column


def shown(column: pa.Array, row: int, *, characters: int = 80) -> str:
    """Return the value of a row for a message, whatever its type."""
    scalar: Any = column[row]
    try:
        text = str(scalar.as_py())
    except (ValueError, OverflowError):  # a time that Python lacks, or bytes that are not UTF-8
        text = f"{scalar.type} {_raw(scalar)}"
    return text[:characters]


def _raw(scalar: Any) -> str:
    try:
        return str(scalar.value)
    except (AttributeError, ValueError, OverflowError):
        return "that cannot be shown"
