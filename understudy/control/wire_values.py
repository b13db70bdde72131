"""Single values of messages: fields that may be absent, names of versions, times."""

from collections.abc import Iterator
from typing import Any

from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from understudy.domain.errors import Fault
from understudy.domain.versions import VersionRef
from understudy.registry.v1 import registry_pb2 as pb

LATEST_S = 253_402_300_799  # the last second of 9999, the latest that protobuf defines
GREATEST_NUMBER = (1 << 63) - 1  # of a revision or a row, because SQLite stores no greater one
_MOST_NANOS = 999_999_999


def time_faults(time: Timestamp, field: str) -> Iterator[Fault]:
    """Yield the faults of a received time: protobuf's conversions raise on some that it parses."""
    if not 0 <= time.seconds <= LATEST_S:
        yield Fault(f"{field}.seconds", str(time.seconds), f"0 to {LATEST_S}: 1970 to 9999")
    if not 0 <= time.nanos <= _MOST_NANOS:
        yield Fault(f"{field}.nanos", str(time.nanos), f"0 to {_MOST_NANOS}")


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
