"""Files with secrets of a stack: for its user alone, whole or not there."""

import os
from pathlib import Path


def write_secret(path: Path, content: bytes) -> None:
    """Write the file, or replace it, with mode 0600.

    It is complete under its name or not there at all: a key that is cut off would still be taken.
    """
    unfinished = path.with_name(f"{path.name}.{os.getpid()}")
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    unfinished.rename(path)
