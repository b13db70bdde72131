"""A receiver of webhooks: a real HTTP server that keeps what it is sent."""

import asyncio
import json
import ssl
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

HANG_UP = 0  # instead of a status: the connection ends without an answer


@dataclass
class Received:
    headers: dict[str, str]
    body: bytes

    @property
    def type(self) -> str:
        return str(json.loads(self.body)["type"])

    @property
    def data(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.body)["data"]
        return found


@dataclass
class WebhookReceiver:
    port: int = 0
    received: list[Received] = field(default_factory=list)
    answers: deque[int] = field(default_factory=deque)  # the next statuses; then 204

    @property
    def ids(self) -> list[str]:
        return [each.headers["webhook-id"] for each in self.received]

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
            headers = {
                name.lower(): value.strip()
                for name, _, value in (line.partition(":") for line in head[1:] if line)
            }
            body = await reader.readexactly(int(headers["content-length"]))
            self.received.append(Received(headers, body))
            status = self.answers.popleft() if self.answers else 204
            if status != HANG_UP:
                moved = f"Location: http://127.0.0.1:{self.port}/else\r\n"
                writer.write(f"HTTP/1.1 {status} Words\r\n{moved}\r\n".encode())
                await writer.drain()
        except (asyncio.IncompleteReadError, OSError):
            pass  # a caller that does not trust us
        finally:
            writer.close()


@asynccontextmanager
async def receiving(
    receiver: WebhookReceiver, context: ssl.SSLContext | None = None
) -> AsyncIterator[None]:
    """Serve at the port of before, if there was one."""
    server = await asyncio.start_server(receiver.answer, "127.0.0.1", receiver.port, ssl=context)
    receiver.port = server.sockets[0].getsockname()[1]
    async with server:
        yield
