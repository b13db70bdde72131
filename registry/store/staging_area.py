"""The folder in which a process receives uploads; those of processes that ended are removed."""

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

_LOCK = ".lock"  # at the end of the name of a folder's lock


class StagingArea:
    """A folder of this process below `root`, locked until it is closed or the process ends."""

    def __init__(self, root: Path) -> None:
        """Make the folder, and remove those of ended processes.

        Raises:
            OSError: the folder cannot be made.
        """
        root.mkdir(parents=True, exist_ok=True)
        self.directory = root / uuid4().hex
        with _locked(root / f"root{_LOCK}"):
            _remove_abandoned(root)
            self._lock = _opened(_lock_of(self.directory))
            fcntl.flock(self._lock, fcntl.LOCK_EX)
            self.directory.mkdir()

    def close(self) -> None:
        """Remove the folder, with all that was not kept."""
        shutil.rmtree(self.directory, ignore_errors=True)
        _lock_of(self.directory).unlink(missing_ok=True)
        os.close(self._lock)


def _remove_abandoned(root: Path) -> None:
    for folder in root.iterdir():
        if not folder.is_dir():
            continue
        lock = _opened(_lock_of(folder))
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder, ignore_errors=True)
            _lock_of(folder).unlink(missing_ok=True)
        except BlockingIOError:
            continue  # another process receives uploads there
        finally:
            os.close(lock)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    lock = _opened(path)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def _opened(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


def _lock_of(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}{_LOCK}")
