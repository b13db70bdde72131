"""The counts of rows that a writer was offered, in memory that outlives its process.

A killed process leaves no gap behind the last row that it wrote. Its counts do: they are in a file
below /dev/shm, which the kernel keeps, and whose pages never wait for a disk. The process that
finishes its rows removes the file. If its folder is gone no process will, so each new writer removes
the files of dead writers whose folder does not exist; the kernel releases their lock as they end.
"""

import fcntl
import mmap
import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from understudy.logs.schema import LogKind

_FOLDER = Path("/dev/shm")  # noqa: S108 - Linux's shared memory; the file is made anew, for its owner
_PREFIX = "understudy-log-"
_SLOT_BYTES, _COUNT_BYTES, _COUNTS = 128, 8, 3
_NAME_AT = _COUNTS * _COUNT_BYTES
_MOST_NAME_BYTES = _SLOT_BYTES - _NAME_AT - 1
_SLOTS = 512
_FOLDER_BYTES = 4096  # before the slots: the folder in which the writer's rows are found
OFFERED, DROPPED, FAILED = range(_COUNTS)  # places in the counts of one log of one model


@dataclass(frozen=True, slots=True)
class OfferedRows:
    """Rows of one log and model that a writer was offered, and the known losses among them."""

    kind: LogKind
    model: str
    offered: int
    dropped: int
    failed: int


Counts = list[int] | memoryview


class CountsInMemory:
    """The counts of one writer by log and model. They only grow; the caller's lock guards them."""

    def __init__(self, writer_id: str) -> None:
        self._path = _FOLDER / f"{_PREFIX}{writer_id}"
        self._memory: mmap.mmap | None = None
        self._lock: int | None = None  # an open file: held while the process lives
        self._of: dict[tuple[LogKind, str], Counts] = {}

    def share(self, folder: Path) -> None:
        """Let later counts outlive the process; without shared memory they do not.

        `folder`: in which the writer's unfinished rows will be.
        """
        _remove_orphans()
        self._memory, self._lock = _shared(self._path, os.fsencode(folder.absolute()))

    def of(self, kind: LogKind, model: str) -> Counts:
        """Return the counts, at OFFERED, DROPPED and FAILED."""
        found = self._of.get((kind, model))
        if found is None:
            found = self._of[kind, model] = self._begin(f"{kind.value}/{model}".encode())
        return found

    def rows(self) -> tuple[OfferedRows, ...]:
        return tuple(
            OfferedRows(kind, model, counts[OFFERED], counts[DROPPED], counts[FAILED])
            for (kind, model), counts in self._of.items()
        )

    def remove(self) -> None:
        """Remove the file: the counts are stated elsewhere."""
        self._path.unlink(missing_ok=True)
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _begin(self, name: bytes) -> Counts:
        slot = len(self._of)
        memory = self._memory
        if memory is None or slot >= _SLOTS or len(name) > _MOST_NAME_BYTES:
            return [0] * _COUNTS
        start = _FOLDER_BYTES + slot * _SLOT_BYTES
        memory[start + _NAME_AT : start + _NAME_AT + 1 + len(name)] = bytes([len(name)]) + name
        return memoryview(memory)[start : start + _NAME_AT].cast("q")


def read_counts(writer_id: str) -> tuple[OfferedRows, ...] | None:
    """Return the counts of a writer of this machine, dead or alive; None if they are not known."""
    try:
        content = (_FOLDER / f"{_PREFIX}{writer_id}").read_bytes()
    except OSError:
        return None
    found = []
    for start in range(_FOLDER_BYTES, len(content), _SLOT_BYTES):
        length = content[start + _NAME_AT]
        if not length:
            break
        name = content[start + _NAME_AT + 1 : start + _NAME_AT + 1 + length].decode()
        kind, model = name.split("/", 1)
        counts = memoryview(content)[start : start + _NAME_AT].cast("q")
        found.append(OfferedRows(LogKind(kind), model, *counts))
    return tuple(found)


def are_held(writer_id: str) -> bool:
    """Return whether the counts of a writer are those of a living process of this machine."""
    try:
        file = os.open(
            _FOLDER / f"{_PREFIX}{writer_id}", os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC
        )
    except OSError:
        return False
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(file)
    return False


def remove_counts(writer_id: str) -> None:
    """Remove the counts of a dead writer."""
    with suppress(OSError):  # those of another user stay
        (_FOLDER / f"{_PREFIX}{writer_id}").unlink(missing_ok=True)


def _remove_orphans() -> None:
    """Remove the counts of dead writers whose folder is gone: no process will find their rows."""
    for path in _FOLDER.glob(f"{_PREFIX}*"):
        with suppress(OSError):  # of another user, alive, or removed just now
            file = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                stated = os.pread(file, _FOLDER_BYTES, 0).rstrip(b"\0")
                if _is_path(stated) and not Path(os.fsdecode(stated)).exists():
                    path.unlink()
            finally:
                os.close(file)


def _is_path(stated: bytes) -> bool:
    return stated.startswith(b"/") and b"\0" not in stated


def _shared(path: Path, folder: bytes) -> tuple[mmap.mmap | None, int | None]:
    """Return the memory of a new file and its lock; nothing if there is no room for them."""
    if len(folder) >= _FOLDER_BYTES:
        return None, None
    size_bytes = _FOLDER_BYTES + _SLOTS * _SLOT_BYTES
    file: int | None = None
    try:
        file = os.open(
            path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600
        )
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # Allocated now: a page that cannot be later would end the process.
        os.posix_fallocate(file, 0, size_bytes)
        memory = mmap.mmap(file, size_bytes)
    except OSError:
        path.unlink(missing_ok=True)
        if file is not None:
            os.close(file)
        return None, None
    memory[: len(folder)] = folder  # last: a file without it stays
    return memory, file
