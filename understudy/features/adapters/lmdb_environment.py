"""The LMDB environment under a feature store: opening it, its keys, its size."""

from hashlib import sha256
from pathlib import Path

import lmdb

from understudy.domain.errors import UnavailableError
from understudy.domain.features import FeatureView

FIRST_MAP_BYTES = 1 << 30  # address space; the file grows only with what is written
_LONGEST_KEY_BYTES = 511  # compiled into LMDB
_MOST_READERS = 1024
_HASHED = b"#sha256:"


def open_environment(path: Path, *, writable: bool) -> lmdb.Environment:
    """Open the environment in folder `path`, made when it is missing.

    Call it in the process that uses it: an environment does not survive a fork.

    Raises:
        UnavailableError: it cannot be opened.
    """
    try:
        if not writable and not (path / "data.mdb").exists():
            _open(path, writable=True).close()
        return _open(path, writable=writable)
    except (lmdb.Error, OSError) as error:
        raise UnavailableError(f"feature store lmdb:{path}", str(error)) from error


def key_prefix(view: FeatureView) -> bytes:
    """Return the common prefix of the keys of a view's records."""
    return b"%s@%d\0" % (view.name.encode(), view.version)


def key_of(prefix: bytes, entity_id: str) -> bytes:
    """Return the key of an entity's record; ids that are too long for a key are hashed."""
    key = prefix + entity_id.encode()
    if len(key) <= _LONGEST_KEY_BYTES:
        return key
    return prefix + _HASHED + sha256(entity_id.encode()).digest()


def mark_key(load_id: str) -> bytes:
    """Return the key of a load's mark; it has a prefix that no view's keys have."""
    return b"\0load\0" + sha256(load_id.encode()).digest()


def newest_key(view: FeatureView) -> bytes:
    """Return the key of the newest event time among a view's records."""
    return b"\0newest\0" + key_prefix(view)


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
