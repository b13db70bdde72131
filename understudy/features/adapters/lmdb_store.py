"""A feature store in LMDB (several reading processes, one loader, on one machine), and its keys."""

from collections.abc import Mapping, Sequence
from hashlib import sha256
from pathlib import Path

import lmdb

from understudy.domain.errors import UnavailableError
from understudy.domain.features import FeatureView
from understudy.features.adapters.lmdb_environment import open_environment
from understudy.features.ports import ViewRead

_LONGEST_KEY_BYTES = 511  # compiled into LMDB
_HASHED = b"#sha256:"


class LmdbStore:
    """Reads from the environment in folder `path`; each read sees what a loader has committed."""

    inline = True  # a read takes a few microseconds of memory access

    def __init__(self, path: Path) -> None:
        self._path = path
        self._environment = open_environment(path, writable=False)

    def read_now(self, reads: Sequence[ViewRead]) -> list[list[bytes | None]]:
        try:
            return self._read(reads)
        except lmdb.MapResizedError:
            # A loader has grown the map: adopt its size and read again.
            self._environment.set_mapsize(0)
            return self._read(reads)
        except lmdb.Error as error:
            raise UnavailableError(f"feature store lmdb:{self._path}", str(error)) from error

    async def read(
        self, reads: Sequence[ViewRead], *, timeout_s: float
    ) -> list[list[bytes | None]]:
        if timeout_s <= 0:
            raise UnavailableError(f"feature store lmdb:{self._path}", "no time left to read")
        return self.read_now(reads)

    def counters(self) -> Mapping[str, int]:
        return {}  # every key gets an answer: a whole record or none

    async def ping(self, *, timeout_s: float) -> None:
        """Read a key that need not exist."""
        await self.read([], timeout_s=timeout_s)

    async def newest_event_time_ms(self, view: FeatureView, *, timeout_s: float) -> int | None:
        await self.ping(timeout_s=timeout_s)
        with self._environment.begin() as transaction:
            stored = transaction.get(newest_key(view))
        return None if stored is None else int.from_bytes(stored, "little", signed=True)

    async def close(self) -> None:
        self._environment.close()

    def _read(self, reads: Sequence[ViewRead]) -> list[list[bytes | None]]:
        # One short transaction per batch: a long one would keep the loader from reusing pages.
        # The binding keeps a spare transaction and renews it.
        with self._environment.begin() as transaction:
            get = transaction.get
            batches: list[list[bytes | None]] = []
            for read in reads:
                prefix = key_prefix(read.view)
                batches.append(
                    [
                        None if entity_id is None else get(key_of(prefix, entity_id))
                        for entity_id in read.entity_ids
                    ]
                )
        return batches


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
