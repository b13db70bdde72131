"""Requests from bytes: counted, then parsed. gRPC's own deserialiser does neither safely.

It would parse millions of values before any is refused, and answer bytes that are no message with
UNKNOWN and the text of a Python exception.
"""

from collections.abc import Iterator, Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import Any, Generic, TypeVar, assert_never

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import DecodeError, Message

from understudy.domain.errors import Fault, InvalidInputError
from understudy.domain.wire_counts import (
    EIGHT_BYTES,
    FOUR_BYTES,
    LENGTH_DELIMITED,
    VARINT,
    CountedField,
    CountedFields,
    TooMany,
    Unreadable,
    WireBounds,
    first_excess,
)

MessageT = TypeVar("MessageT", bound=Message)

MOST_ENTRIES = 10_000  # of a repeated or map field without a bound of its own
MOST_FIELDS = 20_000  # of all kinds
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
_NEVER_PACKED = (
    FieldDescriptor.TYPE_STRING,
    FieldDescriptor.TYPE_BYTES,
    FieldDescriptor.TYPE_MESSAGE,
)


class RequestForm(Generic[MessageT]):
    """A kind of request, with the largest number of entries of its repeated and map fields."""

    def __init__(
        self,
        kind: type[MessageT],
        most_entries: Mapping[str, int] = _NO_BOUNDS,
        *,
        most_fields: int = MOST_FIELDS,
        uncounted_bytes: int = UNCOUNTED_BYTES,
    ) -> None:
        """Prepare to count.

        Args:
            kind: of the message.
            most_entries: by path, over all parents; other paths have `MOST_ENTRIES`.
            most_fields: of all kinds.
            uncounted_bytes: size up to which a message is parsed at once; its reader checks the
                numbers of entries then.

        Raises:
            ValueError: a path is not a repeated or map field of `kind`, or `kind` contains itself.
        """
        self.kind = kind
        self._uncounted_bytes = uncounted_bytes
        self.bounds = _bounds(kind.DESCRIPTOR, most_entries, most_fields)

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
    kind: type[Message], received: bytes, found: TooMany | Unreadable
) -> InvalidInputError:
    """Return the error for bytes in which counting `found` the reason to refuse them."""
    match found:
        case TooMany(path=path, most=most):
            field = path or f"{kind.DESCRIPTOR.name}: all fields"
            accepted = f"at most {most} in one message"
            return InvalidInputError([Fault(field, f"more than {most}", accepted)])
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


def _bounds(kind: Any, most_entries: Mapping[str, int], most_fields: int) -> WireBounds:
    paths: dict[str, int] = {}
    fields = _counted(kind, "", paths, within=())
    strange = sorted(set(most_entries) - set(paths))
    if strange:
        raise ValueError(f"paths: read {strange}; accepted: {sorted(paths)} of {kind.name}")
    return WireBounds(
        paths=tuple(paths),
        most=tuple(most_entries.get(path, MOST_ENTRIES) for path in paths),
        fields=fields,
        most_fields=most_fields,
    )


def _counted(
    kind: Any, prefix: str, paths: dict[str, int], *, within: tuple[str, ...]
) -> CountedFields:
    """Return the fields of `kind` that are counted, and add their paths."""
    if kind.full_name in within:
        raise ValueError(f"{kind.full_name} contains itself: its values cannot be counted by path")
    counted: dict[int, CountedField] = {}
    for field in kind.fields:
        path = f"{prefix}{field.name}"
        inner: CountedFields = {}
        if field.message_type is not None:
            before = len(paths)
            paths[path] = before
            within_this = (*within, kind.full_name)
            inner = _counted(field.message_type, f"{path}.", paths, within=within_this)
            if not inner and not field.is_repeated:
                del paths[path]
                continue
        elif field.is_repeated:
            paths[path] = len(paths)
        else:
            continue
        counted.update(_by_tag(field, paths[path], inner or None))
    return counted


def _by_tag(
    field: FieldDescriptor, at: int, inner: CountedFields | None
) -> Iterator[tuple[int, CountedField]]:
    """Yield the field under each tag with which it may be written."""
    number = field.number << 3
    if field.type in _NEVER_PACKED:
        yield number | LENGTH_DELIMITED, CountedField(at, inner)
        return
    wire_type, packed_bytes = _WIRE_TYPE_AND_BYTES.get(field.type, (VARINT, 1))
    yield number | wire_type, CountedField(at)
    yield number | LENGTH_DELIMITED, CountedField(at, packed_bytes=packed_bytes)
