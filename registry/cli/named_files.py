"""Files named on the command line: new ones, whole or not there, and texts to read."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from understudy.domain.errors import Fault, InvalidInputError
from understudy.provenance.signing_keys import TrustedKeys


@contextmanager
def new_file(path: Path, mode: int, *, field: str = "FILE") -> Iterator[BinaryIO]:
    """Open a new file; a failure removes it, because a part would pass for the whole.

    Raises:
        InvalidInputError: the file exists, or cannot be made; it names `field`.
    """
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    except OSError as error:
        fault = Fault(field, f"{path}: {error.strerror}", "a new file")
        raise InvalidInputError([fault]) from error
    try:
        with os.fdopen(descriptor, "wb") as new:
            yield new
    except BaseException:
        path.unlink(missing_ok=True)
        raise


def text_of(path: Path, option: str) -> str:
    """Return the content of a file.

    Raises:
        InvalidInputError: it is not readable, or not in UTF-8.
    """
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        fault = Fault(option, f"{path}: {error}", "a readable file in UTF-8")
        raise InvalidInputError([fault]) from error


def trusted_keys(path: Path) -> TrustedKeys:
    """Return the public keys in the file of `--trusted-key`.

    Raises:
        InvalidInputError: it is not readable, or holds no keys.
    """
    return TrustedKeys.read(text_of(path, "--trusted-key"), "--trusted-key")
