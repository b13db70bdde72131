"""The life of a serving process: ready, not ready, delay, drain, close in reverse order."""

import asyncio
import gc
import signal
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

import structlog
import uvloop

from understudy.runtime.serving import Health, HealthSwitch, Server

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class DrainTimes:
    unready_delay_s: float  # time for balancers to see NOT_SERVING
    grace_s: float  # additional time for calls in flight


def run(main: Callable[[], Coroutine[Any, Any, int]]) -> int:
    """Run `main` on uvloop and return its exit code."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(main())


def stop_on_signals() -> asyncio.Event:
    """Return an event that SIGTERM and SIGINT set. Call inside the running loop."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    return stop


def _spare_startup_objects() -> None:
    """Exclude the objects created at start-up (modules, schemas, plans) from garbage collection.

    Nearly all of them live as long as the process; the few that do not (the first revision's plans)
    are the price. Traversing them takes over 20 ms, during which no call is answered.
    """
    gc.collect()
    gc.freeze()


async def serve_until_stopped(
    server: Server,
    health: HealthSwitch,
    stop: asyncio.Event,
    drain: DrainTimes,
    *,
    end_streams: Callable[[], None] = lambda: None,
) -> None:
    """Serve until `stop` is set, then drain.

    The server may already be started. On return no handler is running, so the caller may close
    the resources of handlers. Calls that outlive `drain.grace_s` are cancelled; `end_streams` asks
    calls that would not end by themselves to finish.
    """
    _spare_startup_objects()
    await server.start()
    await health.turn(Health.SERVING)
    _log.info("serving")
    try:
        await stop.wait()
    finally:
        await health.turn(Health.NOT_SERVING)
        # Still accepting: a balancer that has not noticed yet must not find a closed port.
        await asyncio.sleep(drain.unready_delay_s)
        end_streams()  # not before the delay: callers would open new streams here
        await server.stop(drain.grace_s)
        _log.info("drained")
