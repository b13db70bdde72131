"""A second attempt of a slow call, while the first one continues; the earlier answer counts.

gRPC's service configuration has a hedging policy, but grpc-core does not carry it out.
"""

import asyncio
import queue
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Any

import grpc


def hedged(method: Any, after_s: float) -> Callable[..., Any]:
    """Return a method that calls `method` once more if there is no answer after `after_s`."""

    def call(request: object, *, timeout: float, **options: Any) -> Any:
        until_s = time.monotonic() + timeout
        ended: queue.SimpleQueue[Any] = queue.SimpleQueue()
        calls: list[Any] = []

        def begin(left_s: float) -> None:
            calls.append(method.future(request, timeout=left_s, **options))
            calls[-1].add_done_callback(ended.put)

        begin(timeout)
        try:
            with suppress(queue.Empty):
                return ended.get(timeout=after_s).result()
            begin(until_s - time.monotonic())
            earlier = ended.get()  # each of the two ends by its deadline
            is_answer = earlier.code() is grpc.StatusCode.OK
            return earlier.result() if is_answer else ended.get().result()
        finally:
            for each in calls:
                each.cancel()

    return call


def hedged_async(method: Callable[..., Awaitable[Any]], after_s: float) -> Callable[..., Any]:
    """Return a method that does the same without blocking the event loop."""

    async def call(request: object, *, timeout: float, **options: Any) -> Any:  # noqa: ASYNC109 - the deadline of the calls, as gRPC names it
        until_s = time.monotonic() + timeout
        calls = [asyncio.ensure_future(method(request, timeout=timeout, **options))]
        try:
            if not (await asyncio.wait(calls, timeout=after_s))[0]:
                left_s = until_s - time.monotonic()
                calls.append(asyncio.ensure_future(method(request, timeout=left_s, **options)))
            return await _first_answer(calls)
        finally:
            for each in calls:
                each.cancel()
            await asyncio.wait(calls)

    return call


async def _first_answer(calls: Sequence[asyncio.Future[Any]]) -> Any:
    """Return the first answer, or raise the last failure."""
    waiting = set(calls)
    while True:
        ended, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        answers = [each for each in ended if not each.cancelled() and each.exception() is None]
        if answers or not waiting:
            return (answers or list(ended))[0].result()
