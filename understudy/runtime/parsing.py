"""Parsing of request bytes. gRPC's own deserialiser would answer UNKNOWN with a bug's text."""

from typing import TypeVar

from google.protobuf.message import DecodeError, Message

from understudy.domain.errors import InvalidInputError

MessageT = TypeVar("MessageT", bound=Message)


def parsed(kind: type[MessageT], received: bytes) -> MessageT:
    """Return the message.

    Raises:
        InvalidInputError: the bytes are not a message of this kind, or contain invalid UTF-8.
    """
    try:
        return kind.FromString(received)
    except DecodeError as error:
        raise unreadable(kind, received) from error


def unreadable(kind: type[Message], received: bytes) -> InvalidInputError:
    """Return the error for bytes that are not a message of `kind`."""
    return InvalidInputError.of(
        kind.DESCRIPTOR.name,
        read=f"{len(received)} bytes",
        accepted="a protobuf message of that type, with strings in UTF-8",
    )
