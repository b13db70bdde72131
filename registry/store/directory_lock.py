"""The lock that allows one registry per directory: a second would delete the first one's uploads."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from registry.store.postgresql import PostgresqlPlace
from understudy.domain.errors import RefusedError, UnavailableError

_LOCK_FILE = "registry.lock"


@contextmanager
def locked_for(database: Path | PostgresqlPlace, directory: Path) -> Iterator[None]:
    """Lock the directories of a registry with SQLite until the block ends; others share theirs.

    Raises:
        RefusedError, UnavailableError: see `locked`.
    """
    with ExitStack() as locks:
        if isinstance(database, Path):
            for each in dict.fromkeys((directory, database.parent)):
                locks.enter_context(locked(each))
        yield


@contextmanager
def locked(directory: Path) -> Iterator[None]:
    """Create `directory` and lock it until the block or the process ends.

    Raises:
        RefusedError: another registry holds it.
        UnavailableError: it cannot be created or written.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(directory / _LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise UnavailableError(f"directory {directory}", str(error.strerror)) from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise RefusedError(f"another registry serves the directory {directory}") from error
        yield
    finally:
        os.close(descriptor)
