"""Files named on the command line: new ones, whole or not there, and texts to read."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO
from uuid import uuid4

from understudy.domain.errors import Fault, InvalidInputError
from understudy.provenance.signing_keys import TrustedKeys
from understudy.runtime.synced_folder import sync_folder


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


@contextmanager
def whole_file(path: Path, mode: int) -> Iterator[BinaryIO]:
    """Open a file for writing and reading that gets the name `path` when the block ends well.

    It is on disk before it has its name, so that a part never passes for the whole.

    Raises:
        InvalidInputError: the file exists, or cannot be made.
    """
    if path.exists():
        raise InvalidInputError.of("FILE", read=f"{path}, which exists", accepted="a new file")
    part = path.with_name(f".{path.name}.{uuid4().hex}.part")
    try:
        descriptor = os.open(part, os.O_RDWR | os.O_CREAT | os.O_EXCL, mode)
    except OSError as error:
        fault = Fault("FILE", f"{path}: {error.strerror}", "a new file")
        raise InvalidInputError([fault]) from error
    try:
        with os.fdopen(descriptor, "w+b") as new:
            yield new
            new.flush()
            os.fsync(new.fileno())
        part.rename(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


@contextmanager
def existing_file(path: Path) -> Iterator[BinaryIO]:
    """Open a file for reading.

    Raises:
        InvalidInputError: it is not there, or not readable.
    """
    try:
        file = path.open("rb")
    except OSError as error:
        fault = Fault("FILE", f"{path}: {error.strerror}", "a readable file")
        raise InvalidInputError([fault]) from error
    with file:
        yield file


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
