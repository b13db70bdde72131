"""The details of a failed call: the `google.rpc.Status` that servers send in a trailer."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import grpc
from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2, status_pb2

_DETAILS_KEY = "grpc-status-details-bin"
_PUSHBACK_KEY = "grpc-retry-pushback-ms"


@dataclass(frozen=True, slots=True)
class Violation:
    """A faulty field of a request."""

    field: str  # path, e.g. "features[amount]"
    description: str  # the value that was read and the values that are accepted


@dataclass(frozen=True, slots=True)
class Details:
    """The facts of a failure, for programs. All are empty if gRPC itself ended the call."""

    reason: str = ""  # stable, e.g. "INVALID_INPUT"; listed in the reference of errors
    facts: Mapping[str, str] = field(default_factory=dict)
    violations: tuple[Violation, ...] = ()
    retry_after_s: float | None = None  # None: the server gives no time, or refuses a repetition


def details_of(failed: grpc.RpcError) -> Details:
    """Return the details in the trailers of a failed call."""
    sent: Any = failed.trailing_metadata()  # its type differs between the two kinds of gRPC clients
    trailers: dict[str, Any] = dict(sent or ())
    info, request = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest()
    retry = error_details_pb2.RetryInfo()
    is_given = False
    try:
        for each in status_pb2.Status.FromString(trailers.get(_DETAILS_KEY, b"")).details:
            is_given = each.Unpack(retry) or is_given
            _ = each.Unpack(info) or each.Unpack(request)
    except DecodeError:  # of another server; status and text are still there
        return Details(retry_after_s=_pushback_s(trailers))
    retry_after_s = retry.retry_delay.ToNanoseconds() / 1e9 if is_given else None
    return Details(
        reason=info.reason,
        facts=dict(info.metadata),
        violations=tuple(
            Violation(each.field, each.description) for each in request.field_violations
        ),
        retry_after_s=_pushback_s(trailers) if _PUSHBACK_KEY in trailers else retry_after_s,
    )


def _pushback_s(trailers: Mapping[str, Any]) -> float | None:
    """Return when the server wants to be called again, or None if it gives no time or refuses."""
    try:
        pushback_ms = int(trailers.get(_PUSHBACK_KEY, -1))
    except ValueError:  # by gRPC's rules an unreadable value means never
        return None
    return pushback_ms / 1000 if pushback_ms >= 0 else None
