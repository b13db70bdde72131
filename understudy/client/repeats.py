"""Repetition of calls that a full server refused, for both clients.

gRPC's own retry policy decides by status alone. But RESOURCE_EXHAUSTED has two meanings: a full
server, which gives a time to retry, and a message above the server's limit, which never shrinks.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import grpc

from understudy.client.error_details import details_of

MOST_ATTEMPTS = 5

RequestT = TypeVar("RequestT")
AnswerT = TypeVar("AnswerT")


def call_repeatedly(
    call: Callable[..., AnswerT], request: RequestT, timeout_s: float, **options: Any
) -> AnswerT:
    """Return the answer; a refused call is repeated if the server allows it.

    Raises:
        grpc.RpcError: the last failure.
    """
    attempts = _Attempts(timeout_s)
    while True:
        try:
            return call(request, timeout=attempts.remaining_s, **options)
        except grpc.RpcError as error:
            wait_s = attempts.wait_before_next_s(error)
            if wait_s is None:
                raise
        time.sleep(wait_s)  # a blocking call waits in its caller's thread, within its deadline


async def call_repeatedly_async(
    call: Callable[..., Awaitable[AnswerT]], request: RequestT, timeout_s: float, **options: Any
) -> AnswerT:
    """Do the same without blocking the event loop."""
    attempts = _Attempts(timeout_s)
    while True:
        try:
            return await call(request, timeout=attempts.remaining_s, **options)
        except grpc.RpcError as error:
            wait_s = attempts.wait_before_next_s(error)
            if wait_s is None:
                raise
        await asyncio.sleep(wait_s)


class _Attempts:
    """The attempts of one call: a limited number, all within its deadline."""

    __slots__ = ("_left", "_until_s")

    def __init__(self, timeout_s: float) -> None:
        self._left = MOST_ATTEMPTS
        self._until_s = time.monotonic() + timeout_s

    @property
    def remaining_s(self) -> float:
        return self._until_s - time.monotonic()

    def wait_before_next_s(self, error: grpc.RpcError) -> float | None:
        """Return how long to wait after `error`, or None if it is final."""
        self._left -= 1
        if not self._left or error.code() is not grpc.StatusCode.RESOURCE_EXHAUSTED:
            return None
        wait_s = details_of(error).retry_after_s
        return wait_s if wait_s is not None and wait_s < self.remaining_s else None
