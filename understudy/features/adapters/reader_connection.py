"""The connection to a reader process: requests by number, answers in any order."""

import asyncio
from collections.abc import Callable, Sequence
from typing import cast

from understudy.domain.errors import UnavailableError
from understudy.features.adapters.reader_wire import HEAD, Asked, Told, request
from understudy.features.ports import ViewRead

_MOST_UNSENT_BYTES = 16 << 20  # a reader that does not take requests is not sent more
_ENDED = "its reader has ended"
_MOST_UNANSWERED = 1_000  # requests, whether still waited for or not


class ReaderEndedError(UnavailableError):
    """The reader ended before it answered."""


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
        self._reads: dict[int, Sequence[ViewRead]] = {}
        self._number = 0

    def unanswered_reads(self) -> list[Sequence[ViewRead]]:
        """Return the reads without an answer so far, also those that are no longer waited for."""
        return list(self._reads.values())

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        received = self._received
        if not received and len(data) >= HEAD.size:  # usually one whole answer: copied once
            length, number, kind = HEAD.unpack_from(data)
            if len(data) == HEAD.size + length:
                self._answered(Told(kind), number, data[HEAD.size :])
                return
        received += data
        start = 0
        while len(received) - start >= HEAD.size:
            length, number, kind = HEAD.unpack_from(received, start)
            end = start + HEAD.size + length
            if len(received) < end:
                break
            body = bytes(memoryview(received)[start + HEAD.size : end])
            self._answered(Told(kind), number, body)
            start = end
        del received[:start]

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - the reader's exit says more
        self._transport = None
        for waiting in self._waiting.values():
            if not waiting.done():
                waiting.set_exception(ReaderEndedError(self._dependency, _ENDED))
        self._waiting.clear()
        self._lost()

    def send(self, kind: Asked, value: object) -> None:
        """Send a request that has no answer."""
        self._write(request(kind, 0, value))

    async def ask(
        self,
        kind: Asked,
        value: object,
        *,
        timeout_s: float,
        reads: Sequence[ViewRead] | None = None,
    ) -> bytes:
        """Return the body of the answer.

        `reads`: the reads that the request asks for, kept until it is answered.

        Raises:
            ReaderEndedError: the reader has ended.
            UnavailableError: the reader was not in time, or says that its store is unavailable.
        """
        self._number = number = (self._number + 1) & 0xFFFFFFFF
        loop = asyncio.get_running_loop()
        waiting: asyncio.Future[tuple[Told, bytes]] = loop.create_future()
        self._waiting[number] = waiting
        # A sixth of the cost of `asyncio.timeout`, in each batch of a router.
        limit = loop.call_later(timeout_s, _pass_limit, waiting)
        try:
            self._write(request(kind, number, value))
            if reads is not None:
                self._reads[number] = reads
            told, body = await waiting
        except TimeoutError as error:
            why = f"no answer within {timeout_s * 1000:.0f} ms"
            raise UnavailableError(self._dependency, why) from error
        finally:
            limit.cancel()
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
            raise ReaderEndedError(self._dependency, _ENDED)
        if len(self._reads) > _MOST_UNANSWERED:
            raise UnavailableError(self._dependency, "its reader does not answer")
        if self._transport.get_write_buffer_size() > _MOST_UNSENT_BYTES:
            raise UnavailableError(self._dependency, "its reader takes no requests")
        self._transport.write(frame)

    def _answered(self, told: Told, number: int, body: bytes) -> None:
        if told is Told.UNUSABLE or number == 0:
            self._tell(told, body)
        self._reads.pop(number, None)
        waiting = self._waiting.pop(number, None)
        if waiting is not None and not waiting.done():  # otherwise its limit has passed
            waiting.set_result((told, body))


def _pass_limit(waiting: "asyncio.Future[tuple[Told, bytes]]") -> None:
    if not waiting.done():
        waiting.set_exception(TimeoutError())
