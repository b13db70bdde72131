"""A process inside Envoy: the ASGI application, whose life is that of the process.

Envoy calls it on the thread of the event loop; Envoy's own thread waits for the end of the start.
"""

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import structlog

from understudy.runtime.exit_codes import FAILED, OK, UNAVAILABLE
from understudy.runtime.front.asgi_server import AsgiServer
from understudy.runtime.front.embedding import Embedding, embedded
from understudy.runtime.front.envoy_admin import EnvoyAdmin
from understudy.runtime.front.envoy_server import EnvoyServer
from understudy.runtime.front.requests import Receive
from understudy.runtime.front.stream_writer import Send

# Of the most bytes of a message, and the most calls of one address whose message has not arrived.
OpenServer = Callable[[int, int], EnvoyServer]
Main = Callable[[Embedding, OpenServer], Awaitable[int]]
_log = structlog.get_logger()


class EmbeddedProcess:
    """Runs `main` inside Envoy; its exit code is that of the process."""

    _asgi_single_callable = True  # for pyvoy: this returns a coroutine and is none

    def __init__(self, main: Main) -> None:
        """`main`: serves with the one server that it opens, and returns the exit code."""
        self._main = main
        self._calls: AsgiServer | None = None

    def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> Awaitable[None]:
        if scope["type"] == "http" and self._calls is not None:
            return self._calls.answer(scope, receive, send)
        return self._live(receive, send)

    async def _live(self, receive: Receive, send: Send) -> None:
        """Follow ASGI's lifespan protocol: no call arrives before the start is complete."""
        await receive()
        embedding = _take_over()
        admin = EnvoyAdmin(embedding.admin_socket)
        may_listen = asyncio.Event()

        def open_server(most_message_bytes: int, most_due_calls: int) -> EnvoyServer:
            self._calls = AsgiServer(
                most_message_bytes=most_message_bytes, most_due_calls=most_due_calls
            )
            return EnvoyServer(self._calls, admin, may_listen.set)

        running = asyncio.ensure_future(self._run(embedding, open_server))
        listening = asyncio.ensure_future(may_listen.wait())
        await asyncio.wait({running, listening}, return_when=asyncio.FIRST_COMPLETED)
        if running.done():  # before Envoy listens: it would only report a failed start
            _end(embedding, running.result())
        await send({"type": "lifespan.startup.complete"})
        shutdown = asyncio.ensure_future(receive())
        await asyncio.wait({running, shutdown}, return_when=asyncio.FIRST_COMPLETED)
        if not running.done():  # Envoy ends by itself, and has logged why: the port is in use, say
            running.cancel()
            await asyncio.wait({running})
            _end(embedding, UNAVAILABLE)
        if running.result() != OK:
            _end(embedding, running.result())
        await admin.quit()
        await shutdown
        _remove_socket(embedding)
        await send({"type": "lifespan.shutdown.complete"})

    async def _run(self, embedding: Embedding, open_server: OpenServer) -> int:
        try:
            return await self._main(embedding, open_server)
        except Exception as error:  # noqa: BLE001 - boundary of the process
            _log.error("process_failed", exc_info=error)
            return FAILED


def _take_over() -> Embedding:
    """Undo in this process what Envoy needed to load the interpreter."""
    embedding = embedded(os.environ)
    os.chdir(embedding.folder)
    sys.executable = embedding.executable
    while "." in sys.path:  # pyvoy's: this process imports nothing from the working directory
        sys.path.remove(".")
    return embedding


def _remove_socket(embedding: Embedding) -> None:
    """Remove Envoy's admin socket, which it leaves behind."""
    Path(embedding.admin_socket).unlink(missing_ok=True)


def _end(embedding: Embedding, exit_code: int) -> None:
    """End the process at once: Envoy would end it with an exit code of its own."""
    _remove_socket(embedding)
    sys.stdout.flush()
    os._exit(exit_code)
