"""The open streams of a service, so that they can end with OK when its process drains."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Protocol

Write = Callable[[bytes], Awaitable[None]]
_LONGEST_ID_TOLD = 64 * 1024  # characters


def id_to_tell(request_id: str) -> str:
    """Return the id to send with a failure; "" for a long one, which might be buffered for long."""
    return request_id if len(request_id) <= _LONGEST_ID_TOLD else ""


class Stream(Protocol):
    """One bidirectional streaming call."""

    async def run(self, requests: AsyncIterator[bytes], write: Write) -> None:
        """Return when reading has ended and every answer is written, or when the call ends."""
        ...

    def stop_reading(self) -> None:
        """Read no more requests: `run` returns once those already read are answered."""
        ...


class OpenStreams:
    """Runs streams until told to end them."""

    def __init__(self) -> None:
        self._streams: set[Stream] = set()
        self._are_ending = False

    async def run(self, stream: Stream, requests: AsyncIterator[bytes], write: Write) -> None:
        if self._are_ending:
            return  # OK without an answer: no request was read
        self._streams.add(stream)
        try:
            await stream.run(requests, write)
        except BaseExceptionGroup as group:
            # Tasks of one call fail for the same reason: mostly that its caller disconnected
            # while an answer was written. gRPC is silent about that, if it notices.
            raise group.exceptions[0] from None
        finally:
            self._streams.discard(stream)

    def end(self) -> None:
        """Let every stream, including future ones, answer the requests it has read and end with OK."""
        self._are_ending = True
        for stream in self._streams:
            stream.stop_reading()
