"""The threads of a process, as Linux lists them: priorities and CPUs are kept per thread."""

from pathlib import Path


def threads_of(pid: int) -> set[int]:
    """Return the ids of a process's threads; none when it has ended, or the system has no /proc."""
    try:
        return {int(task.name) for task in Path(f"/proc/{pid}/task").iterdir()}
    except (FileNotFoundError, ProcessLookupError):  # it ended
        return set()


def name_of(thread: int, *, pid: int) -> str:
    """Return the name that a thread of a process gave itself; "" when it has ended."""
    try:
        return Path(f"/proc/{pid}/task/{thread}/comm").read_text().rstrip("\n")
    except (FileNotFoundError, ProcessLookupError):  # it ended
        return ""
