"""Lower priority of gRPC's I/O threads relative to the event loop when CPUs are scarce.

In a flood these threads refuse calls by the thousand, on the CPUs that the event loop needs to answer;
and the one that notifies the event loop wakes for each of its answers. None of them holds
the interpreter lock, so nothing waits for a descheduled one, except for the instant in which an
event is handed over; Python's other threads do hold it and keep their priority.
"""

import asyncio
import os
import threading
from contextlib import suppress

import structlog

from understudy.runtime.threads import name_of, threads_of

_NAME = "event_engine"  # gRPC's name for them
_TELLER = "_poll_wrapper"  # in the name of grpcio's thread between them and the event loop
_LOOK_EVERY_S = 1.0  # gRPC starts more threads under load
_MOST_NICE = 19
_log = structlog.get_logger()


async def keep_io_threads_back(nicer: int) -> None:
    """Make gRPC's I/O threads nicer than this process's main thread by `nicer`, until cancelled.

    If that is impossible, because the system does not list threads in /proc or forbids it, this is
    logged once, and the threads keep their priority.
    """
    try:
        await _keep_back(nicer)
    except OSError as error:
        _log.warning("io_threads_not_set_back", why=str(error))


async def _keep_back(nicer: int) -> None:
    pid = os.getpid()
    nice = min(_MOST_NICE, os.getpriority(os.PRIO_PROCESS, pid) + nicer)
    seen: set[int] = set()
    is_first_look = True
    while True:
        await asyncio.sleep(_LOOK_EVERY_S)
        threads = threads_of(pid)
        found = {
            _NAME: {each for each in threads - seen if name_of(each, pid=pid) == _NAME},
            _TELLER: _tellers() - seen,
        }
        for thread in set().union(*found.values()):
            with suppress(ProcessLookupError):  # the thread has ended
                os.setpriority(os.PRIO_PROCESS, thread, nice)
        if is_first_look and (missing := [name for name, those in found.items() if not those]):
            _log.warning("io_threads_not_set_back", why=f"none is named {' or '.join(missing)}")
        seen, is_first_look = threads, False


def _tellers() -> set[int]:
    """Return Python threads that run only gRPC's code, without the interpreter lock."""
    return {
        thread.native_id
        for thread in threading.enumerate()
        if _TELLER in thread.name and thread.native_id is not None
    }
