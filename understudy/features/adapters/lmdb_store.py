"""A feature store in LMDB (several reading processes, one loader, on one machine), and its keys."""

import os
from collections.abc import Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from time import monotonic

import lmdb

from understudy.domain.errors import UnavailableError
from understudy.domain.features import FeatureView
from understudy.features.adapters.lmdb_environment import (
    Verified,
    check_size,
    data_file,
    open_environment,
    verify,
)
from understudy.features.adapters.lmdb_sealed import unsealed
from understudy.features.decisions.storable_ids import storable_ids
from understudy.features.ports import UNANSWERED, UnusableError, ViewRead

_LONGEST_KEY_BYTES = 511  # compiled into LMDB
_HASHED = b"#sha256:"


class LmdbStore:
    """Reads from the environment in folder `path`; each read sees all commits of loaders.

    LMDB maps its file: a file that is cut short or damaged can end the process that reads it.
    Production code therefore reads through `understudy.features.reader`.
    """

    threads = 1  # reading holds the GIL

    def __init__(self, path: Path) -> None:
        self._path = path
        self._environment = open_environment(path, writable=False)
        self._file = os.open(data_file(path), os.O_RDONLY)
        self._identity = _identity(os.fstat(self._file))
        self._verified = Verified(0, 0, is_complete=False)
        self._damaged_reads = 0

    def verify(self, *, longest_s: float) -> None:
        """Walk through the records for up to `longest_s`; each is checked again when it is read.

        Raises:
            UnavailableError: the structure is damaged. Damage may also end the process.
        """
        self._environment.reader_check()  # frees the slots of killed readers
        try:
            self._verified = verify(self._environment, longest_s=longest_s, now_s=monotonic)
        except lmdb.Error as error:
            raise self._unusable(f"its file is damaged: {error}") from error

    def read_blocking(
        self, reads: Sequence[ViewRead], *, timeout_s: float
    ) -> list[list[bytes | None]]:
        """Read, whatever the limit: the records are in memory."""
        if timeout_s <= 0:
            raise UnavailableError(self._dependency, "no time left to read")
        try:
            return self._read(reads)
        except lmdb.MapResizedError:
            # A loader has grown the map: adopt its size and read again.
            self._environment.set_mapsize(0)
            return self._read(reads)
        except lmdb.Error as error:
            raise self._unusable(str(error)) from error

    async def read(
        self, reads: Sequence[ViewRead], *, timeout_s: float
    ) -> list[list[bytes | None]]:
        return self.read_blocking(reads, timeout_s=timeout_s)

    def counters(self) -> Mapping[str, int]:
        return {"damaged_records": self._verified.damaged + self._damaged_reads}

    def condition(self) -> str:
        """Return a description of the faults of its file; "" if there are none.

        Raises:
            UnusableError: the open file is cut short, or another one has taken its place.
        """
        opened = os.fstat(self._file)
        try:
            check_size(self._path, self._environment, opened.st_size)
        except UnavailableError as error:
            raise self._unusable(error.why) from error
        notes = []
        try:
            if _identity(data_file(self._path).stat()) != self._identity:
                raise self._unusable("another file has taken its place")
        except OSError as error:
            notes.append(f"its file cannot be found, the open one is read on: {error}")
        if damaged := self.counters()["damaged_records"]:
            notes.append(f"{damaged} records differ from their checksums and count as unanswered")
        return "; ".join(notes)

    def troubles(self) -> Sequence[str]:
        condition = self.condition()
        return [condition] if condition else []

    def ping_blocking(self, *, timeout_s: float) -> None:
        """Read a key that need not exist."""
        self.read_blocking([], timeout_s=timeout_s)

    async def ping(self, *, timeout_s: float) -> None:
        self.ping_blocking(timeout_s=timeout_s)

    def newest_blocking(self, view: FeatureView, *, timeout_s: float) -> int | None:
        self.ping_blocking(timeout_s=timeout_s)
        try:
            with self._environment.begin() as transaction:
                stored = transaction.get(newest_key(view))
        except lmdb.Error as error:
            raise self._unusable(str(error)) from error
        return None if stored is None else int.from_bytes(stored, "little", signed=True)

    async def newest_event_time_ms(self, view: FeatureView, *, timeout_s: float) -> int | None:
        return self.newest_blocking(view, timeout_s=timeout_s)

    async def close(self) -> None:
        self.close_now()

    def close_now(self) -> None:
        self._environment.close()
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def _read(self, reads: Sequence[ViewRead]) -> list[list[bytes | None]]:
        # One short transaction per batch: a long one would keep the loader from reusing pages.
        # The binding keeps a spare transaction and renews it.
        with self._environment.begin() as transaction:
            get = transaction.get
            batches: list[list[bytes | None]] = []
            for read in reads:
                prefix = key_prefix(read.view)
                records: list[bytes | None] = []
                for entity_id in storable_ids(read.entity_ids):
                    key = b"" if entity_id is None else key_of(prefix, entity_id)
                    value = get(key) if key else None
                    record = None if value is None else unsealed(key, value)
                    if record is None and value is not None:
                        self._damaged_reads += 1
                        record = UNANSWERED
                    records.append(record)
                batches.append(records)
        return batches

    @property
    def _dependency(self) -> str:
        return f"feature store lmdb:{self._path}"

    def _unusable(self, why: str) -> UnusableError:
        return UnusableError(self._dependency, why)


def _identity(found: os.stat_result) -> tuple[int, int]:
    return (found.st_dev, found.st_ino)


def key_prefix(view: FeatureView) -> bytes:
    """Return the common prefix of the keys of a view's records."""
    return f"{view}\0".encode()


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
