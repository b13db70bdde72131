"""The loader of an LMDB feature store; only one may run at a time."""

from collections.abc import Sequence
from pathlib import Path

import lmdb

from understudy.domain.errors import UnavailableError
from understudy.domain.features import FeatureView
from understudy.features.adapters.lmdb_environment import open_environment
from understudy.features.adapters.lmdb_sealed import sealed, unsealed
from understudy.features.adapters.lmdb_store import key_of, key_prefix, mark_key, newest_key
from understudy.features.decisions.entity_keys import check_ids
from understudy.features.decisions.record_format import event_time_ms_of, is_of, record_format
from understudy.features.decisions.record_order import is_later
from understudy.features.ports import LoadMark, WriteCounts


class LmdbWriter:
    """Writes to the environment in folder `path`; LMDB allows one writing process at a time."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._environment = open_environment(path, writable=True)
        self._environment.reader_check()  # frees the slots of killed readers

    def write(
        self, view: FeatureView, records: Sequence[tuple[str, bytes]], *, mark: LoadMark | None
    ) -> WriteCounts:
        """Put all records and the mark in one transaction: all of them or none."""
        while True:
            try:
                return self._write(view, records, mark)
            except lmdb.MapFullError:
                size_bytes: int = self._environment.info()["map_size"]
                self._environment.set_mapsize(size_bytes * 2)
            except lmdb.Error as error:
                raise UnavailableError(f"feature store lmdb:{self._path}", str(error)) from error

    def read_mark(self, load_id: str) -> int:
        with self._environment.begin() as transaction:
            stored = transaction.get(mark_key(load_id))
        return int.from_bytes(stored, "little") if stored is not None else 0

    def count_held(self, view: FeatureView, entity_ids: Sequence[str]) -> int:
        prefix = key_prefix(view)
        with self._environment.begin() as transaction:
            return sum(transaction.get(key_of(prefix, each)) is not None for each in entity_ids)

    def delete(self, view: FeatureView, entity_id: str) -> bool:
        check_ids(view.key, [entity_id])
        try:
            with self._environment.begin(write=True) as transaction:
                return transaction.delete(key_of(key_prefix(view), entity_id))
        except lmdb.Error as error:
            raise UnavailableError(f"feature store lmdb:{self._path}", str(error)) from error

    def close_now(self) -> None:
        self._environment.close()

    def _write(
        self, view: FeatureView, records: Sequence[tuple[str, bytes]], mark: LoadMark | None
    ) -> WriteCounts:
        check_ids(view.key, [entity_id for entity_id, _ in records])
        form = record_format(view)
        prefix = key_prefix(view)
        written = 0
        with self._environment.begin(write=True) as transaction:
            stored = transaction.get(newest_key(view))
            newest_ms = None if stored is None else int.from_bytes(stored, "little", signed=True)
            for entity_id, record in records:
                key = key_of(prefix, entity_id)
                value = transaction.get(key)
                there = None if value is None else unsealed(key, value)  # None: damaged
                if (
                    there is not None
                    and is_of(form, there)
                    and not is_later(form, record, than=there)
                ):
                    continue
                transaction.put(key, sealed(key, record))
                written += 1
                event_time_ms = event_time_ms_of(form, record)
                if newest_ms is None or event_time_ms > newest_ms:
                    newest_ms = event_time_ms
            if newest_ms is not None:
                transaction.put(newest_key(view), newest_ms.to_bytes(8, "little", signed=True))
            if mark is not None:
                transaction.put(mark_key(mark.load_id), mark.rows.to_bytes(8, "little"))
        return WriteCounts(written, len(records) - written)
