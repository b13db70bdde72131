"""Waiting for a child to be ready, as long as its start makes progress."""

import asyncio
import time
from collections.abc import Callable

from understudy.domain.progress import Patience, Wait
from understudy.runtime.supervision.child import Child
from understudy.runtime.supervision.cpu_time import cpu_s_of_tree
from understudy.runtime.supervision.ending import ChildFailedError, Ending, ending_of
from understudy.runtime.supervision.probe import Probe, ProbeAnswer

_SHORTEST_PAUSE_S, _LONGEST_PAUSE_S = 0.05, 0.5
_PAUSE_SHARE = 0.1  # of the time waited so far
_LOOK_EVERY_S = 2.0  # period of reading CPU time, which visits all processes of the machine


async def until_ready(
    child: Child,
    probe: Probe,
    patience: Patience,
    stop: asyncio.Event,
    *,
    ask_timeout_s: float = 2.0,
    while_waiting: Callable[[float], None] = lambda _: None,
    any_answer: bool = False,
) -> None:
    """Wait until `child` reports SERVING or `stop` is set.

    `while_waiting` is called repeatedly with the seconds since the start. `any_answer`: NOT_SERVING
    is enough.

    Raises:
        ChildFailedError: the child ended, or its start stalled.
    """
    began_s = looked_s = time.monotonic()
    wait = Wait(patience, began_s)
    while not stop.is_set():
        answer = await probe.ask(ask_timeout_s)
        if answer is ProbeAnswer.SERVING or (any_answer and answer is ProbeAnswer.NOT_SERVING):
            return
        waited_s = time.monotonic() - began_s
        pause_s = min(_LONGEST_PAUSE_S, max(_SHORTEST_PAUSE_S, waited_s * _PAUSE_SHARE))
        await until_ended_or(child, stop, pause_s)
        while_waiting(time.monotonic() - began_s)
        if time.monotonic() - looked_s >= _LOOK_EVERY_S:
            looked_s = time.monotonic()
            wait = wait.after_look(looked_s, cpu_s=cpu_s_of_tree(child.pid), state=answer)
            if wait.given_up:
                raise ChildFailedError(Ending(f"was not ready: {wait.given_up}"))


async def until_ended_or(child: Child, stop: asyncio.Event, longest_s: float | None) -> None:
    """Wait for `stop`, or for `longest_s`.

    Raises:
        ChildFailedError: the child ended first.
    """
    runs = await child.runs_on(longest_s, stop)
    if not runs and not stop.is_set():
        raise ChildFailedError(ending_of(await child.ended()))
