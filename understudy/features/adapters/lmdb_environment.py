"""The LMDB environment under a feature store, and its size."""

from pathlib import Path

import lmdb

from understudy.domain.errors import NotFoundError, UnavailableError

FIRST_MAP_BYTES = 1 << 30  # address space; the file grows only with what is written
_MOST_READERS = 1024
_DATA_FILE = "data.mdb"  # LMDB's name for it


def open_environment(path: Path, *, writable: bool) -> lmdb.Environment:
    """Open the environment in folder `path`; for writing, a missing one is created.

    Call it in the process that uses it: an environment does not survive a fork.

    Raises:
        NotFoundError: it does not exist, and was to be read.
        UnavailableError: it cannot be opened.
    """
    if not writable:
        check_environment(path)
    try:
        return _open(path, writable=writable)
    except (lmdb.Error, OSError) as error:
        raise UnavailableError(f"feature store lmdb:{path}", str(error)) from error


def check_environment(path: Path) -> None:
    """Check that there is an environment in folder `path`.

    Raises:
        NotFoundError: there is none.
    """
    if not (path / _DATA_FILE).is_file():
        error = NotFoundError("feature store", f"lmdb:{path}")
        error.add_note("`understudy features load` creates one")
        raise error


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
