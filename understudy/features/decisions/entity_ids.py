"""Entity ids: their one form as strings."""

from decimal import Decimal
from typing import Any

import pyarrow as pa

from understudy.features.decisions.arrow_columns import plain
from understudy.features.decisions.storable_ids import is_storable_id

_LONGEST_ID_BYTES = 4096
ACCEPTED_ID = (
    f"text of 1 to {_LONGEST_ID_BYTES} bytes without NUL, an integer, or a float that holds "
    "an integer exactly"
)
# From these bounds on, neighbouring integers share a float, so it may be another id, rounded.
_INEXACT_FROM = {pa.float16(): 2**11, pa.float32(): 2**24, pa.float64(): 2**53}


def is_id(text: str) -> bool:
    """Return whether a text is an id that every store can hold."""
    return is_storable_id(text) and 0 < len(text.encode()) <= _LONGEST_ID_BYTES


def id_texts(column: pa.Array | pa.ChunkedArray) -> list[str | None]:
    """Return the ids in a column as strings; None for a value that is not an id.

    Text is an id unchanged, an integer by its digits. A float that holds an integer exactly is
    that integer: pandas converts a column of integers to floats if a value is missing.
    """
    array = plain(column)
    bound = _INEXACT_FROM.get(array.type)
    return [id_text(each, bound) for each in array.to_pylist()]


def id_text(value: Any, inexact_from: int | None = None) -> str | None:
    """Return a value as an id, or None; a float is one below `inexact_from`."""
    match value:
        case str():
            return value if is_id(value) else None
        case bool():
            return None
        case int():
            return str(value)
        case float() if inexact_from is not None and abs(value) < inexact_from:
            return str(int(value)) if value.is_integer() else None
        case Decimal() if value.is_finite() and value == value.to_integral_value():
            return str(int(value))
        case _:
            return None
