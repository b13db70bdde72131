"""The state of a file, by which a reader knows that its content may have changed."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Self


@dataclass(frozen=True, slots=True)
class FileState:
    """Different after each replacement or change of the content."""

    inode: int
    size_bytes: int
    changed_ns: int  # since 1970

    @classmethod
    def of(cls, found: os.stat_result) -> Self:
        return cls(found.st_ino, found.st_size, found.st_mtime_ns)


def state_of(path: Path) -> FileState | None:
    """Return the state of the file; None if it cannot be found."""
    try:
        found = path.stat()
    except OSError:
        return None
    return FileState.of(found)
