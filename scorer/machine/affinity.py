"""The CPUs that processes may run on; empty on systems that cannot tell (not Linux)."""

import os
from contextlib import suppress
from pathlib import Path

from understudy.runtime.threads import threads_of

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_USER_TICKS, _SYSTEM_TICKS = 11, 12  # indices after the name in /proc/PID/stat


def allowed_cpus() -> frozenset[int]:
    """Return the CPUs that this process may run on; empty if unknown."""
    return frozenset(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else frozenset()


def cpus_of(pid: int) -> frozenset[int]:
    """Return the CPUs that the first thread of a process may run on.

    Raises:
        ProcessLookupError: the process has ended.
    """
    return frozenset(os.sched_getaffinity(pid))


def set_cpus(pid: int, cpus: frozenset[int]) -> None:
    """Restrict each thread of a process to `cpus`; Linux stores the set per thread.

    A thread that is started by one not yet restricted inherits the old set, so this is repeated
    until no new thread appears.

    Raises:
        OSError: none of `cpus` is allowed, or the process belongs to another user.
    """
    done: set[int] = set()
    while new := threads_of(pid) - done:
        for thread in new:
            with suppress(ProcessLookupError):
                os.sched_setaffinity(thread, cpus)
        done |= new


def cpu_seconds_of(pid: int) -> float | None:
    """Return the CPU time that a process has used so far, or None if it has ended."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    counted = stat.rpartition(")")[2].split()  # the name may contain spaces and brackets
    return (int(counted[_USER_TICKS]) + int(counted[_SYSTEM_TICKS])) / _TICKS_PER_S
