"""Repetition of calls that a full server refused, for both clients.

gRPC's own retry policy decides by status alone. But RESOURCE_EXHAUSTED has two meanings: a full
server, which gives a time to retry, and a message above the server's limit, which never shrinks.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import grpc

MOST_ATTEMPTS = 5
_PUSHBACK_KEY = "grpc-retry-pushback-ms"

RequestT = TypeVar("RequestT")
AnswerT = TypeVar("AnswerT")


def call_repeatedly(call: Callable[..., AnswerT], request: RequestT, timeout_s: float) -> AnswerT:
    """Return the answer; a refused call is repeated if the server allows it.

    Raises:
        grpc.RpcError: the last failure.
    """
    attempts = _Attempts(timeout_s)
    while True:
        try:
            return call(request, timeout=attempts.remaining_s)
        except grpc.RpcError as error:
            wait_s = attempts.wait_before_next_s(error)
            if wait_s is None:
                raise
        time.sleep(wait_s)  # a blocking call waits in its caller's thread, within its deadline


async def call_repeatedly_async(
    call: Callable[..., Awaitable[AnswerT]], request: RequestT, timeout_s: float
) -> AnswerT:
    """Do the same without blocking the event loop."""
    attempts = _Attempts(timeout_s)
    while True:
        try:
            return await call(request, timeout=attempts.remaining_s)
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
        wait_s = _pushback_s(error)
        return wait_s if wait_s is not None and wait_s < self.remaining_s else None


def _pushback_s(error: grpc.RpcError) -> float | None:
    """Return when the server wants to be called again, or None if it gives no time or refuses."""
    trailers: Any = error.trailing_metadata()  # its type differs between the two kinds of client
    said = dict(trailers or ()).get(_PUSHBACK_KEY)
    try:
        pushback_ms = int(said) if said is not None else -1
    except ValueError:  # by gRPC's rules an unreadable value means never
        return None
    return pushback_ms / 1000 if pushback_ms >= 0 else None
