"""Removal of files that a merged one has replaced, and exclusion of other processes that remove.

A merged file appears by rename, and only then are its sources removed. If that is cut short, their
names in its metadata keep them out of sight until `finish_replacements` removes them.
"""

import fcntl
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pyarrow.parquet as pq

from understudy.domain.errors import RefusedError
from understudy.logs.access import access_of
from understudy.logs.finished_files import Scope, finished_files
from understudy.logs.readable_files import FAULTS_OF_READING, replaced_by
from understudy.logs.schema import LogKind

PARTIAL = ".rewritten"  # not the suffix of a log file: no reader sees it
_LOCK = "upkeep.lock"


def finish_replacements(root: Path, kind: LogKind, scope: Scope) -> None:
    """Remove replaced files, and partial ones, that a killed process has left; hold the lock.

    Raises:
        InvalidInputError: a link leads out of the directory.
        OSError: a file cannot be removed.
    """
    paths = finished_files(root, kind, scope)
    for replaced in replaced_by(paths, kind):
        Path(replaced).unlink(missing_ok=True)
    for folder in {path.parent for path in paths}:
        for partial in folder.glob(f"*{PARTIAL}"):
            partial.unlink(missing_ok=True)


def metadata_of(path: Path) -> Mapping[bytes, bytes]:
    """Return the metadata of a file; none if it cannot be read."""
    try:
        return pq.read_schema(path).metadata or {}
    except FAULTS_OF_READING:
        return {}


@contextmanager
def only_upkeep(root: Path) -> Iterator[None]:
    """Keep other processes from removing or merging files below `root`.

    Raises:
        RefusedError: another process does.
        OSError: the directory cannot be written.
    """
    with locked(root, _LOCK) as is_only:
        if not is_only:
            raise RefusedError(f"another process removes or merges files of {root}")
        yield


@contextmanager
def locked(root: Path, name: str) -> Iterator[bool]:
    """Yield whether no other process has the lock of that name; none gets it while the block runs.

    Raises:
        OSError: the directory cannot be written.
    """
    path = root / "writers" / name
    access_of(root).make_folder(path.parent)
    lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
    finally:
        os.close(lock)
