"""grpc's handler objects behind ASGI: every call of a server that speaks HTTP/2 for us.

Handlers, requests and answers are those of grpc.aio: a service does not know which front it has.
"""

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Sequence
from contextlib import aclosing
from typing import Any

import grpc
import structlog

from understudy.runtime.front.context import AsgiContext, CallEnd
from understudy.runtime.front.due_calls import DueCalls
from understudy.runtime.front.frames import ACCEPTED_ENCODINGS, Refusal, frame, too_large
from understudy.runtime.front.methods import Method, MethodTable
from understudy.runtime.front.requests import Head, NotGrpc, Receive, RequestReader, read_head
from understudy.runtime.front.stream_writer import START_HEADERS, Headers, Send, StreamWriter

_LOOK_EVERY_S = 1.0  # for callers that have disconnected
_MOST_LOOKS = 30  # at a call whose one message has not arrived
_LONGEST_TIMER_S = 86_400.0
_FULL_START = {
    "type": "http.response.start",
    "status": 200,
    "headers": START_HEADERS,
    "trailers": True,
}
_ENDS = {
    CallEnd.DEADLINE: grpc.StatusCode.DEADLINE_EXCEEDED,
    CallEnd.GONE: grpc.StatusCode.CANCELLED,
    CallEnd.SLOW: grpc.StatusCode.DEADLINE_EXCEEDED,
    CallEnd.CROWDED: grpc.StatusCode.UNAVAILABLE,
    CallEnd.SHUTDOWN: grpc.StatusCode.UNAVAILABLE,
}
_log = structlog.get_logger()


class AsgiServer:
    """Answers the requests of an ASGI server that speaks HTTP/2, with trailers."""

    def __init__(self, *, most_message_bytes: int, most_due_calls: int) -> None:
        """`most_due_calls`: of one address, whose one message has not arrived; see `DueCalls`."""
        self._most_bytes = most_message_bytes
        self._due = DueCalls(most_due_calls)
        self._methods = MethodTable()
        self._open: dict[AsgiContext, RequestReader] = {}
        self._were_open: set[AsgiContext] = set()  # at the last look
        self._look: asyncio.TimerHandle | None = None
        self._is_idle = asyncio.Event()
        self._has_stopped = False

    def add_generic_rpc_handlers(self, handlers: Sequence[grpc.GenericRpcHandler], /) -> None:
        self._methods.add(handlers)

    @property
    def open_calls(self) -> int:
        return len(self._open)

    async def start(self) -> None:
        """Begin to look for callers that have disconnected."""
        self._look_later()

    async def stop(self, grace: float | None, /) -> None:
        """Refuse new calls; cancel those that are open after `grace` seconds; return without any."""
        self._has_stopped = True
        try:
            async with asyncio.timeout(grace or 0.0):
                await self._until_idle()
        except TimeoutError:
            for context in tuple(self._open):
                context.cancel(CallEnd.SHUTDOWN)
            await self._until_idle()
        self._due.stop()
        if self._look is not None:
            self._look.cancel()

    async def answer(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        """Answer one HTTP request; no exception leaves, since its caller would read OK."""
        headers = dict(scope["headers"])
        head = read_head(scope["method"], headers)
        if isinstance(head, NotGrpc):
            await _send_text(send, head)
            return
        timeout_s = None if isinstance(head, Refusal) else head.timeout_s
        loop = asyncio.get_running_loop()
        deadline_s = None if timeout_s is None else loop.time() + timeout_s
        context = AsgiContext(scope["headers"], headers, scope["client"], deadline_s, loop)
        timer = None
        if timeout_s is not None:
            wait_s = min(timeout_s, _LONGEST_TIMER_S)
            timer = loop.call_later(wait_s, context.cancel, CallEnd.DEADLINE)
        try:
            answer = await self._run(scope["raw_path"], head, context, receive, send)
        except BaseException as error:  # noqa: BLE001 - request boundary: each failure gets a status
            answer = None
            _set_status(context, error, scope["path"])
        finally:
            if timer is not None:
                timer.cancel()
        try:
            await _finish(send, context, answer)
        finally:
            self._close(context)

    async def _run(
        self,
        path: bytes,
        head: Head | Refusal,
        context: AsgiContext,
        receive: Receive,
        send: Send,
    ) -> bytes | None:
        """Run the handler; return its answer, or None if it has written a stream."""
        if isinstance(head, Refusal):
            await context.abort(head.code, head.why)
        if head.timeout_s == 0:
            await context.abort(grpc.StatusCode.DEADLINE_EXCEEDED, CallEnd.DEADLINE.value)
        if self._has_stopped:
            await context.abort(grpc.StatusCode.UNAVAILABLE, CallEnd.SHUTDOWN.value)
        method = self._methods.find(path, context)
        if method is None:
            await context.abort(grpc.StatusCode.UNIMPLEMENTED, "Method not found!")  # as gRPC says
        reader = RequestReader(receive, context, head.encoding, self._most_bytes)
        self._open[context] = reader
        if method.takes_stream:
            request: Any = method.messages(reader)
        else:
            request = await self._only_message(reader, context)
        if method.answers_stream:
            await self._stream(method, request, context, send)
            return None
        message = method.written(await method.behaviour(method.read(request), context))
        if len(message) > self._most_bytes:
            refusal = too_large(f"{len(message)} bytes to send", self._most_bytes)
            await context.abort(refusal.code, refusal.why)
        return frame(message)

    async def _only_message(self, reader: RequestReader, context: AsgiContext) -> bytes:
        caller = self._due.enter(context)
        try:
            return await reader.only()
        finally:
            self._due.leave(caller, context)

    async def _stream(self, method: Method, request: Any, context: AsgiContext, send: Send) -> None:
        context.writer = StreamWriter(send, lambda: context.cancel(CallEnd.GONE))
        answers = method.behaviour(method.read(request), context)
        if inspect.isawaitable(answers):  # it writes by itself
            await answers
        else:
            async with aclosing(answers):
                async for each in answers:
                    await context.write(method.written(each))

    def _close(self, context: AsgiContext) -> None:
        self._open.pop(context, None)
        if not self._open:
            self._is_idle.set()

    async def _until_idle(self) -> None:
        while self._open:
            self._is_idle.clear()
            await self._is_idle.wait()

    def _look_later(self) -> None:
        self._look = asyncio.get_running_loop().call_later(_LOOK_EVERY_S, self._look_at_calls)

    def _look_at_calls(self) -> None:
        """End calls that no event would end.

        A caller that sends its one message slowly holds a place of the cap. Of one that has
        disconnected after its last message ASGI tells nothing; but `receive`, which returns at once
        after the last message, then returns that.
        """
        for context, reader in self._open.items():
            if reader.is_due and not reader.has_ended:
                reader.looks += 1
                if reader.looks > _MOST_LOOKS:
                    context.cancel(CallEnd.SLOW)
        waiting = {context for context, reader in self._open.items() if reader.has_ended}
        for context in waiting & self._were_open:
            receiving = asyncio.ensure_future(self._open[context].receive())
            receiving.add_done_callback(_end_if_gone(context))
        self._were_open = waiting
        self._look_later()


def _end_if_gone(context: AsgiContext) -> Callable[[asyncio.Future[dict[str, Any]]], None]:
    def end(received: asyncio.Future[dict[str, Any]]) -> None:
        if not received.cancelled() and received.result()["type"] == "http.disconnect":
            context.cancel(CallEnd.GONE)

    return end


def _set_status(context: AsgiContext, error: BaseException, rpc: str) -> None:
    """Give the call the status of the failure that its handler ended with."""
    if isinstance(error, grpc.aio.AbortError):
        return  # it has its status
    if not isinstance(error, asyncio.CancelledError):
        _log.error("rpc_failed", rpc=rpc, status="INTERNAL", exc_info=error)
        context.set_status(grpc.StatusCode.INTERNAL, "internal error")
        return
    if context.end is None:
        raise error  # the event loop is being closed
    _uncancel()
    context.set_status(_ENDS[context.end], context.end.value)


async def _finish(send: Send, context: AsgiContext, answer: bytes | None) -> None:
    """Send the answer, if any, and the status."""
    try:
        await _send_end(send, context, answer)
    except OSError:  # as ASGI says of a send to a caller that is gone
        pass
    except asyncio.CancelledError:
        if context.end is None:
            raise
        _uncancel()  # the caller does not read: there is no one to send the status to
    except Exception as error:  # noqa: BLE001 - request boundary
        _log.error("rpc_not_answered", exc_info=error)


async def _send_end(send: Send, context: AsgiContext, answer: bytes | None) -> None:
    writer = context.writer
    if writer is not None:
        if context.end is not None:
            writer.abandon()
        await writer.finish()
    status = context.status_headers()
    if answer is not None:
        await _start(send, context.first_metadata())
        await send({"type": "http.response.body", "body": answer})
    elif writer is not None and writer.has_started:
        await send({"type": "http.response.body", "body": b""})
    else:  # headers and trailers in one
        headers = (*START_HEADERS, *_encodings(context), *context.first_metadata(), *status)
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b""})
        return
    await send({"type": "http.response.trailers", "headers": status})


def _start(send: Send, first: Headers) -> Awaitable[Any]:
    if not first:
        return send(_FULL_START)
    return send({**_FULL_START, "headers": (*START_HEADERS, *first)})


def _encodings(context: AsgiContext) -> Headers:
    """Return the encodings that we accept, for a caller that has used another."""
    if context.code() is grpc.StatusCode.UNIMPLEMENTED:
        return ((b"grpc-accept-encoding", ACCEPTED_ENCODINGS),)
    return ()


async def _send_text(send: Send, answer: NotGrpc) -> None:
    headers = ((b"content-type", b"text/plain; charset=utf-8"),)
    try:
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        await send({"type": "http.response.body", "body": answer.text})
    except OSError:  # as ASGI says of a send to a caller that is gone
        pass


def _uncancel() -> None:
    task = asyncio.current_task()
    if task is not None:
        task.uncancel()
