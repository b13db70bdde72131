"""The connection to a reader process: requests by number, answers in any order."""

import asyncio
from collections.abc import Callable
from typing import cast

from understudy.domain.errors import UnavailableError
from understudy.features.adapters.reader_wire import HEAD, Asked, Told, request

_MOST_UNSENT_BYTES = 16 << 20  # a reader that does not take requests is not sent more


class ReaderConnection(asyncio.Protocol):
    """`tell` receives each answer that belongs to no request; `lost` is called at the end."""

    def __init__(
        self,
        dependency: str,
        *,
        tell: Callable[[Told, bytes], None],
        lost: Callable[[], None],
    ) -> None:
        self._dependency = dependency
        self._tell = tell
        self._lost = lost
        self._transport: asyncio.Transport | None = None
        self._received = bytearray()
        self._waiting: dict[int, asyncio.Future[tuple[Told, bytes]]] = {}
        self._number = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        received = self._received
        received += data
        start = 0
        while len(received) - start >= HEAD.size:
            length, number, kind = HEAD.unpack_from(received, start)
            end = start + HEAD.size + length
            if len(received) < end:
                break
            self._answered(Told(kind), number, bytes(received[start + HEAD.size : end]))
            start = end
        del received[:start]

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - the reader's exit says more
        self._transport = None
        for waiting in self._waiting.values():
            if not waiting.done():
                waiting.set_exception(UnavailableError(self._dependency, "its reader has ended"))
        self._waiting.clear()
        self._lost()

    def send(self, kind: Asked, value: object) -> None:
        """Send a request that has no answer."""
        self._write(request(kind, 0, value))

    async def ask(self, kind: Asked, value: object, *, timeout_s: float) -> bytes:
        """Return the body of the answer.

        Raises:
            UnavailableError: the reader has ended, was not in time, or says that its store is.
        """
        self._number = number = (self._number + 1) & 0xFFFFFFFF
        waiting: asyncio.Future[tuple[Told, bytes]] = asyncio.get_running_loop().create_future()
        self._waiting[number] = waiting
        try:
            self._write(request(kind, number, value))
            async with asyncio.timeout(timeout_s):
                told, body = await waiting
        except TimeoutError as error:
            why = f"no answer within {timeout_s * 1000:.0f} ms"
            raise UnavailableError(self._dependency, why) from error
        finally:
            self._waiting.pop(number, None)
        if told in {Told.RECORDS, Told.CONDITION}:
            return body
        if told is Told.FAILED:
            self._tell(told, body)
            raise UnavailableError(self._dependency, "its reader failed")
        raise UnavailableError(self._dependency, body.decode(errors="replace"))

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def _write(self, frame: bytes) -> None:
        if self._transport is None:
            raise UnavailableError(self._dependency, "its reader has ended")
        if self._transport.get_write_buffer_size() > _MOST_UNSENT_BYTES:
            raise UnavailableError(self._dependency, "its reader takes no requests")
        self._transport.write(frame)

    def _answered(self, told: Told, number: int, body: bytes) -> None:
        if told is Told.UNUSABLE or number == 0:
            self._tell(told, body)
        waiting = self._waiting.pop(number, None)
        if waiting is not None and not waiting.done():  # otherwise its limit has passed
            waiting.set_result((told, body))
