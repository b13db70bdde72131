"""Niceness of processes: low while a scorer loads, its own when it serves."""

import os
from contextlib import suppress
from pathlib import Path

_CAP_SYS_NICE = 1 << 23
_LOWEST_NICE = 20


def set_nice(nice: int, pid: int) -> None:
    """Set the niceness of each thread of a process; Linux keeps it per thread.

    Raises:
        PermissionError: the kernel does not let this process raise a priority.
    """
    with suppress(FileNotFoundError):  # it ended
        for task in Path(f"/proc/{pid}/task").iterdir():
            with suppress(ProcessLookupError):
                os.setpriority(os.PRIO_PROCESS, int(task.name), nice)


def may_set_down_to(nice: int) -> bool:
    """Say whether the kernel lets this process give a nicer process the niceness `nice` again.

    That takes CAP_SYS_NICE or RLIMIT_NICE. Without it a scorer that was made nice for its
    loading would stay so while it serves.
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
