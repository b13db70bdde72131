"""Requests from bytes: counted, then parsed. gRPC's own deserialiser does neither safely.

It would parse millions of values before any is refused, and answer bytes that are no message with
UNKNOWN and the text of a Python exception.
"""

from collections.abc import Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import Any, Generic, TypeVar, assert_never

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import DecodeError, Message

from understudy.domain.errors import Fault, InvalidInputError
from understudy.domain.wire_counts import (
    ANY_SIZE,
    EIGHT_BYTES,
    FOUR_BYTES,
    LENGTH_DELIMITED,
    UNCOUNTED,
    VARINT,
    CountedField,
    CountedFields,
    TooLong,
    TooMany,
    Unreadable,
    WireBounds,
    first_excess,
)

MessageT = TypeVar("MessageT", bound=Message)

MOST_ENTRIES = 10_000  # of a repeated or map field without a bound of its own
MOST_FIELDS = 20_000  # of all kinds
MOST_TEXT_BYTES = 64 * 1024  # of a text without a bound of its own, and of an unknown field
# A message of this size has at most half as many values: parsing it is cheaper than counting them.
UNCOUNTED_BYTES = 16 * 1024
_NO_BOUNDS: Mapping[str, int] = MappingProxyType({})
_WIRE_TYPE_AND_BYTES = {  # of the numbers, which may be packed
    FieldDescriptor.TYPE_DOUBLE: (EIGHT_BYTES, 8),
    FieldDescriptor.TYPE_FIXED64: (EIGHT_BYTES, 8),
    FieldDescriptor.TYPE_SFIXED64: (EIGHT_BYTES, 8),
    FieldDescriptor.TYPE_FLOAT: (FOUR_BYTES, 4),
    FieldDescriptor.TYPE_FIXED32: (FOUR_BYTES, 4),
    FieldDescriptor.TYPE_SFIXED32: (FOUR_BYTES, 4),
}


class RequestForm(Generic[MessageT]):
    """A kind of request, with the most entries of its lists and maps, and bytes of its texts."""

    def __init__(
        self,
        kind: type[MessageT],
        most_entries: Mapping[str, int] = _NO_BOUNDS,
        *,
        most_fields: int = MOST_FIELDS,
        uncounted_bytes: int = UNCOUNTED_BYTES,
        most_bytes: Mapping[str, int] = _NO_BOUNDS,
    ) -> None:
        """Prepare to count.

        Args:
            kind: of the message.
            most_entries: by path, over all parents; other paths have `MOST_ENTRIES`.
            most_fields: of all kinds.
            uncounted_bytes: size up to which a message is parsed at once; its reader checks the
                numbers of entries then.
            most_bytes: of texts, by path; other texts have `MOST_TEXT_BYTES`.

        Raises:
            ValueError: a path is not a repeated or map field of `kind`, or not a text, or `kind`
                contains itself.
        """
        self.kind = kind
        self._uncounted_bytes = uncounted_bytes
        self.bounds = _Counting(most_entries, most_bytes).bounds(kind.DESCRIPTOR, most_fields)

    def read(self, received: bytes) -> MessageT:
        """Return the message.

        Raises:
            InvalidInputError: it has too many values, or the bytes are not a message of this kind.
        """
        if len(received) > self._uncounted_bytes:
            self.check_counts(received)
        try:
            return self.kind.FromString(received)
        except DecodeError as error:
            raise unreadable(self.kind, received) from error

    def check_counts(self, received: bytes) -> None:
        """Refuse a message with too many values, at the cost of reading up to the bound.

        Raises:
            InvalidInputError: it has too many, or the bytes are not a message of this kind.
        """
        found = first_excess(received, self.bounds)
        if found is not None:
            raise refusal_of(self.kind, received, found)


def parsed(kind: type[MessageT], received: bytes) -> MessageT:
    """Return the message, read in the form of `kind` with the general bounds.

    Raises:
        InvalidInputError: as `RequestForm.read`.
    """
    form: RequestForm[MessageT] = _form_of(kind)  # type: ignore[arg-type]  # a class is hashable
    return form.read(received)


def refusal_of(
    kind: type[Message], received: bytes, found: TooMany | TooLong | Unreadable
) -> InvalidInputError:
    """Return the error for bytes in which counting `found` the reason to refuse them."""
    match found:
        case TooMany(path=path, most=most):
            field = path or f"{kind.DESCRIPTOR.name}: all fields"
            accepted = f"at most {most} in one message"
            return InvalidInputError([Fault(field, f"more than {most}", accepted)])
        case TooLong(path=path, read_bytes=read_bytes, most_bytes=most_bytes):
            return InvalidInputError([Fault(path, f"{read_bytes} bytes", f"at most {most_bytes}")])
        case Unreadable():
            return unreadable(kind, received)
        case _:
            assert_never(found)


def unreadable(kind: type[Message], received: bytes) -> InvalidInputError:
    """Return the error for bytes that are not a message of `kind`."""
    return InvalidInputError.of(
        kind.DESCRIPTOR.name,
        read=f"{len(received)} bytes",
        accepted="a protobuf message of that type, with strings in UTF-8",
    )


@lru_cache(maxsize=256)
def _form_of(kind: Any) -> RequestForm[Any]:
    return RequestForm(kind)


class _Counting:
    """Collects the paths of a kind of request, and the bounds of each."""

    def __init__(self, most_entries: Mapping[str, int], most_bytes: Mapping[str, int]) -> None:
        self._most_entries = most_entries
        self._most_bytes = most_bytes
        self._most: dict[str, int] = {}  # entries by path
        self._lists: set[str] = set()
        self._texts: set[str] = set()

    def bounds(self, kind: Any, most_fields: int) -> WireBounds:
        fields = self._fields_of(kind, "", within=())
        for named, known in ((self._most_entries, self._lists), (self._most_bytes, self._texts)):
            if strange := sorted(set(named) - known):
                raise ValueError(f"paths: read {strange}; accepted: {sorted(known)} of {kind.name}")
        most = tuple(self._most.values())
        return WireBounds(tuple(self._most), most, fields, most_fields, MOST_TEXT_BYTES)

    def _fields_of(self, kind: Any, prefix: str, *, within: tuple[str, ...]) -> CountedFields:
        """Return the fields of `kind` that are looked at, and remember their paths."""
        if kind.full_name in within:
            raise ValueError(
                f"{kind.full_name} contains itself: its values cannot be counted by path"
            )
        fields: dict[int, CountedField] = {}
        for field in kind.fields:
            path, at = f"{prefix}{field.name}", len(self._most)
            self._most[path] = UNCOUNTED
            if field.is_repeated:
                self._most[path] = self._most_entries.get(path, MOST_ENTRIES)
                self._lists.add(path)
            if field.message_type is not None:
                within_this = (*within, kind.full_name)
                counted = self._message(field, path, at, within=within_this)
            else:
                counted = self._value(field, path, at)
            if counted:
                fields.update(counted)
            else:
                del self._most[path]
        return fields

    def _message(
        self, field: FieldDescriptor, path: str, at: int, *, within: tuple[str, ...]
    ) -> CountedFields:
        lists = len(self._lists)
        inner = self._fields_of(field.message_type, f"{path}.", within=within)
        if not inner and not field.is_repeated:
            return {}
        tag = field.number << 3 | LENGTH_DELIMITED
        if len(self._lists) > lists:
            return {tag: CountedField(at, inner)}
        most_bytes = MOST_TEXT_BYTES if inner else ANY_SIZE
        return {tag: CountedField(at, most_bytes=most_bytes, texts=inner)}

    def _value(self, field: FieldDescriptor, path: str, at: int) -> CountedFields:
        number = field.number << 3
        if field.type == FieldDescriptor.TYPE_STRING:
            self._texts.add(path)
            most_bytes = self._most_bytes.get(path, MOST_TEXT_BYTES)
            return {number | LENGTH_DELIMITED: CountedField(at, most_bytes=most_bytes)}
        if field.type == FieldDescriptor.TYPE_BYTES:
            return {number | LENGTH_DELIMITED: CountedField(at)}
        if not field.is_repeated:
            return {}
        wire_type, packed_bytes = _WIRE_TYPE_AND_BYTES.get(field.type, (VARINT, 1))
        return {
            number | wire_type: CountedField(at),
            number | LENGTH_DELIMITED: CountedField(at, packed_bytes=packed_bytes),
        }
