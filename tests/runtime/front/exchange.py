"""One request to an ASGI application in memory, with the behaviour of pyvoy's events.

After the last part of the body `receive` returns an empty part at once, and the end of the connection
only if it is asked again; a send to a caller that is gone raises an OSError.
"""

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import Any
from urllib.parse import unquote

from understudy.runtime.front.asgi_server import AsgiServer
from understudy.runtime.front.frames import frame

GRPC = {"content-type": "application/grpc", "te": "trailers"}


class Exchange:
    """The events of one request. `sent` are those of its answer."""

    def __init__(
        self, path: str, headers: dict[str, str] | None = None, method: str = "POST"
    ) -> None:
        self.scope: dict[str, Any] = {
            "type": "http",
            "method": method,
            "path": path,
            "raw_path": path.encode("latin-1"),
            "client": ("127.0.0.1", 4711),
            "headers": [
                (name.encode(), value.encode("latin-1"))
                for name, value in (GRPC if headers is None else headers).items()
            ],
        }
        self.sent: list[dict[str, Any]] = []
        self._parts: deque[dict[str, Any]] = deque()
        self._has_parts = asyncio.Event()
        self._has_ended = False
        self._is_gone = False
        self.reads = asyncio.Event()  # set while sends are taken
        self.reads.set()

    def give(self, *parts: bytes, more: bool = False) -> "Exchange":
        """Add parts of the body; the last one ends it unless there are `more`."""
        for place, part in enumerate(parts, 1):
            is_last = place == len(parts) and not more
            self._parts.append({"type": "http.request", "body": part, "more_body": not is_last})
        self._has_parts.set()
        return self

    def disconnect(self) -> None:
        self._is_gone = True
        self._has_parts.set()

    async def receive(self) -> dict[str, Any]:
        while not (self._parts or self._has_ended or self._is_gone):
            self._has_parts.clear()
            await self._has_parts.wait()
        if self._is_gone:
            return {"type": "http.disconnect"}
        if not self._parts:
            return {"type": "http.request", "body": b"", "more_body": False}
        part = self._parts.popleft()
        self._has_ended = not part["more_body"]
        return part

    async def send(self, event: dict[str, Any]) -> None:
        if self._is_gone:
            raise OSError("the caller has disconnected")
        if event.get("more_body"):
            await self.reads.wait()
        self.sent.append(event)

    async def answered_by(self, server: AsgiServer) -> "Exchange":
        await server.answer(self.scope, self.receive, self.send)
        return self

    @property
    def status(self) -> int:
        """Return the HTTP status."""
        status: int = self.sent[0]["status"]
        return status

    @property
    def headers(self) -> dict[str, str]:
        """Return the headers and trailers of the answer."""
        both = (pair for event in self.sent for pair in event.get("headers", ()))
        return {name.decode(): value.decode() for name, value in both}

    @property
    def body(self) -> bytes:
        return b"".join(event.get("body", b"") for event in self.sent)

    @property
    def grpc_status(self) -> tuple[int, str]:
        return int(self.headers["grpc-status"]), unquote(self.headers.get("grpc-message", ""))


def asked(path: str, messages: Sequence[bytes] = (b"",), **headers: str) -> Exchange:
    """Return a whole request; underscores in `headers` are hyphens."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Exchange(path, {**GRPC, **named}).give(b"".join(map(frame, messages)))
