"""Entity ids: their one form as strings."""

from decimal import Decimal
from typing import Any

import pyarrow as pa

from understudy.domain.features import KeyKind
from understudy.features.decisions.arrow_columns import plain
from understudy.features.decisions.entity_keys import LONGEST_ID_BYTES, is_id

_ID_TYPES = (
    pa.types.is_string,
    pa.types.is_integer,
    pa.types.is_floating,
    pa.types.is_decimal,
    pa.types.is_binary,
    pa.types.is_large_binary,
    pa.types.is_binary_view,
    pa.types.is_fixed_size_binary,
)
# From these bounds on, neighbouring integers share a float, so it may be another id, rounded.
_INEXACT_FROM = {pa.float16(): 2**11, pa.float32(): 2**24, pa.float64(): 2**53}


def id_texts(column: pa.Array | pa.ChunkedArray, kind: KeyKind = KeyKind.TEXT) -> list[str | None]:
    """Return the ids in a column as strings; None for a value that is no id of this kind of key.

    Text is an id unchanged, an integer by its digits. A float that holds an integer exactly is
    that integer: pandas converts a column of integers to floats if a value is missing. Only for
    keys of bytes, bytes are an id, by their hexadecimal digits, and numbers are none.
    """
    array = plain(column)
    if not any(holds(array.type) for holds in _ID_TYPES):
        return [None] * len(array)  # Python lacks some values of other types, such as times in ns
    bound = _INEXACT_FROM.get(array.type)
    texts = (
        [_hexadecimal(each) for each in array.to_pylist()]
        if kind is KeyKind.BYTES
        else [id_text(each, bound) for each in array.to_pylist()]
    )
    if kind is KeyKind.TEXT:
        return texts
    return [each if each is not None and is_id(kind, each) else None for each in texts]


def _hexadecimal(value: Any) -> str | None:
    return value.hex() if isinstance(value, bytes) else value if isinstance(value, str) else None


def id_text(value: Any, inexact_from: int | None = None) -> str | None:
    """Return a value as an id, or None; a float is one below `inexact_from`."""
    match value:
        case str():
            return value if is_id(KeyKind.TEXT, value) else None
        case bool():
            return None
        case int():
            return str(value)
        case float() if inexact_from is not None and abs(value) < inexact_from:
            return str(int(value)) if value.is_integer() else None
        case Decimal() if value.is_finite() and value.adjusted() < LONGEST_ID_BYTES:
            # Bounded before int(): 1e999999 has a million digits.
            return str(int(value)) if value == value.to_integral_value() else None
        case _:
            return None
