"""The answers of one stream. Those of one turn of the event loop leave in one piece.

A piece costs a hand-over to another thread; joined, a small answer costs a fifth of that.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from understudy.runtime.front.frames import HEADER_BYTES, joined_frames

Headers = tuple[tuple[bytes, bytes], ...]
Send = Callable[[dict[str, Any]], Awaitable[Any]]

START_HEADERS: Headers = ((b"content-type", b"application/grpc"),)
_MOST_WAITING_BYTES = 64 * 1024  # a writer waits while more are unsent


class StreamWriter:
    """Writes messages in order. A send that fails means that the caller has disconnected."""

    def __init__(self, send: Send, on_gone: Callable[[], None]) -> None:
        self.has_started = False  # then headers are sent, and a status must be in trailers
        self._send = send
        self._on_gone = on_gone
        self._first: Headers = ()
        self._waiting: list[bytes] = []
        self._waiting_bytes = 0
        self._has_room = asyncio.Event()
        self._has_room.set()
        self._sending: asyncio.Future[None] | None = None

    async def write(self, message: bytes) -> None:
        """Queue a message; return once at most 64 KiB are waiting to be sent.

        Raises:
            TypeError: `message` is no bytes.
        """
        if not isinstance(message, bytes):
            raise TypeError(f"write: read {type(message).__name__}; accepted: bytes")
        self._waiting.append(message)
        self._waiting_bytes += HEADER_BYTES + len(message)
        self._begin_sending()
        if self._waiting_bytes > _MOST_WAITING_BYTES:
            self._has_room.clear()
            await self._has_room.wait()

    def start(self, first: Headers) -> None:
        """Send the headers, with initial metadata."""
        self._first = first
        self._begin_sending()

    async def finish(self) -> None:
        """Wait until everything written is sent."""
        if self._sending is not None:
            await self._sending

    def abandon(self) -> None:
        """Send no more of what is written: the call has another end."""
        self._waiting.clear()
        if self._sending is not None:
            self._sending.cancel()
            self._sending = None

    def _begin_sending(self) -> None:
        if self._sending is None or self._sending.done():
            self._sending = asyncio.ensure_future(self._send_waiting())

    async def _send_waiting(self) -> None:
        try:
            if not self.has_started:
                self.has_started = True
                headers = (*START_HEADERS, *self._first)
                await self._send(
                    {
                        "type": "http.response.start",
                        "status": 200,
                        "headers": headers,
                        "trailers": True,
                    }
                )
                if not self._waiting:
                    await self._send_body(b"")
            while self._waiting:
                messages, self._waiting, self._waiting_bytes = self._waiting, [], 0
                self._has_room.set()
                await self._send_body(joined_frames(messages))
        except OSError:  # as ASGI says of a send to a caller that is gone
            self._waiting.clear()
            self._on_gone()

    async def _send_body(self, body: bytes) -> None:
        await self._send({"type": "http.response.body", "body": body, "more_body": True})
