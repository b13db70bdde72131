"""The threads of a process as listed by Linux, which stores priorities and CPUs per thread."""

from pathlib import Path


def threads_of(pid: int) -> set[int]:
    """Return the ids of a process's threads; empty if it has ended, or there is no /proc."""
    try:
        return {int(task.name) for task in Path(f"/proc/{pid}/task").iterdir()}
    except (FileNotFoundError, ProcessLookupError):  # it has ended
        return set()


def name_of(thread: int, *, pid: int) -> str:
    """Return the name that a thread of a process gave itself; "" if the thread has ended."""
    try:
        return Path(f"/proc/{pid}/task/{thread}/comm").read_text().rstrip("\n")
    except (FileNotFoundError, ProcessLookupError):  # it has ended
        return ""
