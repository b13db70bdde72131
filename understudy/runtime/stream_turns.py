"""Turns of streams: few of their messages are taken in one turn of the event loop.

A new call takes several turns of the loop until it is read, because gRPC hands over one at a time. With
one message of each of many streams in every turn, it would wait for hundreds of them, for longer than
its deadline.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator


class StreamTurns:
    """Lets the streams of a service take their messages in order of arrival. For one event loop."""

    def __init__(self, most_at_once: int) -> None:
        """`most_at_once`: messages in one turn of the loop."""
        self._most_at_once = most_at_once
        self._left = most_at_once  # in this turn
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._is_next_due = False

    def taking(self, requests: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """Return the messages of a stream, each in its turn.

        No further one is read meanwhile, so at most one of a stream is held.
        """
        return _InTurn(self, requests)

    async def until_turn(self) -> None:
        """Return when one message may be taken."""
        loop = asyncio.get_running_loop()
        if not self._is_next_due:
            self._is_next_due = True
            loop.call_soon(self._begin)
        if self._left and not self._waiting:
            self._left -= 1
            return
        turn = loop.create_future()
        self._waiting.append(turn)
        await turn

    def _begin(self) -> None:
        self._left = self._most_at_once
        while self._waiting and self._left:
            turn = self._waiting.popleft()
            if not turn.done():  # otherwise the stream has ended
                turn.set_result(None)
                self._left -= 1
        self._is_next_due = self._left < self._most_at_once
        if self._is_next_due:
            asyncio.get_running_loop().call_soon(self._begin)


class _InTurn:
    """An iterator, and no generator: one that is left halfway would be closed by a task of its own."""

    def __init__(self, turns: StreamTurns, requests: AsyncIterator[bytes]) -> None:
        self._turns = turns
        self._requests = aiter(requests)

    def __aiter__(self) -> "_InTurn":
        return self

    async def __anext__(self) -> bytes:
        received = await anext(self._requests)
        await self._turns.until_turn()
        return received
