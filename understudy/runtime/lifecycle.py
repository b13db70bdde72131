"""The life of a serving process: ready, not ready, delay, drain, close in reverse order.

Every step of a stop has a limit, and so has the stop: a peer that does not read, or a library that
does not return, must not hold a process until the platform kills it.
"""

import asyncio
import gc
import os
import signal
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import structlog
import uvloop

from understudy.runtime.exit_codes import FAILED
from understudy.runtime.front.port import Server
from understudy.runtime.health import Health, HealthSwitch

_STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)
_CANCEL_S = 5.0  # after the grace: cancelled calls end
_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class DrainTimes:
    unready_delay_s: float  # time for balancers to see NOT_SERVING
    grace_s: float  # additional time for calls in flight


def run(main: Callable[[], Coroutine[Any, Any, int]]) -> int:
    """Run `main` on uvloop and return its exit code."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(main())


def stop_on_signals(*, longest_s: float) -> asyncio.Event:
    """Return an event that SIGTERM and SIGINT set. Call inside the running loop.

    `longest_s` after the first signal the process is ended, wherever its stop has got to.
    """
    stop, begin_stop = _stop(longest_s)
    loop = asyncio.get_running_loop()
    for number in _STOP_SIGNALS:
        loop.add_signal_handler(number, begin_stop)
    return stop


def stop_on_blocked_signals(*, longest_s: float) -> asyncio.Event:
    """Return the event of `stop_on_signals`, in a process that blocks these signals.

    For one whose main thread is not Python's, so that Python cannot handle signals.
    """
    stop, begin_stop = _stop(longest_s)
    loop = asyncio.get_running_loop()

    def wait() -> None:
        signal.sigwait(_STOP_SIGNALS)
        loop.call_soon_threadsafe(begin_stop)

    threading.Thread(target=wait, name="signals", daemon=True).start()
    return stop


def _stop(longest_s: float) -> tuple[asyncio.Event, Callable[[], None]]:
    """Return the event, and the function that sets it and starts the limit."""
    stop = asyncio.Event()
    overdue = threading.Timer(longest_s, _end_overdue, (longest_s,))
    overdue.daemon = True

    def begin_stop() -> None:
        if not stop.is_set():
            stop.set()
            overdue.start()

    return stop, begin_stop


def _end_overdue(longest_s: float) -> None:
    """End the process at once. For a thread: the event loop itself may not return."""
    try:
        _log.error("stop_overran", limit_s=longest_s)
    finally:  # also if nothing reads our output any more
        os._exit(FAILED)


async def within(limit_s: float, step: str, work: Awaitable[object]) -> None:
    """Wait for one step of a stop; after `limit_s` log that, and go on without it."""
    async with limited(limit_s, step) as begin:
        begin()
        await work


@asynccontextmanager
async def limited(limit_s: float, step: str) -> AsyncIterator[Callable[[], None]]:
    """Yield a function that begins a step of a stop; `limit_s` later the block is left."""
    limit = asyncio.timeout(None)
    try:
        async with limit:
            yield lambda: limit.reschedule(asyncio.get_running_loop().time() + limit_s)
    except TimeoutError:
        if not limit.expired():
            raise
        _log.error("stop_step_overran", step=step, limit_s=limit_s)


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
    calls that would not end by themselves to finish, as watches of the health do.
    """
    _spare_startup_objects()
    try:
        await server.start()
        health.turn(Health.SERVING)
        _log.info("serving")
        await stop.wait()
    finally:
        health.turn(Health.NOT_SERVING)
        # Still accepting: a balancer that has not noticed yet must not find a closed port.
        await asyncio.sleep(drain.unready_delay_s)
        end_streams()  # not before the delay: callers would open new streams here
        health.end_watches()
        await within(drain.grace_s + _CANCEL_S, "stop of the server", server.stop(drain.grace_s))
        _log.info("drained")
