"""A score stream for threads, over as many calls as necessary; see `unanswered`."""

import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import AbstractContextManager
from typing import Any

import grpc

from understudy.client.answers import StreamAnswer
from understudy.client.channels import Metadata
from understudy.client.unanswered import NewRequestId, Patience, Unanswered, with_id
from understudy.scoring.v1 import scoring_pb2 as pb


class ThreadedStream:
    """The requests of one stream. gRPC reads them in a separate thread for each call."""

    def __init__(self, requests: Iterable[pb.ScoreRequest], new_request_id: NewRequestId) -> None:
        self._requests = iter(requests)
        self._new_request_id = new_request_id
        self._unanswered = Unanswered()
        self._held: deque[pb.ScoreRequest] = deque()  # read from the caller, not sent on any call
        self._call: object = None  # the current call; None between calls
        self._is_exhausted = False
        self._failure: Exception | None = None  # raised by the caller's iterator
        self._is_asking = False  # a thread is reading the caller's iterator, however long it takes
        self._lock = threading.Lock()  # for all of these
        self._changed = threading.Condition(self._lock)  # the call has ended, or the reading has

    def answers(
        self,
        connected: Callable[[], AbstractContextManager[Any]],
        timeout_s: float | None,
        metadata: Metadata,
    ) -> Iterator[StreamAnswer]:
        """Yield each answer, over as many calls as necessary.

        `connected`: yields a stub for the time of one call.

        Raises:
            grpc.RpcError: a call failed and another would not help, or five consecutive calls
                failed or ended without an answer to a pending request.
        """
        patience = Patience(timeout_s)
        while True:
            with connected() as stub:
                error = yield from self._answers_of_one_call(stub, patience, metadata)
            if self._is_complete():
                break
            # In the caller's thread, which waits for answers; bounded by _PAUSES_S and the stream's time.
            time.sleep(patience.after_call(error, is_awaiting=bool(self._unanswered)))
        if self._failure is not None:
            raise self._failure

    def _answers_of_one_call(
        self, stub: Any, patience: Patience, metadata: Metadata
    ) -> Generator[StreamAnswer, None, grpc.RpcError | None]:
        """Yield its answers; return the error with which it ended."""
        call = stub.ScoreStream(self._begin_call(), timeout=patience.left_s(), metadata=metadata)
        try:
            for answer in call:
                with self._lock:
                    is_awaited = self._unanswered.remove(answer.request_id)
                if is_awaited:
                    patience.has_progress = True
                    yield StreamAnswer(answer)
                else:
                    patience.last_stray = answer.error
        except grpc.RpcError as caught:
            return caught
        finally:
            call.cancel()
            self._end_call()
        return None

    def _is_complete(self) -> bool:
        with self._lock:
            return self._is_exhausted and not self._unanswered and not self._held

    def _begin_call(self) -> Iterator[pb.ScoreStreamRequest]:
        call = object()
        with self._lock:
            self._call = call
            return self._requests_of(call, self._unanswered.in_order())

    def _end_call(self) -> None:
        """Release the call's thread, unless it is reading the caller's iterator."""
        with self._changed:
            self._call = None
            self._changed.notify_all()

    def _requests_of(
        self, call: object, again: Iterable[pb.ScoreRequest]
    ) -> Iterator[pb.ScoreStreamRequest]:
        for request in again:
            yield pb.ScoreStreamRequest(request=request)
        while (taken := self._take(call)) is not None:
            yield pb.ScoreStreamRequest(request=taken)

    def _take(self, call: object) -> pb.ScoreRequest | None:
        """Return the next request to send, or None at the end or once `call` has ended."""
        with self._changed:
            self._changed.wait_for(lambda: call is not self._call or not self._is_asking)
            if call is not self._call:
                return None
            if self._held:
                return self._unanswered.add(self._held.popleft())
            if self._is_exhausted:
                return None
            self._is_asking = True
        try:
            self._ask()
        finally:
            with self._changed:
                self._is_asking = False
                self._changed.notify_all()
        with self._lock:
            if not self._held or call is not self._call:
                return None  # held requests are for the next call
            return self._unanswered.add(self._held.popleft())

    def _ask(self) -> None:
        """Hold the caller's next request, or record the end."""
        try:
            self._held.append(with_id(next(self._requests), self._new_request_id))
        except StopIteration:
            self._is_exhausted = True
        except Exception as error:  # noqa: BLE001 - raised to the caller once all requests are answered
            self._failure = error
            self._is_exhausted = True
