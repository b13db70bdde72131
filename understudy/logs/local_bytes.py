"""The bytes that the logs take on the local disk, and the bound on them for logs that are shipped."""

import errno
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

_MEASURE_S = 10.0  # from one measurement to the next
_AT_BOUND_S = 1.0  # the same while the bound is reached


def bytes_below(root: Path, pause: Callable[[], None] = lambda: None) -> int:
    """Return the size of all files below a folder; one that goes meanwhile counts as nothing.

    Args:
        root: the folder; it may not exist.
        pause: called after each folder.
    """
    total_bytes = 0
    folders = [str(root)]
    while folders:
        try:
            with os.scandir(folders.pop()) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        folders.append(entry.path)
                    else:
                        total_bytes += _size_bytes(entry)
        except (FileNotFoundError, NotADirectoryError):
            continue
        pause()
    return total_bytes


def _size_bytes(entry: "os.DirEntry[str]") -> int:
    try:
        return entry.stat(follow_symlinks=False).st_size
    except FileNotFoundError:
        return 0


@dataclass(slots=True)
class LocalBound:
    """Refuses further rows while the logs take more than their bound.

    It is measured, and not told by the shipping process, which may be the one that does not run.
    """

    root: Path
    most_bytes: int | None  # None: no bound
    now_s: Callable[[], float]  # monotonic
    _measure_at_s: float = float("-inf")
    _local_bytes: int = 0

    def check(self) -> None:
        """Return if there is room for rows.

        Raises:
            OSError: there is none, or the directory cannot be read.
        """
        if self.most_bytes is None:
            return
        if self.now_s() >= self._measure_at_s:
            self._local_bytes = bytes_below(self.root)
            is_reached = self._local_bytes >= self.most_bytes
            self._measure_at_s = self.now_s() + (_AT_BOUND_S if is_reached else _MEASURE_S)
        if self._local_bytes >= self.most_bytes:
            raise OSError(
                errno.EDQUOT,
                f"the logs take {self._local_bytes} bytes of {self.most_bytes}: unshipped files fill them",
                str(self.root),
            )
