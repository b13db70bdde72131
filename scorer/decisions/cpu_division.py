"""The division of the host's CPUs into loading and serving ones while a version loads. Pure.

A low priority is not enough to load without disturbance: the kernel treats a CPU that runs only
idle work as free, wakes a serving thread on it, and then does not interrupt what the loading process
does inside the kernel (exec, page faults, exit). So loading gets one CPU, and serving processes
avoid it as long as they fit on the others.
"""

from collections.abc import Collection
from dataclasses import dataclass

_ROOM_TO_LEAVE = 0.5  # of the other CPUs: busier scorers do not leave the loading CPU
_ROOM_TO_STAY_AWAY = 0.75  # of the other CPUs: scorers that became busier return to it


@dataclass(frozen=True, slots=True)
class CpuDivision:
    """`loading` and `serving` are parts of the allowed CPUs, or all of them."""

    loading: frozenset[int]
    serving: frozenset[int]


def divide_cpus(
    allowed: frozenset[int], *, busy_cpus: float, are_apart: bool = False
) -> CpuDivision:
    """Return the CPUs for loading and those for serving.

    Args:
        allowed: the CPUs that the host may use.
        busy_cpus: recent CPU seconds per second of the serving scorers.
        are_apart: the serving scorers already avoid the loading CPU.
    """
    if len(allowed) < 2:  # noqa: PLR2004 - at least two are needed for a division
        return CpuDivision(allowed, allowed)
    loading = frozenset({max(allowed)})
    others = allowed - loading
    room = _ROOM_TO_STAY_AWAY if are_apart else _ROOM_TO_LEAVE
    fits = busy_cpus <= room * len(others)
    return CpuDivision(loading, others if fits else allowed)


@dataclass(frozen=True, slots=True)
class CpuUser:
    """A scorer process, or one about to be started (pid 0)."""

    pid: int
    keeps_apart: bool  # it loads, or exits, next to serving ones


def cpus_by_pid(
    users: Collection[CpuUser], division: CpuDivision, *, host_pid: int
) -> dict[int, frozenset[int]]:
    """Return the CPUs of each process; the host uses those of the processes that it starts."""
    cpus = {
        user.pid: division.loading if user.keeps_apart else division.serving
        for user in users
        if user.pid
    }
    return {**cpus, host_pid: division.loading}
