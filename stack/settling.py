"""Waiting until everything deployed is served, as long as scorers make progress with loading it."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence

from understudy.control.client import RegistryClient
from understudy.domain.errors import UnderstudyError
from understudy.domain.progress import Patience, Wait
from understudy.registry.v1 import registry_pb2 as pb
from understudy.runtime.supervision.cpu_time import cpu_s_of_tree

_SHORTEST_PAUSE_S, _LONGEST_PAUSE_S = 0.1, 0.5
_PAUSE_SHARE = 0.1  # of the time waited so far

OpenPoints = Callable[[], Awaitable[Sequence[str]]]  # what is not served yet, and why


async def until_settled(
    open_points: OpenPoints,
    loading_cpu_s: Callable[[], float],
    patience: Patience | None = None,
) -> tuple[str, ...]:
    """Return () once there are no open points, or the remaining ones without progress."""
    began_s = time.monotonic()
    wait = Wait(patience or Patience(), began_s)
    while points := tuple(await open_points()):
        cpu_s = await asyncio.to_thread(loading_cpu_s)
        wait = wait.after_look(time.monotonic(), cpu_s=cpu_s, state=points)
        if wait.given_up:
            return points
        pause_s = (time.monotonic() - began_s) * _PAUSE_SHARE
        await asyncio.sleep(min(_LONGEST_PAUSE_S, max(_SHORTEST_PAUSE_S, pause_s)))
    return ()


def cpu_s_of_loading(registry: RegistryClient) -> float:
    """Return the CPU seconds of the loading scorers, which run on this machine.

    Serving ones are left out: calls keep them busy.
    """
    try:
        scorers = registry.get_status().scorers
    except UnderstudyError:
        return 0.0
    loading = [each.pid for each in scorers if each.state == pb.SCORER_STATE_STARTING]
    return sum(cpu_s_of_tree(pid) for pid in loading if pid)
