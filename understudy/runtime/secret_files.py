"""Secrets in files: read only if others cannot, and written so.

Any secret setting `NAME` may be given as `NAME_FILE`, the path of its file.
"""

import os
import stat
from pathlib import Path

from understudy.domain.errors import Fault, InvalidInputError

_MOST_BYTES = 64 * 1024
_ACCEPTED = f"a file of 1 to {_MOST_BYTES} bytes in UTF-8 that we can read and others cannot, e.g. with mode 0600"
_FOR_OTHERS = 0o007
_OURS_ALONE = 0o600


def read_secret(path: Path, *, variable: str) -> str:
    """Return the content of the file, without the line break at its end.

    Others must have no access. The group may: orchestrators mount secrets for a group.

    Raises:
        InvalidInputError: the file cannot be read, or its content or mode is not acceptable; the
            content is not part of the text.
    """
    try:
        with open(path, "rb", opener=_without_waiting) as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise _refused(variable, f"no file at {path}")
            if status.st_mode & _FOR_OTHERS:
                mode = stat.S_IMODE(status.st_mode)
                raise _refused(variable, f"mode {mode:04o} of {path}")
            content = file.read(_MOST_BYTES + 1)
        secret = content.decode().removesuffix("\n").removesuffix("\r")
    except OSError as error:
        raise _refused(variable, f"{error.strerror}: {path}") from error
    except UnicodeDecodeError as error:
        raise _refused(variable, f"bytes that are not in UTF-8 in {path}") from error
    if not secret or len(content) > _MOST_BYTES:
        size = "nothing" if not secret else f"more than {_MOST_BYTES} bytes"
        raise _refused(variable, f"{size} in {path}")
    return secret


def write_secret(path: Path, content: bytes) -> None:
    """Write the file, or replace it, with access for us alone.

    It is complete under its name or not there at all: a secret that is cut off would still be taken.

    Raises:
        OSError: it cannot be written.
    """
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with open(unfinished, "xb", opener=_ours_alone) as new:
            new.write(content)
            new.flush()
            os.fsync(new.fileno())
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def _ours_alone(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_CLOEXEC, _OURS_ALONE)


def _without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK | os.O_CLOEXEC)  # a pipe would hold the start up


def _refused(variable: str, read: str) -> InvalidInputError:
    return InvalidInputError([Fault(variable, read, _ACCEPTED)])
