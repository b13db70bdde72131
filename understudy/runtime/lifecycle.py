"""How a process serves and stops: ready, not ready, delay, drain, close in reverse order."""

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
    unready_delay_s: float  # balancers need this long to see NOT_SERVING
    grace_s: float  # calls in flight may run this long after that


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
    """Take what start-up has made (modules, schemas, plans) out of the garbage collector's rounds.

    Nearly all of it lives as long as the process; what does not (the first revision's plans) is the
    price. Walking it takes over 20 ms, in which nobody is answered.
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

    The server may be started already. On return no handler is running, so the caller may close
    what handlers use. Calls that outlive `drain.grace_s` are cancelled; `end_streams` asks those
    that would not end by themselves to finish.
    """
    _spare_startup_objects()
    await server.start()
    await health.turn(Health.SERVING)
    _log.info("serving")
    try:
        await stop.wait()
    finally:
        await health.turn(Health.NOT_SERVING)
        # Still accepting: a balancer that has not noticed yet must not meet a closed port.
        await asyncio.sleep(drain.unready_delay_s)
        end_streams()  # not before the delay: their callers would open the next ones here
        await server.stop(drain.grace_s)
        _log.info("drained")
