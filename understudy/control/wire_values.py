"""Single values of messages: fields that may be absent, names of versions, times."""

from typing import Any

from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from understudy.domain.versions import VersionRef
from understudy.registry.v1 import registry_pb2 as pb


def value_or_none(message: Message, field: str) -> Any:
    """Return the value of an `optional` field, or None if it is not set."""
    return getattr(message, field) if message.HasField(field) else None


def ref_from_wire(message: pb.VersionRef) -> VersionRef:
    return VersionRef(message.model, message.number)


def ref_to_wire(ref: VersionRef) -> pb.VersionRef:
    return pb.VersionRef(model=ref.model, number=ref.number)


def timestamp(at_ns: int) -> Timestamp:
    """Return the message for nanoseconds since 1970, UTC."""
    message = Timestamp()
    message.FromNanoseconds(at_ns)
    return message
