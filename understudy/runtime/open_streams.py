"""The streams that a service has open, so that they can end with OK when its process drains."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Protocol

Write = Callable[[bytes], Awaitable[None]]
_LONGEST_ID_TOLD = 64 * 1024  # characters


def id_to_tell(request_id: str) -> str:
    """Return the id to send with a failure; "" for a long one: it waits for who may not read."""
    return request_id if len(request_id) <= _LONGEST_ID_TOLD else ""


class Stream(Protocol):
    """One call that is a stream both ways."""

    async def run(self, requests: AsyncIterator[bytes], write: Write) -> None:
        """Return when reading has ended and every answer is written, or when the call ends."""
        ...

    def stop_reading(self) -> None:
        """Take no more requests: `run` returns once those taken are answered."""
        ...


class OpenStreams:
    """Runs streams until told to end them."""

    def __init__(self) -> None:
        self._streams: set[Stream] = set()
        self._are_ending = False

    async def run(self, stream: Stream, requests: AsyncIterator[bytes], write: Write) -> None:
        if self._are_ending:
            return  # OK without an answer: nothing was taken
        self._streams.add(stream)
        try:
            await stream.run(requests, write)
        except BaseExceptionGroup as group:
            # Tasks of one call that fail, fail for the same reason: mostly that its caller has gone
            # while it was written to. gRPC is quiet about that, when it sees it.
            raise group.exceptions[0] from None
        finally:
            self._streams.discard(stream)

    def end(self) -> None:
        """Let every stream, also those to come, answer what it took and end with OK."""
        self._are_ending = True
        for stream in self._streams:
            stream.stop_reading()
