"""Niceness of processes: higher while a scorer loads, and its own while it serves."""

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import structlog

from understudy.runtime.threads import threads_of

_log = structlog.get_logger()
_CAP_SYS_NICE = 1 << 23
_LOWEST_NICE = 20


def set_nice(nice: int, pid: int) -> None:
    """Set the niceness of each thread of a process; Linux stores it per thread.

    Raises:
        PermissionError: the kernel does not let this process raise a priority.
    """
    for thread in threads_of(pid):
        with suppress(ProcessLookupError):
            os.sched_setscheduler(thread, os.SCHED_OTHER, os.sched_param(0))
            os.setpriority(os.PRIO_PROCESS, thread, nice)


def set_idle(pid: int) -> None:
    """Let a process run only when nothing else wants to: any other thread has priority."""
    for thread in threads_of(pid):
        with suppress(ProcessLookupError):
            os.sched_setscheduler(thread, os.SCHED_IDLE, os.sched_param(0))


def try_priority(act: Callable[[int], None], pid: int, *, scorer: str) -> None:
    """Let `act` change the priority of a process; on failure the scorer serves with the old one."""
    try:
        act(pid)
    except OSError as error:
        _log.warning("priority_not_set", scorer=scorer, why=str(error))


def may_set_down_to(nice: int) -> bool:
    """Return whether the kernel lets this process lower another's niceness to `nice`.

    That needs CAP_SYS_NICE or RLIMIT_NICE. Without it a scorer that was made nice for its
    loading would stay nice while it serves.
    """
    return _has_sys_nice() or _nice_limit() <= nice


def _has_sys_nice() -> bool:
    line = _line_of("/proc/self/status", "CapEff:")
    return bool(line and int(line.split()[1], 16) & _CAP_SYS_NICE)


def _nice_limit() -> int:
    line = _line_of("/proc/self/limits", "Max nice priority")
    return _LOWEST_NICE - int(line.split()[3]) if line else _LOWEST_NICE


def _line_of(path: str, start: str) -> str:
    with suppress(OSError):
        for line in Path(path).read_text().splitlines():
            if line.startswith(start):
                return line
    return ""
