"""Room for answers until their callers have read them, for one event loop."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from registry.decisions.seats import Full, ShareLimits
from registry.decisions.unread_bytes import UnreadBytes
from understudy.domain.errors import OverloadedError
from understudy.runtime.rpc_boundary import Context, peer_of

_CALL_BYTES = 4096  # of an open call in gRPC, about; it also bounds the number of small answers
_RETRY_AFTER_MS = 1_000


class Unread:
    """Counts the bytes of answers from their writing to their end."""

    def __init__(self, limits: ShareLimits) -> None:
        self._bytes = UnreadBytes(limits)
        self._freed = asyncio.Event()  # a new one after each answer that is read

    @property
    def total_bytes(self) -> int:
        return self._bytes.total

    def enter(self, context: Context) -> Callable[[bytes], None]:
        """Count a call with one answer until it has ended; return the function that counts the answer.

        Raises:
            OverloadedError: this caller, or all of them, leave too many bytes unread.
        """
        peer = peer_of(context)
        if isinstance(full := self._take(peer, _CALL_BYTES), Full):
            of_whom = "from this address" if full is Full.OF_PEER else "of all callers"
            raise OverloadedError(
                f"the room for answers that calls {of_whom} have not read",
                retry_after_ms=_RETRY_AFTER_MS,
            )
        sizes = [_CALL_BYTES]

        def count(answer: bytes) -> None:
            sizes.append(len(answer))
            self._bytes = self._bytes.with_made_answer_to(peer, len(answer))

        def end(_context: Context) -> None:
            self._free(peer, sum(sizes))

        context.add_done_callback(end)  # type: ignore[arg-type]  # the stub demands a class of its own
        return count

    @asynccontextmanager
    async def room(self, context: Context, write: Callable[[], bytes]) -> AsyncIterator[bytes]:
        """Wait until there is room for a message of a stream; yield it, and count it in the block.

        `write` is called once more after each wait, so that a message that waits is not in memory.
        """
        peer = peer_of(context)
        while isinstance(self._take(peer, _size_of(write())), Full):
            await self._freed.wait()
        message = write()
        try:
            yield message
        finally:
            self._free(peer, _size_of(message))

    def _take(self, peer: str, size_bytes: int) -> Full | None:
        match self._bytes.with_answer_to(peer, size_bytes):
            case UnreadBytes() as taken:
                self._bytes = taken
                return None
            case Full() as full:
                return full

    def _free(self, peer: str, size_bytes: int) -> None:
        self._bytes = self._bytes.without_answer_to(peer, size_bytes)
        freed, self._freed = self._freed, asyncio.Event()
        freed.set()


def _size_of(answer: bytes) -> int:
    return len(answer) + _CALL_BYTES
