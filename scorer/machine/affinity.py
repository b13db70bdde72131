"""Which CPUs processes may run on; where the system cannot tell (not Linux), there are none."""

import os
from contextlib import suppress
from pathlib import Path

from understudy.runtime.threads import threads_of

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_USER_TICKS, _SYSTEM_TICKS = 11, 12  # of what follows the name in /proc/PID/stat


def allowed_cpus() -> frozenset[int]:
    """Return the CPUs that this process may run on; none: not known here."""
    return frozenset(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else frozenset()


def cpus_of(pid: int) -> frozenset[int]:
    """Return the CPUs that the first thread of a process may run on.

    Raises:
        ProcessLookupError: it ended.
    """
    return frozenset(os.sched_getaffinity(pid))


def set_cpus(pid: int, cpus: frozenset[int]) -> None:
    """Let each thread of a process run on `cpus` only; Linux keeps it per thread.

    A thread that is started by one which is not done yet inherits the old set: so again, until
    no new one shows.

    Raises:
        OSError: none of `cpus` is allowed, or the process is somebody else's.
    """
    done: set[int] = set()
    while new := threads_of(pid) - done:
        for thread in new:
            with suppress(ProcessLookupError):
                os.sched_setaffinity(thread, cpus)
        done |= new


def cpu_seconds_of(pid: int) -> float | None:
    """Return the CPU time that a process has used so far; None: it ended."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    counted = stat.rpartition(")")[2].split()  # the name may hold spaces and brackets
    return (int(counted[_USER_TICKS]) + int(counted[_SYSTEM_TICKS])) / _TICKS_PER_S
