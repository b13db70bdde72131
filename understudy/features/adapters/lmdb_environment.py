"""The LMDB environment under a feature store: opening, its size, and the check of its file."""

import os
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from pathlib import Path

import lmdb

from understudy.domain.errors import NotFoundError, UnavailableError
from understudy.features.adapters.lmdb_sealed import unsealed

FIRST_MAP_BYTES = 1 << 30  # address space; the file grows only with what is written
_MOST_READERS = 1024
_DATA_FILE = "data.mdb"  # LMDB's name for it
_CLOCK_EVERY = 1024  # records between looks at the clock


@dataclass(frozen=True, slots=True)
class Verified:
    """The result of a walk through an environment whose structure is sound."""

    records: int
    damaged: int  # records that differ from their checksum
    is_complete: bool  # False: the time was up first


def open_environment(path: Path, *, writable: bool) -> lmdb.Environment:
    """Open the environment in folder `path`; for writing, a missing one is created.

    Call it in the process that uses it: an environment does not survive a fork.

    Raises:
        NotFoundError: it does not exist, and was to be read.
        UnavailableError: it cannot be opened, or its file is cut short.
    """
    if not writable:
        check_environment(path)
        if not data_file(path).stat().st_size:
            raise UnavailableError(f"feature store lmdb:{path}", f"{_DATA_FILE} is empty")
    try:
        environment = _open(path, writable=writable)
    except (lmdb.Error, OSError) as error:
        raise UnavailableError(f"feature store lmdb:{path}", str(error)) from error
    try:
        check_size(path, environment, data_file(path).stat().st_size)
    except UnavailableError:
        environment.close()
        raise
    return environment


def check_environment(path: Path) -> None:
    """Check that there is an environment in folder `path`.

    Raises:
        NotFoundError: there is none.
        UnavailableError: the folder cannot be read.
    """
    try:
        exists = data_file(path).is_file()
    except OSError as error:
        raise UnavailableError(f"feature store lmdb:{path}", str(error)) from error
    if not exists:
        missing = NotFoundError("feature store", f"lmdb:{path}")
        missing.add_note("`understudy features load` creates one")
        raise missing


def data_file(path: Path) -> Path:
    """Return the path of the file with the records of the environment in folder `path`."""
    return path / _DATA_FILE


def signature_of(path: Path) -> Hashable:
    """Return a value that changes whenever the environment in folder `path` may have changed."""
    file = data_file(path)
    try:
        found = file.stat()
    except OSError as error:
        return error.errno
    is_readable = os.access(file, os.R_OK)
    return (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, is_readable)


def check_size(path: Path, environment: lmdb.Environment, size_bytes: int) -> None:
    """Check that a file of `size_bytes` has all pages: reading beyond its end kills the process.

    Raises:
        UnavailableError: it has been cut short.
    """
    needed_bytes = (environment.info()["last_pgno"] + 1) * environment.stat()["psize"]
    if size_bytes < needed_bytes:
        why = f"{_DATA_FILE} is cut short: {size_bytes} bytes of {needed_bytes}"
        raise UnavailableError(f"feature store lmdb:{path}", why)


def verify(
    environment: lmdb.Environment, *, longest_s: float, now_s: Callable[[], float]
) -> Verified:
    """Walk through all records for up to `longest_s`; damage may also kill the process.

    Raises:
        lmdb.Error: the structure is damaged.
    """
    until_s = now_s() + longest_s
    seen = damaged = 0
    last_key = b""
    with environment.begin() as transaction:
        entries: int = transaction.stat()["entries"]
        for key, value in transaction.cursor():
            seen += 1
            if seen > entries or key <= last_key:
                raise lmdb.CorruptedError("keys out of order")
            last_key = key
            if not key.startswith(b"\0") and unsealed(key, value) is None:
                damaged += 1
            if seen % _CLOCK_EVERY == 0 and now_s() > until_s:
                return Verified(seen, damaged, is_complete=False)
    if seen < entries:
        raise lmdb.CorruptedError(f"{seen} of {entries} keys")
    return Verified(seen, damaged, is_complete=True)


def _open(path: Path, *, writable: bool) -> lmdb.Environment:
    if writable:
        path.mkdir(parents=True, exist_ok=True)
    return lmdb.open(
        str(path),
        map_size=FIRST_MAP_BYTES if writable else 0,
        readonly=not writable,
        create=writable,
        max_readers=_MOST_READERS,
        readahead=False,  # reads are of single keys, scattered over the file
        max_spare_txns=2,
    )
