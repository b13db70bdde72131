"""The open streams of a service: a limited number, which end with OK when their process drains."""

from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol
from weakref import WeakValueDictionary

from understudy.domain.errors import OverloadedError
from understudy.runtime.open_requests import OpenBytes, OpenLimits, OpenRequests
from understudy.runtime.stream_turns import StreamTurns

Write = Callable[[bytes], Awaitable[None]]
MOST_ID_CHARACTERS = 256  # of a request id; longer ones are refused, and not echoed
MOST_MESSAGES_AT_ONCE = 2  # of all streams, in a turn of the event loop
_RETRY_AFTER_MS = 1_000


def id_to_tell(request_id: str) -> str:
    """Return the id to send with a failure; "" for a long one, which is no id that we accept."""
    return request_id if len(request_id) <= MOST_ID_CHARACTERS else ""


class Stream(Protocol):
    """One bidirectional streaming call."""

    async def run(self, requests: AsyncIterator[bytes], write: Write) -> None:
        """Return when reading has ended and every answer is written, or when the call ends."""
        ...

    def stop_reading(self) -> None:
        """Read no more requests: `run` returns once those already read are answered."""
        ...


@dataclass(frozen=True, slots=True)
class StreamLimits:
    most: int
    most_per_caller: int  # per address, until callers prove an identity
    open_per_stream: OpenLimits
    most_bytes_per_caller: int  # open in all of its streams


class OpenStreams:
    """Runs streams until told to end them."""

    def __init__(self, limits: StreamLimits) -> None:
        self._limits = limits
        self._streams: set[Stream] = set()
        self._by_caller: Counter[str] = Counter()
        # Gone with the last stream that has it.
        self._open_bytes: WeakValueDictionary[str, OpenBytes] = WeakValueDictionary()
        self._turns = StreamTurns(MOST_MESSAGES_AT_ONCE)
        self._are_ending = False

    async def run(
        self, stream: Stream, requests: AsyncIterator[bytes], write: Write, *, caller: str
    ) -> None:
        """Run one stream of `caller`.

        Raises:
            OverloadedError: too many are open, of this caller or together.
        """
        if self._are_ending:
            return  # OK without an answer: no request was read
        self._check_room(caller)
        self._streams.add(stream)
        self._by_caller[caller] += 1
        try:
            await stream.run(self._turns.taking(requests), write)
        except BaseExceptionGroup as group:
            # Tasks of one call fail for the same reason: mostly that its caller disconnected
            # while an answer was written. gRPC is silent about that, if it notices.
            raise group.exceptions[0] from None
        finally:
            self._streams.discard(stream)
            self._by_caller[caller] -= 1
            if not self._by_caller[caller]:
                del self._by_caller[caller]

    def open_requests_of(self, caller: str) -> OpenRequests:
        """Return the count of the requests that a new stream of `caller` will have open."""
        of_caller = self._open_bytes.get(caller)
        if of_caller is None:
            of_caller = OpenBytes(self._limits.most_bytes_per_caller)
            self._open_bytes[caller] = of_caller
        return OpenRequests(self._limits.open_per_stream, of_caller)

    def end(self) -> None:
        """Let every stream, including future ones, answer the requests it has read and end with OK."""
        self._are_ending = True
        for stream in self._streams:
            stream.stop_reading()

    def _check_room(self, caller: str) -> None:
        if len(self._streams) >= self._limits.most:
            full = f"the list of streams ({self._limits.most})"
        elif self._by_caller[caller] >= self._limits.most_per_caller:
            full = f"the list of streams of one address ({self._limits.most_per_caller})"
        else:
            return
        raise OverloadedError(full, retry_after_ms=_RETRY_AFTER_MS)
