"""Removal of rows on purpose from the logs in an object store: of days that are over, and of one unit.

No lock holds across machines. Objects change as a whole, the numbers of removed rows are stated
first, and each process that puts a file leaves out the rows that were stated as erased.
"""

import json
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from datetime import date, timedelta

import pyarrow as pa
import pyarrow.parquet as pq

from understudy.domain.errors import NotFoundError
from understudy.domain.logged_ids import LoggedIds, stated_ids
from understudy.domain.merged_files import replaced_files
from understudy.logs.erased_rows import ErasedRows, file_content
from understudy.logs.finished_files import Scope
from understudy.logs.places import objects_in_scope
from understudy.logs.readable_files import FAULTS_OF_READING, fault_of
from understudy.logs.removal import LogFile, Removal, UnitRemoval, remove_days
from understudy.logs.schema import LogKind, schema_of_kind
from understudy.logs.statements import RemovedRows, new_removal_name
from understudy.runtime.object_file import ObjectFile
from understudy.runtime.object_store import ObjectStore, StoredObject

_THREADS = 8  # most of the time is waiting for the store
_MOST_PASSES = 3  # routers may send files meanwhile; those sent after the last pass are left


def remove_days_in_store(
    store: ObjectStore, day: date, *, model: str | None, dry_run: bool
) -> Removal:
    """Remove all rows of days before `day`, UTC; objects that are no logs of ours stay.

    Raises:
        NotFoundError: the store has no logs at all.
        UnavailableError: it does not answer, or refuses; rows that are left are found again.
    """
    files = _StoredFiles(store)
    files.check()
    scope = Scope(model, until=day - timedelta(days=1))
    if not dry_run:
        files.finish_replacements(scope)
    return remove_days(files, scope, dry_run=dry_run)


def remove_unit_in_store(
    store: ObjectStore, unit: str, ids: LoggedIds, *, model: str | None, dry_run: bool
) -> Removal:
    """Remove all rows of a unit, as unit or as candidate, and the outcomes of its requests.

    Args:
        store: with the logs.
        unit: the id itself.
        ids: the rule by which the logs contain ids; files that state another one are left out.
        model: of the logs; None for all.
        dry_run: count only.

    Raises:
        NotFoundError: the store has no logs at all.
        UnavailableError: it does not answer, or refuses; rows that are left are found again.
    """
    (key,) = ids.written([unit])
    files, scope = _StoredFiles(store), Scope(model)
    files.check()
    removal = UnitRemoval(files, key, ids, scope)
    if dry_run:
        return removal.run(dry_run=True)
    done = Removal(0, 0, 0)
    for _ in range(_MOST_PASSES):
        files.finish_replacements(scope)
        found = removal.run(dry_run=False)
        done = Removal(done.rows + found.rows, done.files + found.files, found.left_out)
        if not found.rows:
            break
    return done


@dataclass(slots=True)
class _StoredFiles:
    """The objects of a store that are files of the logs."""

    store: ObjectStore
    _erased: ErasedRows = field(init=False)
    _schemas: dict[StoredObject, pa.Schema | None] = field(default_factory=dict)
    _listed: dict[str, StoredObject] = field(default_factory=dict)  # by key, as of the last listing

    def __post_init__(self) -> None:
        self._erased = ErasedRows(self.store)

    def check(self) -> None:
        """Return if the store has logs: a URL with a fault must not look like an erasure.

        Raises:
            NotFoundError: it has none at all.
        """
        if not any(next(self.store.listed(kind.value), None) for kind in LogKind):
            raise NotFoundError("log directory", self.store.url)

    def finish_replacements(self, scope: Scope) -> None:
        """Remove the objects that merged ones have replaced, if a router was cut short."""
        for kind in LogKind:
            found = self._found(kind, scope)
            for key in sorted(_replaced(found, kind) & {each.key for each in found}):
                self.store.remove(key)

    def readable(self, kind: LogKind, scope: Scope) -> tuple[Sequence[LogFile], int]:
        found = self._found(kind, scope)
        replaced = _replaced(found, kind)
        current = {each: schema for each, schema in found.items() if each.key not in replaced}
        readable = [
            LogFile(kind, _model_of(each.key), each.key, each.e_tag, stated_ids(schema.metadata))
            for each, schema in current.items()
            if schema is not None and fault_of(schema, schema_of_kind(kind)) is None
        ]
        return readable, len(current) - len(readable)

    def read(self, file: LogFile, columns: Sequence[str] | None = None) -> pa.Table:
        if columns is None:  # the latest content, whatever was searched
            return pq.ParquetFile(pa.BufferReader(self.store.read(file.name))).read()
        return _opened(self.store, self._listed[file.name]).read(columns)

    def replace(self, file: LogFile, kept: pa.Table) -> None:
        self._erased.refresh()
        while True:
            rows = self._erased.kept(file.kind, file.model, kept)
            if len(rows):
                self.store.put(file.name, file_content(rows))
            else:
                self.store.remove(file.name)
            if not self._erased.refresh():
                return

    def remove(self, file: LogFile) -> None:
        self.store.remove(file.name)

    def state(self, removed: RemovedRows) -> None:
        self.store.put(new_removal_name(), json.dumps(asdict(removed)).encode())

    def _found(self, kind: LogKind, scope: Scope) -> dict[StoredObject, pa.Schema | None]:
        """Return the objects in scope with their schemas; None for one that is no Parquet."""
        objects = list(objects_in_scope(self.store, kind, scope))
        self._listed |= {each.key: each for each in objects}
        new = [each for each in objects if each not in self._schemas]
        with ThreadPoolExecutor(_THREADS) as threads:
            self._schemas |= zip(new, threads.map(self._schema_of, new), strict=True)
        return {each: self._schemas[each] for each in objects}

    def _schema_of(self, stored: StoredObject) -> pa.Schema | None:
        try:
            return _opened(self.store, stored).schema_arrow
        except (*FAULTS_OF_READING, NotFoundError):
            return None  # damaged, of other software, or replaced since the listing


def _opened(store: ObjectStore, stored: StoredObject) -> pq.ParquetFile:
    return pq.ParquetFile(pa.PythonFile(ObjectFile(store, stored), mode="r"))


def _model_of(key: str) -> str:
    return key.split("/")[1].removeprefix("model=")


def _replaced(found: Mapping[StoredObject, pa.Schema | None], kind: LogKind) -> frozenset[str]:
    """Return the keys of objects that others replace; only a log of ours can."""
    expected = schema_of_kind(kind)
    ours = {
        each.key: schema.metadata
        for each, schema in found.items()
        if schema is not None and fault_of(schema, expected) is None
    }
    return replaced_files(ours)
