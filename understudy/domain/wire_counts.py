"""The numbers of values in an unparsed protobuf message, counted up to a bound. Pure.

A parsed message can take a hundred times the memory and time of its bytes, so its values are
counted before it is parsed. Counting ends at the first number that is too large.
Format: https://protobuf.dev/programming-guides/encoding
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

VARINT, EIGHT_BYTES, LENGTH_DELIMITED, FOUR_BYTES = 0, 1, 2, 5  # wire types
ANY_SIZE = UNCOUNTED = 1 << 62  # above the size of any message
_CONTINUES = 0x80  # the bit of a varint's byte that another follows
_MOST_VARINT_BYTES = 10
_CONTINUING = bytes(range(_CONTINUES, 256))


@dataclass(frozen=True, slots=True)
class CountedField:
    """A repeated or map field, a text, or a message that contains such fields."""

    at: int  # index into the bounds
    inner: "CountedFields | None" = None  # of a message whose fields are counted
    packed_bytes: int = 0  # of an entry in a packed run; 1 for varints, 0 if it is never packed
    most_bytes: int = ANY_SIZE  # of a text; above these a message of texts is read as `inner` is
    texts: "CountedFields | None" = None  # of such a message


CountedFields = Mapping[int, CountedField]  # by tag: number and wire type


@dataclass(frozen=True, slots=True)
class WireBounds:
    """The largest number of entries of each path in one message, over all its parents."""

    paths: tuple[str, ...]  # e.g. "candidates.features"
    most: tuple[int, ...]  # of each path; UNCOUNTED for one text, which has a largest size only
    fields: CountedFields
    most_fields: int  # of any kind, at the levels that are read
    most_unknown_bytes: int = ANY_SIZE  # of a field that is not among `fields`


@dataclass(frozen=True, slots=True)
class TooMany:
    path: str  # "" for all fields together
    most: int


@dataclass(frozen=True, slots=True)
class TooLong:
    """A text, or an unknown field, of more bytes than it may have: parsing would copy them."""

    path: str
    read_bytes: int
    most_bytes: int


@dataclass(frozen=True, slots=True)
class Unreadable:
    """The bytes are no message."""


UNREADABLE: Final = Unreadable()


def first_excess(received: bytes, bounds: WireBounds) -> TooMany | TooLong | Unreadable | None:
    """Return the first bound that `received` exceeds, or None.

    A message that protobuf can parse is never unreadable, unless it contains groups, which no
    message of ours does; the reverse does not hold.
    """
    try:
        return _excess(received, bounds)
    except (IndexError, ValueError):  # the bytes end within a value, or contradict each other
        return UNREADABLE


def _excess(  # noqa: C901, PLR0912 - one loop: calls would cost more than the rest of it
    received: bytes, bounds: WireBounds
) -> TooMany | TooLong | None:
    left = list(bounds.most)  # counted down: each bound is then a comparison with 0
    at, end, fields = 0, len(received), bounds.fields
    outer: list[tuple[int, CountedFields]] = []  # the messages around this one
    for _ in range(bounds.most_fields):
        while at == end:
            if not outer:
                return None
            end, fields = outer.pop()
        tag = received[at]
        at += 1
        if tag >= _CONTINUES:
            tag, at = _varint(received, at - 1)
        field = fields.get(tag)
        if tag & 7 == LENGTH_DELIMITED:
            size = received[at]
            at += 1
            if size >= _CONTINUES:
                size, at = _varint(received, at - 1)
            begin, at = at, at + size
            if field is None:
                if size > bounds.most_unknown_bytes:
                    return TooLong(f"field {tag >> 3}", size, bounds.most_unknown_bytes)
            else:
                left[field.at] -= (
                    _entries(received, begin, at, field, left[field.at])
                    if field.packed_bytes
                    else 1
                )
                inner = field.inner
                if size > field.most_bytes:
                    if field.texts is None:
                        return TooLong(bounds.paths[field.at], size, field.most_bytes)
                    inner = field.texts
                if inner is not None and begin < at <= end:
                    outer.append((end, fields))
                    at, end, fields = begin, at, inner
        else:
            at = _after_number(received, at, tag & 7)
            if field is not None:
                left[field.at] -= 1
        if at > end:
            raise ValueError("a value ends beyond its message")
        if field is not None and left[field.at] < 0:
            return TooMany(bounds.paths[field.at], bounds.most[field.at])
    return None if at == len(received) else TooMany("", bounds.most_fields)


def field_spans(received: bytes, *, most: int) -> list[tuple[int, int, int]]:
    """Return tag, begin and end of the first `most` fields of a message, without reading inside.

    Raises:
        ValueError, IndexError: the bytes are no message.
    """
    spans: list[tuple[int, int, int]] = []
    at, end = 0, len(received)
    while at < end and len(spans) < most:
        begin = at
        tag, at = _after_field(received, at)
        spans.append((tag, begin, at))
    if at > end:
        raise ValueError("a value ends beyond its message")
    return spans


def places_by_tag(
    received: bytes, tag: int, *, most: int, most_others: int
) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
    """Return begin and end of the fields of this tag, and of the other fields, without reading inside.

    It ends at the first one above `most` or `most_others`. `tag` has one byte.

    Raises:
        ValueError, IndexError: the bytes are no message.
    """
    places: list[tuple[int, int]] = []
    others: list[tuple[int, int]] = []
    at, end = 0, len(received)
    while at < end and len(places) <= most and len(others) <= most_others:
        begin = at
        if received[at] == tag and (size := received[at + 1]) < _CONTINUES:
            at += 2 + size
            places.append((begin, at))
        else:
            found, at = _after_field(received, at)
            (places if found == tag else others).append((begin, at))
    if at > end:
        raise ValueError("a value ends beyond its message")
    return places, others


def _after_field(received: bytes, at: int) -> tuple[int, int]:
    """Return the tag of the field that begins at `at`, and the place after it."""
    tag = received[at]
    at += 1
    if tag >= _CONTINUES:
        tag, at = _varint(received, at - 1)
    if tag & 7 != LENGTH_DELIMITED:
        return tag, _after_number(received, at, tag & 7)
    size = received[at]
    at += 1
    if size >= _CONTINUES:
        size, at = _varint(received, at - 1)
    return tag, at + size


def _entries(received: bytes, begin: int, end: int, field: CountedField, most: int) -> int:
    """Return the number of entries of a packed run, or one above `most` that is less."""
    if (fewest := (end - begin) // _MOST_VARINT_BYTES) > most:
        return fewest  # without a copy of them
    if field.packed_bytes > 1:
        return (end - begin) // field.packed_bytes
    return len(received[begin:end].translate(None, _CONTINUING))  # each varint has one last byte


def _after_number(received: bytes, at: int, kind: int) -> int:
    if kind == VARINT:
        return _varint(received, at)[1]
    if kind == EIGHT_BYTES:
        return at + 8
    if kind == FOUR_BYTES:
        return at + 4
    raise ValueError(f"wire type: read {kind}; accepted: 0, 1, 2, 5")


def _varint(received: bytes, at: int) -> tuple[int, int]:
    """Return the number that begins at `at`, and the place after it."""
    byte = received[at]
    if byte < _CONTINUES:
        return byte, at + 1
    value = byte & ~_CONTINUES
    for place in range(1, _MOST_VARINT_BYTES):
        byte = received[at + place]
        value |= (byte & ~_CONTINUES) << 7 * place
        if byte < _CONTINUES:
            return value, at + place + 1
    raise ValueError(f"a number: read more than {_MOST_VARINT_BYTES} bytes")
