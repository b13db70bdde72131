"""The division of an unparsed message at a repeated field, so that it is parsed in parts. Pure.

Messages are joined by joining their bytes, so any run of whole fields is a message of the kind.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from understudy.domain.wire_counts import (
    LENGTH_DELIMITED,
    UNREADABLE,
    TooMany,
    Unreadable,
    field_spans,
    places_by_tag,
)


@dataclass(frozen=True, slots=True)
class CountedList:
    """A repeated field of messages."""

    name: str
    number: int
    most: int  # entries


@dataclass(frozen=True, slots=True)
class MessageParts:
    rest: bytes  # a message of all other fields
    parts: Iterator[bytes]  # messages with entries of the field only, in their order
    places: Sequence[tuple[int, int]]  # begin and end of each entry, with tag and length

    @property
    def entries(self) -> int:
        return len(self.places)

    @property
    def largest_entry_bytes(self) -> int:
        """The size of the largest entry with its tag and length; 0 without entries."""
        return max((end - begin for begin, end in self.places), default=0)


def split_message(
    received: bytes, field: CountedList, *, most_others: int, part_bytes: int, part_entries: int
) -> MessageParts | TooMany | Unreadable:
    """Return `received` divided at `field`.

    Args:
        received: the message.
        field: a list of messages.
        most_others: number of other fields.
        part_bytes: largest size of a part that has more than one entry.
        part_entries: largest number of entries in a part.
    """
    tag = field.number << 3 | LENGTH_DELIMITED
    try:
        entries, others = places_by_tag(received, tag, most=field.most, most_others=most_others)
    except (IndexError, ValueError):  # the bytes end within a value, or contradict each other
        return UNREADABLE
    if len(entries) > field.most:
        return TooMany(field.name, field.most)
    if len(others) > most_others:
        return TooMany("", most_others)
    rest = b"".join(received[begin:end] for begin, end in others)
    parts = _joined(received, entries, part_bytes, part_entries)  # each when it is wanted
    return MessageParts(rest, parts, entries)


def first_part(received: bytes, *, most_fields: int, part_bytes: int) -> bytes:
    """Return the first whole fields of a message, a message too; b"" if it begins with none.

    Raises:
        ValueError, IndexError: these bytes are no message.
    """
    spans = field_spans(received, most=most_fields)
    ends = [end for _, _, end in spans if end <= part_bytes]
    return received[: ends[-1]] if ends else b""


def _joined(
    received: bytes, spans: list[tuple[int, int]], part_bytes: int, part_entries: int
) -> Iterator[bytes]:
    part: list[bytes] = []
    size = 0
    for begin, end in spans:
        if part and (size + end - begin > part_bytes or len(part) == part_entries):
            yield b"".join(part)
            part, size = [], 0
        part.append(received[begin:end])
        size += end - begin
    if part:
        yield b"".join(part)
