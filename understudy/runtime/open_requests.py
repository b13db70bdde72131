"""Requests of streams that are read and not answered: bounded for each stream, and for each caller.

Reading pauses at a bound, which is the flow control: a caller that does not read is not read from. A
stream with nothing open may always read one request, so no stream waits for others for ever.
"""

import asyncio
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class OpenLimits:
    """Limits on the requests of a stream that are read and not answered; reading pauses at each."""

    most_messages: int
    most_bytes: int  # of these and their answers; one request more may be read, whatever its size


class OpenBytes:
    """The bytes that all streams of one caller have open. For one event loop."""

    def __init__(self, most_bytes: int) -> None:
        """`most_bytes`: each stream may read one request more, as in `OpenLimits`."""
        self.most_bytes = most_bytes
        self.size_bytes = 0
        self.waiting: set[OpenRequests] = set()  # streams that read no more

    def leave(self, size_bytes: int) -> None:
        self.size_bytes -= size_bytes
        if self.waiting and self.size_bytes < self.most_bytes:
            for each in self.waiting:
                each.look_again()


class OpenRequests:
    """The open requests of one stream, counted with those of its caller. For one event loop."""

    def __init__(self, limits: OpenLimits, of_caller: OpenBytes) -> None:
        self._limits = limits
        self._of_caller = of_caller
        self._has_changed = asyncio.Event()
        self.count = 0
        self.size_bytes = 0

    def enter(self, size_bytes: int) -> None:
        """Count a request that was read, or an answer in its place."""
        self.count += 1
        self.grow(size_bytes)

    def grow(self, size_bytes: int) -> None:
        """Count the bytes of an answer beside those of its request."""
        self.size_bytes += size_bytes
        self._of_caller.size_bytes += size_bytes

    def leave(self, size_bytes: int) -> None:
        """Count out what entered, and grew, with so many bytes."""
        self.count -= 1
        self.size_bytes -= size_bytes
        self.look_again()
        self._of_caller.leave(size_bytes)

    def look_again(self) -> None:
        """Let a reader that waits see the room of now."""
        self._has_changed.set()

    async def until_room(self) -> None:
        """Return when one more request may be read."""
        if self.has_room:
            return
        self._of_caller.waiting.add(self)
        try:
            while not self.has_room:
                self._has_changed.clear()
                await self._has_changed.wait()
        finally:
            self._of_caller.waiting.discard(self)

    @property
    def has_room(self) -> bool:
        """Return whether one more request may be read."""
        return not self.count or (
            self.count < self._limits.most_messages
            and self.size_bytes < self._limits.most_bytes
            and self._of_caller.size_bytes < self._of_caller.most_bytes
        )
