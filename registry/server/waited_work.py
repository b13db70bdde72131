"""Work in threads whose caller may be cancelled: what the work uses stays open until it has ended."""

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor
from contextlib import suppress
from typing import TypeVar

ResultT = TypeVar("ResultT")


async def waited_for(
    executor: Executor,
    work: Callable[[], ResultT],
    *,
    on_cancel: Callable[[], None] = lambda: None,
) -> ResultT:
    """Return the result of blocking `work` in a thread.

    If the caller is cancelled, work that has not begun never does, and work that has is waited for,
    however often the caller is cancelled.

    Args:
        executor: of the thread.
        work: blocks.
        on_cancel: called before the wait; asks the work to end early.
    """
    begun = executor.submit(work)
    ended = asyncio.wrap_future(begun)
    try:
        return await asyncio.shield(ended)
    except asyncio.CancelledError:
        on_cancel()
        while not (begun.cancel() or ended.done()):
            with suppress(asyncio.CancelledError):
                await asyncio.wait([ended])
        raise
