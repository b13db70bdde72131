"""Large requests, parsed in parts, so that other calls have their turns in between."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Generic, TypeVar

from google.protobuf.message import Message

from understudy.domain.wire_counts import TooMany, Unreadable
from understudy.domain.wire_parts import CountedList, first_part, split_message
from understudy.runtime.parsing import UNCOUNTED_BYTES, RequestForm, refusal_of, unreadable

MessageT = TypeVar("MessageT", bound=Message)

_PART_BYTES = 8 * 1024  # parsed within a fraction of a millisecond
_PART_ENTRIES = 128  # and so is the rest of the work on them; small ones are many in these bytes
# Enough for the 20 candidates, or faults, at which a search ends.
_FIRST_PART_BYTES = 32 * 1024
_MOST_FIRST_FIELDS = 64


@dataclass(frozen=True, slots=True)
class Parted(Generic[MessageT]):
    """A request whose large field is still to be parsed.

    `message` has all other fields; of a small request it has that field too, as its only part does.
    """

    message: MessageT
    entries: int  # of the field
    parts: Iterator[MessageT]  # parses a part each; InvalidInputError if it is no message


class PartedForm(Generic[MessageT]):
    """A kind of request with one large field: a list of messages."""

    def __init__(
        self,
        kind: type[MessageT],
        field: str,
        most_entries: int,
        *,
        most_in_part: Mapping[str, int],
        most_others: int,
        most_bytes: Mapping[str, int] = MappingProxyType({}),
    ) -> None:
        """Prepare to count.

        Args:
            kind: of the message.
            field: the large one.
            most_entries: of it.
            most_in_part: entries by path, of all other fields together and of each single entry.
            most_others: number of other fields.
            most_bytes: of texts by path, as in `RequestForm`.
        """
        self._kind = kind
        number = kind.DESCRIPTOR.fields_by_name[field].number
        self._field = CountedList(field, number, most_entries)
        self._most_others = most_others
        bounds = {**most_in_part, field: most_entries}
        self._form = RequestForm(kind, bounds, most_fields=most_others, most_bytes=most_bytes)

    def first(self, received: bytes) -> MessageT | None:
        """Return the first fields of a large request, to refuse it at the cost of a small one.

        None: the request is small, or its first field is large; `open` reads it.

        Raises:
            InvalidInputError: the bytes are not a message of this kind.
        """
        if len(received) <= UNCOUNTED_BYTES:
            return None
        try:
            part = first_part(
                received, most_fields=_MOST_FIRST_FIELDS, part_bytes=_FIRST_PART_BYTES
            )
        except (IndexError, ValueError) as error:
            raise unreadable(self._kind, received) from error
        return self._form.read(part) if part else None

    def open(self, received: bytes) -> Parted[MessageT]:
        """Return the request, with its field unparsed if it is large.

        Raises:
            InvalidInputError: it has too many values, or the bytes are not a message of this kind.
        """
        if len(received) <= UNCOUNTED_BYTES:
            message = self._form.read(received)
            entries = len(getattr(message, self._field.name))
            if entries > self._field.most:
                found = TooMany(self._field.name, self._field.most)
                raise refusal_of(self._kind, received, found)
            return Parted(message, entries, iter((message,)))
        split = split_message(
            received,
            self._field,
            most_others=self._most_others,
            part_bytes=_PART_BYTES,
            part_entries=_PART_ENTRIES,
        )
        if isinstance(split, TooMany | Unreadable):
            raise refusal_of(self._kind, received, split)
        return Parted(self._form.read(split.rest), split.entries, map(self._form.read, split.parts))
