"""The unanswered requests of a stream that continues over several calls, and the patience with them.

A router ends a stream with OK when it stops or when the stream is old, and may be lost at any time.
Requests are kept until they are answered; unanswered ones are sent again on the next call.
Each answer is returned once. A router may score a request twice, but only if its answer was
lost. An answer that matches no pending request is not returned: a full router refuses large
messages without their id.
"""

import time
from collections.abc import Callable

import grpc

from understudy.client.errors import ScoringError, error_in
from understudy.scoring.v1 import scoring_pb2 as pb

_PAUSES_S = (0.05, 0.1, 0.2, 0.4)  # before the next call, by number of consecutive failures
_REPEATABLE = frozenset(
    {
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.CANCELLED,  # by a flooded server
        grpc.StatusCode.INTERNAL,  # grpc.aio's status for its own write that coincides with the end
    }
)
_UNAVAILABLE = grpc.StatusCode.UNAVAILABLE.value[0]
NewRequestId = Callable[[], str]


class UnansweredError(ScoringError):
    """Consecutive calls ended with OK without answering any pending request."""

    def __init__(self, last: pb.Error) -> None:
        """`last`: the failure in the last answer without a pending request."""
        if not last.code:
            last = pb.Error(code=_UNAVAILABLE, message="calls end without an answer")
        error = error_in(last)
        super().__init__(error.status, error.text, error.details_of_call)


class Unanswered:
    """Requests that were sent and have no answer. An id may occur more than once."""

    def __init__(self) -> None:
        self._by_id: dict[str, list[pb.ScoreRequest]] = {}

    def __bool__(self) -> bool:
        return bool(self._by_id)

    def add(self, request: pb.ScoreRequest) -> pb.ScoreRequest:
        self._by_id.setdefault(request.request_id, []).append(request)
        return request

    def remove(self, request_id: str) -> bool:
        """Remove an answered request; return whether there was one with that id."""
        same = self._by_id.get(request_id)
        if same is None:
            return False
        same.pop()
        if not same:
            del self._by_id[request_id]
        return True

    def in_order(self) -> list[pb.ScoreRequest]:
        return [request for same in self._by_id.values() for request in same]


class Patience:
    """The wait before the next call, and the limit at which to give up."""

    def __init__(self, timeout_s: float | None) -> None:
        self._until_s = None if timeout_s is None else time.monotonic() + timeout_s
        self.has_progress = False  # in the current call: a pending request was answered
        self.last_stray = pb.Error()  # of the last answer without a pending request
        self._failures = 0  # consecutive calls without progress

    def after_call(self, error: grpc.RpcError | None, *, is_awaiting: bool) -> float:
        """Return the pause before the next call. `is_awaiting`: sent requests are pending.

        Raises:
            grpc.RpcError: the next call would not succeed either.
        """
        has_progress, self.has_progress = self.has_progress, False
        # Nothing was pending: a stream may be idle for days.
        is_idle = error is None and not is_awaiting
        if has_progress or is_idle:
            self._failures = 0
        if error is not None and error.code() not in _REPEATABLE:
            raise error
        if error is None and has_progress:
            pause_s = 0.0
        elif self._failures == len(_PAUSES_S):
            raise UnansweredError(self.last_stray) if error is None else error
        else:
            pause_s = _PAUSES_S[self._failures]
            self._failures += not is_idle
        left_s = self.left_s()
        return pause_s if left_s is None else min(pause_s, left_s)

    def left_s(self) -> float | None:
        """Return the remaining time of the stream, or None without a limit."""
        return None if self._until_s is None else max(0.0, self._until_s - time.monotonic())


def with_id(request: pb.ScoreRequest, new_request_id: NewRequestId) -> pb.ScoreRequest:
    """Return the request with an id, which identifies its answer."""
    if request.request_id:
        return request
    named = pb.ScoreRequest()
    named.CopyFrom(request)
    named.request_id = new_request_id()
    return named
