"""The counts of rows that a writer was offered, in memory that outlives its process.

A killed process leaves no gap behind the last row that it wrote. Its counts do: they are in a file
below /dev/shm, which the kernel keeps, and whose pages never wait for a disk.
"""

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
        self._of: dict[tuple[LogKind, str], Counts] = {}

    def share(self) -> None:
        """Let later counts outlive the process; without shared memory they do not."""
        self._memory = _shared(self._path)

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

    def _begin(self, name: bytes) -> Counts:
        slot = len(self._of)
        memory = self._memory
        if memory is None or slot >= _SLOTS or len(name) > _MOST_NAME_BYTES:
            return [0] * _COUNTS
        start = slot * _SLOT_BYTES
        memory[start + _NAME_AT : start + _NAME_AT + 1 + len(name)] = bytes([len(name)]) + name
        return memoryview(memory)[start : start + _NAME_AT].cast("q")


def read_counts(writer_id: str) -> tuple[OfferedRows, ...] | None:
    """Return the counts of a writer of this machine, dead or alive; None if they are not known."""
    try:
        content = (_FOLDER / f"{_PREFIX}{writer_id}").read_bytes()
    except OSError:
        return None
    found = []
    for start in range(0, len(content), _SLOT_BYTES):
        length = content[start + _NAME_AT]
        if not length:
            break
        name = content[start + _NAME_AT + 1 : start + _NAME_AT + 1 + length].decode()
        kind, model = name.split("/", 1)
        counts = memoryview(content)[start : start + _NAME_AT].cast("q")
        found.append(OfferedRows(LogKind(kind), model, *counts))
    return tuple(found)


def remove_counts(writer_id: str) -> None:
    """Remove the counts of a dead writer."""
    with suppress(OSError):  # those of another user stay
        (_FOLDER / f"{_PREFIX}{writer_id}").unlink(missing_ok=True)


def _shared(path: Path) -> mmap.mmap | None:
    try:
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        try:
            # Allocated now: a page that cannot be later would end the process.
            os.posix_fallocate(file, 0, _SLOTS * _SLOT_BYTES)
            return mmap.mmap(file, _SLOTS * _SLOT_BYTES)
        finally:
            os.close(file)
    except OSError:
        path.unlink(missing_ok=True)
        return None
