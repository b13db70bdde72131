"""Waits for what has no event to wait on: other processes and what they report."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable

import psutil

LIMIT_S = 60.0
_POLL_S = 0.05


async def until(holds: Callable[[], Awaitable[bool]], *, limit_s: float = LIMIT_S) -> None:
    """Return once `holds` does.

    Raises:
        TimeoutError: it did not within `limit_s`.
    """
    give_up_s = time.monotonic() + limit_s
    while not await holds():
        if time.monotonic() > give_up_s:
            raise TimeoutError(f"not within {limit_s:g} s")
        await asyncio.sleep(_POLL_S)


async def until_gone(pids: Iterable[int], *, limit_s: float = LIMIT_S) -> None:
    """Return once none of the processes runs; one that nobody reaps does not run either."""
    waited_for = tuple(pids)

    async def none_runs() -> bool:
        return not any(is_running(pid) for pid in waited_for)

    await until(none_runs, limit_s=limit_s)


def is_running(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
