"""One ModelStreamInfer call: many requests in flight, answers in the order of the requests.

reader -> pending answer of each request -> writer

An answer that is available at once, with nothing waiting before it, is written by the reader itself,
without a task or queue. When its process drains, a stream stops reading, answers the requests that
it has read, and ends with OK.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass
from typing import Any

import grpc
import structlog

from understudy.oip import inference_pb2 as pb
from understudy.runtime.error_details import reason_of
from understudy.runtime.grpc_errors import detail_of, retry_after_ms_of, status_of
from understudy.runtime.open_requests import OpenRequests
from understudy.runtime.open_streams import Write, id_to_tell
from understudy.runtime.protobuf_bytes import length_delimited

_ANSWER_FIELD = pb.ModelStreamInferResponse.DESCRIPTOR.fields_by_name["infer_response"].number

_log = structlog.get_logger()

# The answer to a request, now or later; it never raises.
AnswerRequest = Callable[[bytes], bytes | Coroutine[Any, Any, bytes]]


class InferStream:
    """Serves one call."""

    def __init__(self, answer: AnswerRequest, open_requests: OpenRequests) -> None:
        """`open_requests`: those whose answers are not written."""
        self._answer = answer
        self._room = open_requests
        self._open: deque[_OpenRequest] = deque()
        self._changed = asyncio.Event()  # a request is open, or reading has ended
        self._reading: asyncio.Task[None] | None = None
        self._reader_writes = False
        self._is_ending = False

    async def run(self, requests: AsyncIterator[bytes], write: Write) -> None:
        """Return when reading has ended and all answers are written, or when the call ends."""
        try:
            async with asyncio.TaskGroup() as tasks:
                self._reading = tasks.create_task(self._read(requests, write, tasks))
                self._reading.add_done_callback(lambda _: self._changed.set())
                await self._write(self._reading, write)
        finally:
            while self._open:  # the caller has disconnected
                self._leave(self._open.popleft())

    async def _write(self, reading: asyncio.Task[None], write: Write) -> None:
        while not reading.done() or self._open:
            if not self._open:
                self._changed.clear()
                await self._changed.wait()
                continue
            await write(await self._open[0].answer)
            self._leave(self._open.popleft())  # open until it is written

    def stop_reading(self) -> None:
        """Read no more requests: `run` returns once those already read are answered."""
        self._is_ending = True
        if self._reading is not None and not self._reader_writes:
            self._reading.cancel()

    async def _read(
        self, requests: AsyncIterator[bytes], write: Write, tasks: asyncio.TaskGroup
    ) -> None:
        async for received in requests:
            answer = self._answer(received)
            if isinstance(answer, bytes) and not self._open:
                self._reader_writes = True
                await write(answer)
                self._reader_writes = False
                if self._is_ending:
                    return
                continue
            self._keep(
                len(received),
                _done(answer) if isinstance(answer, bytes) else tasks.create_task(answer),
            )
            self._changed.set()
            await self._room.until_room()

    def _keep(self, received_bytes: int, answer: asyncio.Future[bytes]) -> None:
        request = _OpenRequest(answer, received_bytes)
        self._open.append(request)
        self._room.enter(received_bytes)
        if answer.done():  # a callback would come after the answer is written
            self._count_answer(request, answer)
        else:
            answer.add_done_callback(lambda done: self._count_answer(request, done))

    def _leave(self, request: "_OpenRequest") -> None:
        request.is_open = False
        self._room.leave(request.size_bytes)

    def _count_answer(self, request: "_OpenRequest", answer: asyncio.Future[bytes]) -> None:
        if answer.cancelled() or not request.is_open:
            return
        answer_bytes = len(answer.result())
        request.size_bytes += answer_bytes
        self._room.grow(answer_bytes)


@dataclass(slots=True, eq=False)
class _OpenRequest:
    answer: asyncio.Future[bytes]
    size_bytes: int  # of the request, and of its answer once there is one
    is_open: bool = True


def _done(answer: bytes) -> asyncio.Future[bytes]:
    done: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
    done.set_result(answer)
    return done


def answer_message(answer: bytes) -> bytes:
    """Return a stream's message with a serialised ModelInferResponse."""
    return length_delimited(_ANSWER_FIELD, len(answer)) + answer


def failure_message(request_id: str, error: Exception) -> bytes:
    """Return a stream's message for a failed request; a bug is logged with its stack trace."""
    status = status_of(error)
    if status is grpc.StatusCode.INTERNAL:
        _log.error("message_failed", rpc="ModelStreamInfer", exc_info=error)
    failure = pb.ModelStreamInferResponse(error_message=detail_of(error))
    failure.infer_response.id = id_to_tell(request_id)
    parameters = failure.infer_response.parameters
    parameters["grpc_status"].int64_param = status.value[0]
    parameters["reason"].string_param = reason_of(error)
    if after_ms := retry_after_ms_of(error):
        parameters["retry_after_ms"].int64_param = after_ms
    return failure.SerializeToString()
