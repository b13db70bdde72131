"""One ScoreStream call: many units in flight, answers in any order, a single writer.

reader -> admitted calls -> (lanes) -> outbox -> writer

There is no task or future per message: its answer goes into the outbox when it is set. Reading
pauses while too much is in flight or unsent, so a caller that does not read is not read from: that
is the flow control.

A stream that is old, or whose process drains, stops reading, answers the messages it has read, and
ends with OK. The caller sends unread ones again, on another stream.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable

import grpc
import structlog

from router.admission.intake import Intake, UnreadCall
from router.calls.call import Call
from router.decisions.priority import Priority
from router.edge.wire_errors import error_message
from understudy.domain.errors import OverloadedError
from understudy.domain.trace_context import TraceContext
from understudy.runtime.grpc_errors import status_of
from understudy.runtime.open_requests import OpenRequests
from understudy.runtime.open_streams import Write, id_to_tell
from understudy.runtime.protobuf_bytes import length_delimited
from understudy.scoring.v1 import scoring_pb2 as pb

_FIELDS = pb.ScoreStreamResponse.DESCRIPTOR.fields_by_name
_REQUEST_ID_FIELD = _FIELDS["request_id"].number
_RESPONSE_FIELD = _FIELDS["response"].number
_MOST_BYTES_READ_FOR_ID = 64 * 1024
_log = structlog.get_logger()


class ScoreStream:
    """Serves one call. `admit` parses a request and admits it, or raises the reason for refusing it."""

    def __init__(
        self,
        admit: Callable[[UnreadCall], Call],
        intake: Intake,
        on_error: Callable[[Exception], None],
        *,
        open_requests: OpenRequests,
        most_age_s: float,
        now_s: Callable[[], float],
        trace: TraceContext | None = None,
    ) -> None:
        """Prepare to serve.

        Args:
            admit: see the class.
            intake: receives the messages.
            on_error: is told of each failure.
            open_requests: messages in flight, and answers that are not written.
            most_age_s: from then on no message is read.
            now_s: monotonic.
            trace: of the caller of the stream, for all its messages.
        """
        self.admit = admit
        self.trace = trace
        self._intake = intake
        self._on_error = on_error
        self._open = open_requests
        self._most_age_s = most_age_s
        self._now_s = now_s
        self._in_flight: set[_StreamedAnswer] = set()
        self._outbox: deque[bytes] = deque()
        self._changed = asyncio.Event()  # the outbox has grown, or reading has ended
        self._reading: asyncio.Task[None] | None = None

    async def run(self, requests: AsyncIterator[bytes], write: Write) -> None:
        """Return when reading has ended and every answer is written, or when the call ends."""
        aged = asyncio.get_running_loop().call_later(self._most_age_s, self.stop_reading)
        try:
            async with asyncio.TaskGroup() as tasks:
                self._reading = tasks.create_task(self._read(requests))
                self._reading.add_done_callback(lambda _: self._changed.set())
                await self._write(self._reading, write)
        finally:
            aged.cancel()
            # The caller has disconnected: queued messages need not be scored.
            for answer in tuple(self._in_flight):
                answer.abandon()
                self._leave(answer)
            while self._outbox:  # their bytes are those of the caller's other streams again
                self._open.leave(len(self._outbox.popleft()))

    def stop_reading(self) -> None:
        """Read no more messages: `run` returns once those already read are answered."""
        if self._reading is not None:
            self._reading.cancel()

    def put_answer(self, answer: "_StreamedAnswer", body: bytes) -> None:
        """Send a batch's response to one message."""
        self._leave(answer)
        request_id = answer.call.request_id.encode()
        self._put(
            b"".join(
                (
                    length_delimited(_REQUEST_ID_FIELD, len(request_id)),
                    request_id,
                    length_delimited(_RESPONSE_FIELD, len(body)),
                    body,
                )
            )
        )

    def put_failure(self, answer: "_StreamedAnswer", error: Exception) -> None:
        """Send the error of one message; the stream continues."""
        self._leave(answer)
        self._put_error(id_to_tell(answer.call.request_id), error)

    async def _read(self, requests: AsyncIterator[bytes]) -> None:
        async for received in requests:
            self._start(received)
            await self._open.until_room()

    async def _write(self, reading: asyncio.Task[None], write: Write) -> None:
        while not reading.done() or self._open.count:
            if not self._outbox:
                self._changed.clear()
                await self._changed.wait()
                continue
            await write(self._outbox[0])
            self._open.leave(len(self._outbox.popleft()))  # open until it is written

    def _start(self, received: bytes) -> None:
        answer = _StreamedAnswer(self, received, arrived_s=self._now_s())
        self._in_flight.add(answer)
        self._open.enter(len(received))
        try:
            self._intake.put(answer.call)
        except OverloadedError as error:
            self._close(answer)
            self._put_error(_request_id_of(received), error)

    def _leave(self, answer: "_StreamedAnswer") -> None:
        self._close(answer)
        self._intake.leave(answer.call)
        # Answer and call refer to each other: the collector would free the message, much later.
        answer.call.received = b""

    def _close(self, answer: "_StreamedAnswer") -> None:
        self._in_flight.discard(answer)
        self._open.leave(len(answer.call.received))

    def _put_error(self, request_id: str, error: Exception) -> None:
        self._on_error(error)
        if status_of(error) is grpc.StatusCode.INTERNAL:
            _log.error("message_failed", exc_info=error)
        message = pb.ScoreStreamResponse(request_id=request_id, error=error_message(error))
        self._put(message.SerializeToString())

    def _put(self, message: bytes) -> None:
        self._outbox.append(message)
        self._open.enter(len(message))
        self._changed.set()


class _StreamedAnswer:
    """The `Answer` of one message of a stream; sent as soon as it is set."""

    __slots__ = ("_is_done", "_stream", "call")

    def __init__(self, stream: ScoreStream, received: bytes, *, arrived_s: float) -> None:
        self._stream = stream
        self._is_done = False
        # The stream's deadline does not apply to messages: each gets the default budget.
        self.call = UnreadCall(
            self, Priority.STREAM, arrived_s, None, received, self._admit, trace=stream.trace
        )

    def done(self) -> bool:
        return self._is_done

    def set_result(self, result: bytes, /) -> None:
        self._end()
        self._stream.put_answer(self, result)

    def set_exception(self, exception: Exception, /) -> None:
        self._end()
        self._stream.put_failure(self, exception)

    def _admit(self, call: UnreadCall) -> Call:
        admitted = self._stream.admit(call)
        call.request_id = admitted.request_id  # a new one, if the message had none
        return admitted

    def abandon(self) -> None:
        """Record that the answer is no longer awaited."""
        self._is_done = True

    def _end(self) -> None:
        if self._is_done:
            raise asyncio.InvalidStateError("already answered, or no longer awaited")
        self._is_done = True


def _request_id_of(received: bytes) -> str:
    """Return the id of a request refused unread; "" if it is unreadable, or the request is large.

    In a flood of large messages this must not cost what the refusal saves.
    """
    if len(received) > _MOST_BYTES_READ_FOR_ID:
        return ""
    try:
        return id_to_tell(pb.ScoreStreamRequest.FromString(received).request.request_id)
    except Exception:  # noqa: BLE001 - it is refused anyway; the id only helps the caller
        return ""
