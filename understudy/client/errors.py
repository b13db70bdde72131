"""The errors of calls: the class says who must act, the attributes hold the server's facts.

ScoringError
├── InvalidRequestError        change the request: `violations`
├── RequestTooLargeError       send less at a time
├── NotFoundError              the model is not deployed
├── AccessRefusedError         the credentials do not allow the call
├── OverloadedError            call again after `retry_after_s`
├── DeadlineExceededError      allow more time, or do without the score
└── UnavailableError           call again later
    └── CannotConnectError     there is no connection to the router

All are also `grpc.RpcError`, so code that handles gRPC's own errors continues to work.
"""

from collections.abc import Callable, Mapping
from typing import Any

import grpc

from understudy.client.error_details import Details, Violation, details_of
from understudy.scoring.v1 import scoring_pb2 as pb

_MAY_BE_UNCONNECTED = frozenset(
    {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.CANCELLED}
)


class ScoringError(grpc.RpcError):
    """A call failed. An instance of this class itself: a defect of the server."""

    def __init__(
        self,
        status: grpc.StatusCode,
        text: str,
        details: Details,
        trailers: Any = (),
    ) -> None:
        super().__init__(f"{status.name}: {text}")
        self.status = status
        self.text = text
        self.details_of_call = details
        self._trailers = trailers

    @property
    def reason(self) -> str:
        """The server's stable word for the kind of failure; "" if gRPC itself ended the call."""
        return self.details_of_call.reason

    @property
    def facts(self) -> Mapping[str, str]:
        """The values in the text by name, e.g. the model that does not exist."""
        return self.details_of_call.facts

    @property
    def violations(self) -> tuple[Violation, ...]:
        """The faulty fields of the request; () for other failures."""
        return self.details_of_call.violations

    @property
    def retry_after_s(self) -> float | None:
        """The time after which the server wants to be called again, or None."""
        return self.details_of_call.retry_after_s

    def code(self) -> grpc.StatusCode:
        return self.status

    def details(self) -> str:
        return self.text

    def trailing_metadata(self) -> Any:
        return self._trailers


class InvalidRequestError(ScoringError):
    """The request has faults; a repetition cannot help."""


class RequestTooLargeError(ScoringError):
    """A message exceeds a limit of its receiver; a repetition cannot help."""


class NotFoundError(ScoringError):
    """The model is not deployed."""


class AccessRefusedError(ScoringError):
    """The credentials are missing, invalid, or do not allow the call."""


class OverloadedError(ScoringError):
    """The router is full; it was called as often as its times to retry and the deadline allow."""


class DeadlineExceededError(ScoringError):
    """The deadline passed before there was an answer."""


class UnavailableError(ScoringError):
    """No version can answer now, or the connection was lost; a repetition may help."""


class CannotConnectError(UnavailableError):
    """There is no connection to the router, so it did not see the call."""


_STATUSES = {status.value[0]: status for status in grpc.StatusCode}
_CLASS_OF: dict[grpc.StatusCode, type[ScoringError]] = {
    grpc.StatusCode.INVALID_ARGUMENT: InvalidRequestError,
    grpc.StatusCode.NOT_FOUND: NotFoundError,
    grpc.StatusCode.PERMISSION_DENIED: AccessRefusedError,
    grpc.StatusCode.UNAUTHENTICATED: AccessRefusedError,
    grpc.StatusCode.DEADLINE_EXCEEDED: DeadlineExceededError,
    grpc.StatusCode.UNAVAILABLE: UnavailableError,
    grpc.StatusCode.CANCELLED: UnavailableError,  # by a flooded server
}


def error_of(
    failed: grpc.RpcError, target: str, *, may_be_connected: Callable[[], bool]
) -> ScoringError:
    """Return the error of a call to `target` that failed.

    Without a connection gRPC waits for one until the deadline, and reports only that the deadline
    passed. `may_be_connected` is called for such failures only.
    """
    if isinstance(failed, ScoringError):
        return failed
    status: grpc.StatusCode = failed.code()
    text: str = failed.details() or "no reason given"
    details = details_of(failed)
    trailers = failed.trailing_metadata()
    if status in _MAY_BE_UNCONNECTED and not details.reason and not may_be_connected():
        return CannotConnectError(status, f"cannot connect to {target}: {text}", details, trailers)
    return _class_of(status, details)(status, text, details, trailers)


def error_in(message: pb.Error) -> ScoringError:
    """Return the failure of a part of a call, a candidate or a request of a stream, as an error."""
    status = _STATUSES.get(message.code, grpc.StatusCode.UNKNOWN)
    details = Details(
        reason=message.reason,
        violations=tuple(
            Violation(each.field, each.description) for each in message.field_violations
        ),
        retry_after_s=message.retry_after_ms / 1000 if message.HasField("retry_after_ms") else None,
    )
    return _class_of(status, details)(status, message.message, details)


def _class_of(status: grpc.StatusCode, details: Details) -> type[ScoringError]:
    """Return the class of a failure with `status` and `details`."""
    if status is grpc.StatusCode.RESOURCE_EXHAUSTED:
        return RequestTooLargeError if details.retry_after_s is None else OverloadedError
    return _CLASS_OF.get(status, ScoringError)
