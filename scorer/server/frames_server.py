"""Requests in frames: the same answers as ModelStreamInfer, as soon as each is ready, over a local socket."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import structlog

from understudy.domain.errors import CorruptedError
from understudy.inference.frames import GREETING, LAST_FRAME, FrameReader, frame
from understudy.inference.infer_stream import AnswerRequest
from understudy.runtime.front.grpc_server import MAX_MESSAGE_BYTES
from understudy.runtime.open_requests import OpenBytes, OpenLimits, OpenRequests
from understudy.runtime.transport.local_connections import OwnUserProtocol, listening_at

_log = structlog.get_logger()


class FramesServer:
    """Answers the requests of all connections to one socket."""

    def __init__(
        self,
        answer: AnswerRequest,
        loaded: str,
        *,
        most_connections: int,
        open_requests: OpenLimits,
    ) -> None:
        """`loaded`: the digest of the artifact that this process loaded; `open_requests`: per connection."""
        self._answer = answer
        self._greeting = GREETING + frame(loaded.encode())
        self._most_connections = most_connections
        self._open_requests = open_requests
        self._connections: set[_Connection] = set()
        self._none_is_open = asyncio.Event()
        self._none_is_open.set()
        self._is_ending = False

    @property
    def open_connections(self) -> int:
        return len(self._connections)

    def accept(self) -> "_Connection":
        of_connection = OpenBytes(self._open_requests.most_bytes)
        return _Connection(self, self._answer, OpenRequests(self._open_requests, of_connection))

    def end(self, grace_s: float) -> None:
        """Read no more; answer the requests that were read, at most for `grace_s`, and close."""
        if self._is_ending:
            return
        self._is_ending = True
        for connection in tuple(self._connections):
            connection.end()
        asyncio.get_running_loop().call_later(grace_s, self._abort)

    async def until_none_is_open(self) -> None:
        """Return once no connection is open."""
        await self._none_is_open.wait()

    def opened(self, connection: "_Connection") -> bytes | None:
        """Take a connection; return the bytes to begin with, or None if it is to be closed."""
        if len(self._connections) >= self._most_connections:
            _log.warning("frames_connection_refused", open=len(self._connections))
            return None
        if self._is_ending:
            return None
        self._connections.add(connection)
        self._none_is_open.clear()
        return self._greeting

    def closed(self, connection: "_Connection") -> None:
        self._connections.discard(connection)
        if not self._connections:
            self._none_is_open.set()

    def _abort(self) -> None:
        for connection in tuple(self._connections):
            connection.abort()


@asynccontextmanager
async def serving_frames(path: Path, server: FramesServer) -> AsyncIterator[None]:
    """Serve at a socket until the block is left; then close all connections that are still open.

    Raises:
        UnavailableError: the socket cannot be made.
    """
    async with listening_at(path, server.accept):
        try:
            yield
        finally:
            server.end(0.0)  # unless it was told to end before
            await server.until_none_is_open()


class _Connection(OwnUserProtocol):
    """One connection. It is not read while too much is open or waits, or while its peer does not read.

    One request is taken in each turn of the event loop, so that other connections, calls and health
    checks are served in between.
    """

    def __init__(
        self, server: FramesServer, answer: AnswerRequest, open_requests: OpenRequests
    ) -> None:
        self._server = server
        self._open = open_requests
        self._answer = answer
        self._reader = FrameReader(MAX_MESSAGE_BYTES)
        self._answering: set[asyncio.Task[bytes]] = set()
        self._is_unread = False  # the peer does not read our answers
        self._is_paused = False
        self._is_ending = False
        self._next: asyncio.Handle | None = None  # takes the next request that has arrived

    def connected(self) -> None:
        self._loop = asyncio.get_running_loop()
        greeting = self._server.opened(self)
        if greeting is None:
            self.transport.abort()
        else:
            self.transport.write(greeting)

    def connection_lost(self, _error: Exception | None) -> None:
        self._is_ending = True
        if self._next is not None:
            self._next.cancel()
        for task in self._answering:
            task.cancel()
        self._server.closed(self)

    def data_received(self, received: bytes) -> None:
        self._reader.feed(received)
        if self._next is None:
            self._take_request()
        else:  # what has arrived waits for its turns: small requests would gather without a bound
            self._pause()

    def pause_writing(self) -> None:
        self._is_unread = True

    def resume_writing(self) -> None:
        self._is_unread = False
        self._go_on()

    def end(self) -> None:
        """Read no more, and close once all that was read is answered."""
        self._is_ending = True
        if not self._answering and not self.transport.is_closing():
            self.transport.write(LAST_FRAME)
            self.transport.close()

    def abort(self) -> None:
        self.transport.abort()

    def _take_request(self) -> None:
        self._next = None
        if self._is_ending:
            return
        if self._is_unread or not self._open.has_room:
            self._pause()
            return
        try:
            request = self._reader.next_message()
        except CorruptedError as error:
            _log.warning("frames_connection_ended", why=str(error))
            self.transport.abort()
            return
        if request is not None:
            self._start_answer(request)
        if self._reader.has_more and request is not None:
            self._next = self._loop.call_soon(self._take_request)
        elif self._is_paused:
            self._is_paused = False
            self.transport.resume_reading()

    def _pause(self) -> None:
        self.transport.pause_reading()
        self._is_paused = True

    def _start_answer(self, request: bytes) -> None:
        answer = self._answer(request)
        if isinstance(answer, bytes):
            self.transport.write(frame(answer))
            return
        task = self._loop.create_task(answer)
        self._answering.add(task)
        self._open.enter(len(request))
        task.add_done_callback(partial(self._finish_answer, len(request)))

    def _finish_answer(self, request_bytes: int, task: asyncio.Task[bytes]) -> None:
        self._answering.discard(task)
        self._open.leave(request_bytes)
        if task.cancelled() or self.transport.is_closing():  # the connection was lost
            return
        self.transport.write(frame(task.result()))
        if self._is_ending:
            self.end()
        else:
            self._go_on()

    def _go_on(self) -> None:
        """Take requests again if that was paused."""
        if self._is_paused and self._next is None:
            self._take_request()
