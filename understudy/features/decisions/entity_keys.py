"""The keys of records: ids are texts everywhere, and the view says which keys they stand for.

Each kind of key has one text per key, because two texts for one record would be two entities for
assignment, logs and history. Imports no arrays: readers of stores start often.
"""

import re
from collections.abc import Sequence

from understudy.domain.errors import InvalidInputError
from understudy.domain.features import KeyKind
from understudy.features.decisions.storable_ids import is_storable_id, storable_ids

LONGEST_ID_BYTES = 4096
StoreKey = str | int | bytearray
_INTEGER = re.compile(r"0|-?[1-9][0-9]{0,18}", re.ASCII)
_BYTES = re.compile(r"(?:[0-9a-f]{2})+", re.ASCII)
_LIMIT = 2**63  # keys are int64
_ACCEPTED = {
    KeyKind.TEXT: f"text of 1 to {LONGEST_ID_BYTES} bytes without NUL, an integer, or a float that "
    "holds an integer exactly",
    KeyKind.INTEGER: "an int64 in decimal digits without leading zeros or `+`, because the view has "
    "`key: integer`",
    KeyKind.BYTES: f"bytes, or up to {LONGEST_ID_BYTES} lower-case hexadecimal digits, two for each "
    "byte, because the view has `key: bytes`",
}


def accepted_id(kind: KeyKind) -> str:
    """Describe the ids of a kind of key for a message."""
    return _ACCEPTED[kind]


def is_id(kind: KeyKind, text: str) -> bool:
    """Return whether a text stands for a key of this kind that every store can hold."""
    match kind:
        case KeyKind.TEXT:
            return is_storable_id(text) and 0 < len(text.encode()) <= LONGEST_ID_BYTES
        case KeyKind.INTEGER:
            return _INTEGER.fullmatch(text) is not None and -_LIMIT <= int(text) < _LIMIT
        case KeyKind.BYTES:
            return len(text) <= LONGEST_ID_BYTES and _BYTES.fullmatch(text) is not None


def check_ids(kind: KeyKind, ids: Sequence[str | None], *, field: str = "entity id") -> None:
    """Check that ids, where given, stand for keys of this kind.

    Raises:
        InvalidInputError: one of them does not; `field` is its name in the fault.
    """
    for each in ids:
        if each is not None and not is_id(kind, each):
            raise InvalidInputError.of(field, read=each, accepted=accepted_id(kind))


def store_keys(kind: KeyKind, ids: Sequence[str | None]) -> Sequence[StoreKey | None]:
    """Return the key of each id in Aerospike, with None for an id that no record can have."""
    match kind:
        case KeyKind.TEXT:
            return storable_ids(ids)
        case KeyKind.INTEGER:
            return [int(each) if each is not None and is_id(kind, each) else None for each in ids]
        case KeyKind.BYTES:
            # The client takes `bytes` for a string and reads it up to the first NUL.
            return [
                bytearray.fromhex(each) if each is not None and is_id(kind, each) else None
                for each in ids
            ]
