"""A child that outlives its parent for a bounded time, until another process has taken its place.

A child is bound to its parent by the kernel (`bound_to_parent`). One that serves by itself may give
that up: it then watches its parent, and a thread ends it in time even if its event loop hangs.
"""

import asyncio
import ctypes
import os
import select
import signal
import sys
import threading
import time

import structlog

from understudy.runtime.exit_codes import FAILED
from understudy.runtime.supervision.bound_to_parent import PR_SET_PDEATHSIG

_log = structlog.get_logger()


def unbind_from_parent() -> None:
    """Let the kernel send no signal when the parent dies. For the main thread, whose bond it is."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, 0, 0, 0, 0)


def outlive_parent(*, longest_s: float) -> asyncio.Event:
    """Return an event that is set once the parent has died. Call inside the running loop.

    `longest_s` after that the process is ended, wherever it has got to. Where the system cannot
    watch a process, the child stays bound to its parent, and the event is never set.
    """
    lost = asyncio.Event()
    parent_pid = os.getppid()
    if sys.platform != "linux":
        return lost
    try:
        parent = os.pidfd_open(parent_pid)
    except OSError as error:  # an old kernel, or a sandbox
        _log.warning("parent_not_watched", why=str(error))
        return lost
    unbind_from_parent()
    if os.getppid() != parent_pid:  # it died just before, and so ends this process as usual
        os.kill(os.getpid(), signal.SIGTERM)
    loop = asyncio.get_running_loop()

    def watch() -> None:
        poll = select.poll()
        poll.register(parent, select.POLLIN)
        poll.poll()
        os.close(parent)
        loop.call_soon_threadsafe(lost.set)
        time.sleep(longest_s)
        try:
            _log.error("orphan_overran", limit_s=longest_s)
        finally:  # also if the parent was the reader of our output
            os._exit(FAILED)

    threading.Thread(target=watch, name="parent", daemon=True).start()
    return lost
