"""Niceness of this process: low while it loads, its own when it serves."""

import os
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

import structlog

_log = structlog.get_logger()
_CAP_SYS_NICE = 1 << 23
_TASKS = Path("/proc/self/task")


class LoadingPriority:
    """Lower this process's priority while a model loads, when the kernel lets it come back.

    Raising a priority again needs a right (CAP_SYS_NICE or RLIMIT_NICE). Without it nothing is
    lowered, for a scorer that stays nice for ever would be worse than a load that is not.
    """

    def __init__(self, nice: int) -> None:
        self._nice = nice
        self._before = os.getpriority(os.PRIO_PROCESS, 0)
        self._lowered = False

    def __enter__(self) -> Self:
        if self._nice > self._before and may_return_to(self._before):
            set_nice(self._nice)
            self._lowered = True
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._lowered:
            set_nice(self._before)


def set_nice(nice: int, pid: int | None = None) -> None:
    """Set the niceness of each thread of a process; Linux keeps it per thread.

    Raises:
        PermissionError: the kernel does not let this process raise a priority.
    """
    tasks = _TASKS if pid is None else Path(f"/proc/{pid}/task")
    for task in tasks.iterdir():
        with suppress(ProcessLookupError):
            os.setpriority(os.PRIO_PROCESS, int(task.name), nice)


def may_return_to(nice: int) -> bool:
    """Say whether this process may set its niceness down to `nice` again."""
    return _has_sys_nice() or _nice_limit() <= nice


def _has_sys_nice() -> bool:
    with suppress(OSError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("CapEff:"):
                return bool(int(line.split()[1], 16) & _CAP_SYS_NICE)
    return False


def _nice_limit() -> int:
    with suppress(OSError):
        for line in Path("/proc/self/limits").read_text().splitlines():
            if line.startswith("Max nice priority"):
                return 20 - int(line.split()[3])
    return 20
