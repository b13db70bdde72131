"""A score stream for asyncio, over as many calls as necessary; see `unanswered`."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Callable, Iterable
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from typing import Any

import grpc

from understudy.client.answers import StreamAnswer
from understudy.client.channels import Metadata
from understudy.client.unanswered import NewRequestId, Patience, Unanswered, with_id
from understudy.scoring.v1 import scoring_pb2 as pb


class AsyncioStream:
    """The requests of one stream, for one event loop."""

    def __init__(
        self,
        requests: AsyncIterable[pb.ScoreRequest] | Iterable[pb.ScoreRequest],
        new_request_id: NewRequestId,
    ) -> None:
        self._requests = requests
        self._new_request_id = new_request_id
        self._unanswered = Unanswered()
        self._taken: asyncio.Queue[pb.ScoreRequest | None] = asyncio.Queue(1)  # None: the end
        self._is_exhausted = False
        self._failure: Exception | None = None  # raised by the caller's iterator

    async def answers(
        self,
        connected: Callable[[], AbstractAsyncContextManager[Any]],
        timeout_s: float | None,
        metadata: Metadata,
    ) -> AsyncGenerator[StreamAnswer, None]:
        """Yield each answer, like `ThreadedStream.answers`."""
        patience = Patience(timeout_s)
        taking = asyncio.ensure_future(self._take())
        try:
            while True:
                error: grpc.RpcError | None = None
                held = AsyncExitStack()
                stub = await held.enter_async_context(connected())
                call = stub.ScoreStream(timeout=patience.left_s(), metadata=metadata)
                sending = asyncio.ensure_future(self._send(call))
                try:
                    async for answer in call:
                        if self._unanswered.remove(answer.request_id):
                            patience.has_progress = True
                            yield StreamAnswer(answer)
                        else:
                            patience.last_stray = answer.error
                except grpc.RpcError as caught:
                    error = caught
                finally:
                    call.cancel()
                    await _ended(sending)
                    await held.aclose()
                if self._is_exhausted and not self._unanswered:
                    break
                pause_s = patience.after_call(error, is_awaiting=bool(self._unanswered))
                await asyncio.sleep(pause_s)
        finally:
            await _ended(taking)
        if self._failure is not None:
            raise self._failure

    async def _take(self) -> None:
        """Read the caller's requests, one ahead of sending; the end of a call does not affect it."""
        try:
            async for request in _asynchronous(self._requests):
                await self._taken.put(with_id(request, self._new_request_id))
        except Exception as error:  # noqa: BLE001 - raised to the caller once all requests are answered
            self._failure = error
        await self._taken.put(None)

    async def _send(self, call: Any) -> None:
        """Send unanswered requests, then new ones. The reader of answers sees how the call ends."""
        try:
            for request in self._unanswered.in_order():
                await call.write(pb.ScoreStreamRequest(request=request))
            while not self._is_exhausted:
                taken = await self._taken.get()
                if taken is None:
                    self._is_exhausted = True
                else:
                    await call.write(pb.ScoreStreamRequest(request=self._unanswered.add(taken)))
            await call.done_writing()
        except Exception:  # noqa: BLE001 - the call has ended, which grpc.aio reports in many ways
            return


async def _asynchronous(
    requests: AsyncIterable[pb.ScoreRequest] | Iterable[pb.ScoreRequest],
) -> AsyncIterator[pb.ScoreRequest]:
    if isinstance(requests, AsyncIterable):
        async for request in requests:
            yield request
    else:
        for request in requests:
            yield request


async def _ended(task: asyncio.Future[None]) -> None:
    task.cancel()
    await asyncio.wait([task])
