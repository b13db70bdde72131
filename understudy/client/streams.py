"""Score streams that continue over several calls. Used by the clients; import those.

A router ends a stream with OK when it stops or when the stream is old, and may be lost at any time.
Requests are kept until they are answered; unanswered ones are sent again on the next call.
Each answer is returned once. A router may score a request twice, but only if its answer was
lost. An answer that matches no pending request is not returned: a full router refuses large
messages without their id.
"""

import asyncio
import threading
import time
from collections import deque
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Iterator
from typing import Any

import grpc

from understudy.client.answers import StreamAnswer
from understudy.scoring.v1 import scoring_pb2 as pb

_PAUSES_S = (0.05, 0.1, 0.2, 0.4)  # before the next call, by number of consecutive failures
_REPEATABLE = frozenset(
    {
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.CANCELLED,  # by a flooded server
        grpc.StatusCode.INTERNAL,  # grpc.aio's status for its own write that coincides with the end
    }
)
_STATUSES = {status.value[0]: status for status in grpc.StatusCode if status.value[0]}
NewRequestId = Callable[[], str]


class UnansweredError(grpc.RpcError):
    """Consecutive calls ended with OK without answering any pending request."""

    def __init__(self, last: pb.Error) -> None:
        self._code = _STATUSES.get(last.code, grpc.StatusCode.UNAVAILABLE)
        self._details = last.message or "calls end without an answer"
        super().__init__(f"{self._code.name}: {self._details}")

    def code(self) -> grpc.StatusCode:
        return self._code

    def details(self) -> str:
        return self._details


class ThreadedStream:
    """The requests of one stream. gRPC reads them in a separate thread for each call."""

    def __init__(self, requests: Iterable[pb.ScoreRequest], new_request_id: NewRequestId) -> None:
        self._requests = iter(requests)
        self._new_request_id = new_request_id
        self._unanswered = _Unanswered()
        self._held: deque[pb.ScoreRequest] = deque()  # read from the caller, not sent on any call
        self._call: object = None  # the current call; None between calls
        self._is_exhausted = False
        self._failure: Exception | None = None  # raised by the caller's iterator
        self._is_asking = False  # a thread is reading the caller's iterator, however long it takes
        self._lock = threading.Lock()  # for all of these
        self._changed = threading.Condition(self._lock)  # the call has ended, or the reading has

    def answers(self, stub: Any, timeout_s: float | None) -> Iterator[StreamAnswer]:
        """Yield each answer, over as many calls as necessary.

        Raises:
            grpc.RpcError: a call failed and another would not help, or five consecutive calls
                failed or ended without an answer to a pending request.
        """
        patience = _Patience(timeout_s)
        while True:
            error: grpc.RpcError | None = None
            call = stub.ScoreStream(self._begin_call(), timeout=patience.left_s())
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
                error = caught
            finally:
                call.cancel()
                self._end_call()
            if self._is_complete():
                break
            # In the caller's thread, which waits for answers; bounded by _PAUSES_S and the stream's time.
            time.sleep(patience.after_call(error, is_awaiting=bool(self._unanswered)))
        if self._failure is not None:
            raise self._failure

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
            self._held.append(_with_id(next(self._requests), self._new_request_id))
        except StopIteration:
            self._is_exhausted = True
        except Exception as error:  # noqa: BLE001 - raised to the caller once all requests are answered
            self._failure = error
            self._is_exhausted = True


class AsyncioStream:
    """The requests of one stream, for one event loop."""

    def __init__(
        self,
        requests: AsyncIterable[pb.ScoreRequest] | Iterable[pb.ScoreRequest],
        new_request_id: NewRequestId,
    ) -> None:
        self._requests = requests
        self._new_request_id = new_request_id
        self._unanswered = _Unanswered()
        self._taken: asyncio.Queue[pb.ScoreRequest | None] = asyncio.Queue(1)  # None: the end
        self._is_exhausted = False
        self._failure: Exception | None = None  # raised by the caller's iterator

    async def answers(self, stub: Any, timeout_s: float | None) -> AsyncIterator[StreamAnswer]:
        """Yield each answer, like `ThreadedStream.answers`."""
        patience = _Patience(timeout_s)
        taking = asyncio.ensure_future(self._take())
        try:
            while True:
                error: grpc.RpcError | None = None
                call = stub.ScoreStream(timeout=patience.left_s())
                sending = asyncio.ensure_future(self._send(call))
                try:
                    async for answer in call:
                        if self._unanswered.remove(answer.request_id):
                            patience.has_progress = True
                            yield StreamAnswer(answer)
                        else:
                            patience.last_stray = answer.error
                except grpc.RpcError as caught:
                    error = caught
                finally:
                    call.cancel()
                    await _ended(sending)
                if self._is_exhausted and not self._unanswered:
                    break
                pause_s = patience.after_call(error, is_awaiting=bool(self._unanswered))
                await asyncio.sleep(pause_s)
        finally:
            await _ended(taking)
        if self._failure is not None:
            raise self._failure

    async def _take(self) -> None:
        """Read the caller's requests, one ahead of sending; the end of a call does not affect it."""
        try:
            async for request in _asynchronous(self._requests):
                await self._taken.put(_with_id(request, self._new_request_id))
        except Exception as error:  # noqa: BLE001 - raised to the caller once all requests are answered
            self._failure = error
        await self._taken.put(None)

    async def _send(self, call: Any) -> None:
        """Send unanswered requests, then new ones. The reader of answers sees how the call ends."""
        try:
            for request in self._unanswered.in_order():
                await call.write(pb.ScoreStreamRequest(request=request))
            while not self._is_exhausted:
                taken = await self._taken.get()
                if taken is None:
                    self._is_exhausted = True
                else:
                    await call.write(pb.ScoreStreamRequest(request=self._unanswered.add(taken)))
            await call.done_writing()
        except Exception:  # noqa: BLE001 - the call has ended, which grpc.aio reports in many ways
            return


class _Unanswered:
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


class _Patience:
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


def _with_id(request: pb.ScoreRequest, new_request_id: NewRequestId) -> pb.ScoreRequest:
    """Return the request with an id, which identifies its answer."""
    if request.request_id:
        return request
    named = pb.ScoreRequest()
    named.CopyFrom(request)
    named.request_id = new_request_id()
    return named


async def _asynchronous(
    requests: AsyncIterable[pb.ScoreRequest] | Iterable[pb.ScoreRequest],
) -> AsyncIterator[pb.ScoreRequest]:
    if isinstance(requests, AsyncIterable):
        async for request in requests:
            yield request
    else:
        for request in requests:
            yield request


async def _ended(task: asyncio.Future[None]) -> None:
    task.cancel()
    await asyncio.wait([task])
