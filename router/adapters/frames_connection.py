"""One connection to the frames of a scorer: any number of requests at once, told apart by their ids."""

import asyncio
from collections.abc import Callable
from typing import Any

from router.adapters.oip_messages import NotTakenError, read_answer
from understudy.domain.errors import CorruptedError, UnavailableError
from understudy.inference.frames import GREETING, FrameReader
from understudy.oip import inference_pb2 as oip
from understudy.runtime.front.grpc_server import MAX_MESSAGE_BYTES
from understudy.runtime.transport.local_connections import OwnUserProtocol

MakeError = Callable[[], Exception]

_MOST_FORGOTTEN = 256  # requests given up, and not answered since


class FramesConnection(OwnUserProtocol):
    """Sends requests and returns their answers.

    An answer to a request that was given up is dropped. An answer to none, or to a request that has
    its answer, ends the connection: later ones could not be trusted either.
    """

    def __init__(self, address: str) -> None:
        self.proven: str | None = None  # the digest that `loaded` returns, once it is here
        self._dependency = f"scorer {address}"
        self._loop = asyncio.get_running_loop()
        self._reader = FrameReader(MAX_MESSAGE_BYTES)
        self._loaded: asyncio.Future[str] = self._loop.create_future()
        self._waiting: dict[str, asyncio.Future[oip.ModelStreamInferResponse]] = {}
        self._forgotten: set[str] = set()
        self._may_write = asyncio.Event()
        self._may_write.set()
        self._failure: MakeError | None = None  # of requests, once the connection has ended
        self._is_replaced = False

    @property
    def is_open(self) -> bool:
        return self._failure is None

    async def loaded(self) -> str:
        """Return the digest of the artifact that the process loaded, before it gets a request.

        Raises:
            UnavailableError: the connection has ended without it.
            CorruptedError: the other side does not send frames of our version.
        """
        return await asyncio.shield(self._loaded)

    async def ask(self, request_id: str, request: bytes) -> oip.ModelStreamInferResponse:
        """Return the answer to a request in its frame.

        Raises:
            NotTakenError: it was not sent, or the scorer has said that it did not read it.
            UnavailableError: there is no answer, and the scorer may have run the request.
            CorruptedError: the scorer sent something else than answers.
        """
        while self.is_open and not self._may_write.is_set():
            await self._may_write.wait()
        if not self.is_open:
            raise NotTakenError(self._dependency, "its connection has ended")
        answer: asyncio.Future[oip.ModelStreamInferResponse] = self._loop.create_future()
        self._waiting[request_id] = answer
        self.transport.write(request)
        try:
            return await answer
        except asyncio.CancelledError:
            self._forget(request_id)
            raise

    def replace(self) -> None:
        """Close once the requests that wait have their answers."""
        self._is_replaced = True
        if not self._waiting:
            self.close()

    def close(self) -> None:
        self._end(lambda: UnavailableError(self._dependency, "its connection was closed"))

    def connected(self) -> None:
        self.transport.write(GREETING)

    def connection_lost(self, error: Exception | None) -> None:
        why = f"its connection was lost ({error or 'closed'})"
        self._end(lambda: UnavailableError(self._dependency, why))

    def data_received(self, received: bytes) -> None:
        self._reader.feed(received)
        try:
            while self._failure is None and (message := self._reader.next_message()) is not None:
                self._take(message)
        except CorruptedError as error:
            why = str(error)
            self._end(lambda: CorruptedError(why))

    def pause_writing(self) -> None:
        self._may_write.clear()

    def resume_writing(self) -> None:
        self._may_write.set()

    def _take(self, message: bytes) -> None:
        if not self._loaded.done():
            self.proven = message.decode(errors="replace")
            self._loaded.set_result(self.proven)
        elif message:
            self._take_answer(message)
        else:  # requests that wait were not read
            self._end(lambda: NotTakenError(self._dependency, "it has ended the connection"))

    def _take_answer(self, message: bytes) -> None:
        answer = read_answer(message)
        if answer is None:
            raise CorruptedError(f"{self._dependency}: {len(message)} bytes that are no answer")
        request_id = answer.infer_response.id
        waiting = self._waiting.pop(request_id, None)
        if waiting is not None:
            if not waiting.done():  # otherwise it was cancelled in this turn of the loop
                waiting.set_result(answer)
            if self._is_replaced and not self._waiting:
                self.close()
        elif request_id in self._forgotten:
            self._forgotten.remove(request_id)
        else:
            raise CorruptedError(f"answer of {self._dependency} does not match its request")

    def _forget(self, request_id: str) -> None:
        if self._waiting.pop(request_id, None) is None:
            return  # it was answered, or the connection has ended
        self._forgotten.add(request_id)
        if len(self._forgotten) > _MOST_FORGOTTEN:
            self._end(lambda: UnavailableError(self._dependency, "it answers no request"))
        elif self._is_replaced and not self._waiting:
            self.close()

    def _end(self, failure: MakeError) -> None:
        """End the connection, and fail the requests that wait."""
        if self._failure is not None:
            return
        self._failure = failure
        self._may_write.set()
        self.transport.abort()
        waiting: list[asyncio.Future[Any]] = [self._loaded, *self._waiting.values()]
        self._waiting.clear()
        for each in waiting:
            if not each.done():
                each.set_exception(failure())
                each.exception()  # it may have no one who waits
