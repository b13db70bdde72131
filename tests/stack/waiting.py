"""Waits for other processes and what they report, for as long as they make progress."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar

import psutil

from understudy.domain.progress import Patience, Wait
from understudy.runtime.supervision.cpu_time import cpu_s_of_tree

LIMIT_S = 60.0  # without progress
_CEILING_S = 600.0
_LOOK_EVERY_S = 1.0
_POLL_S = 0.05
T = TypeVar("T")


async def while_progress(work: Awaitable[T], *, limit_s: float = LIMIT_S) -> T:
    """Return the result of `work`.

    Raises:
        TimeoutError: for `limit_s` neither `work` ended nor did the processes that this one
            started use CPU time worth mentioning.
    """
    task = asyncio.ensure_future(work)
    wait = Wait(Patience(limit_s, _CEILING_S), time.monotonic())
    try:
        while not (await asyncio.wait({task}, timeout=_LOOK_EVERY_S))[0]:
            wait = wait.after_look(time.monotonic(), cpu_s=_cpu_s_of_children())
            if wait.given_up:
                raise TimeoutError(wait.given_up)
        return await task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def until(holds: Callable[[], Awaitable[bool]], *, limit_s: float = LIMIT_S) -> None:
    """Return once `holds` does.

    Raises:
        TimeoutError: see `while_progress`.
    """

    async def poll() -> None:
        while not await holds():  # noqa: ASYNC110 - other processes set no event of ours
            await asyncio.sleep(_POLL_S)

    await while_progress(poll(), limit_s=limit_s)


async def until_gone(pids: Iterable[int]) -> None:
    """Return once none of the processes runs; a zombie does not run either."""
    waited_for = tuple(pids)

    async def none_runs() -> bool:
        return not any(is_running(pid) for pid in waited_for)

    await until(none_runs)


async def refuses_connections(address: str) -> bool:
    host, port = address.rsplit(":", 1)
    try:
        _, writer = await asyncio.open_connection(host, int(port))
    except ConnectionRefusedError:
        return True
    writer.close()
    return False


def is_running(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _cpu_s_of_children() -> float:
    return sum(cpu_s_of_tree(child.pid) for child in psutil.Process().children())
