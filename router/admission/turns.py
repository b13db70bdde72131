"""The division of long work on the event loop into turns, so that other calls run in between."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from typing import TypeVar

from understudy.domain.errors import DeadlinePassedError

ItemT = TypeVar("ItemT")

_MOST_TURN_S = 0.002  # nothing else runs in the meantime


async def in_turns(
    items: Iterable[ItemT], now_s: Callable[[], float], *, until_s: float
) -> AsyncIterator[ItemT]:
    """Yield `items`; others have their turn whenever the work on them has taken long.

    Raises:
        DeadlinePassedError: it is `until_s`, and there are more items.
    """
    turn_ends_s = now_s() + _MOST_TURN_S
    for item in items:
        yield item
        if (now := now_s()) >= turn_ends_s:
            if now >= until_s:
                raise DeadlinePassedError("the whole call was read")
            await asyncio.sleep(0)
            turn_ends_s = now_s() + _MOST_TURN_S
