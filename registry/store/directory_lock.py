"""One registry per directory: a second one would empty the first one's uploads."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from understudy.domain.errors import RefusedError, UnavailableError

_LOCK_FILE = "registry.lock"


@contextmanager
def locked(directory: Path) -> Iterator[None]:
    """Make `directory` and hold it until the block ends, or the process does.

    Raises:
        RefusedError: another registry holds it.
        UnavailableError: it cannot be made or written.
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
