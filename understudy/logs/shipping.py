"""Finished log files on their way to an object store, and off the local disk.

finished --put--> sent --same bytes read or stated by the store--> shipped --its time is over--> removed here

A file's key is its path below the log directory, so that sending it again after a kill gives the same object. Nothing
is remembered on disk: a new process compares the files with what the store lists.
"""

import hashlib
import os
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path

import pyarrow.parquet as pq

from understudy.domain.errors import RefusedError, UnavailableError, UnderstudyError
from understudy.domain.merged_files import REPLACES_KEY
from understudy.logs.decisions.shipping import ShippedFile, ShippingPolicy, removable
from understudy.logs.erased_rows import ErasedRows
from understudy.logs.finished_files import EVERYTHING, finished_files, model_of
from understudy.logs.local_bytes import bytes_below
from understudy.logs.readable_files import FAULTS_OF_READING, is_damage, readable_files, replaced_by
from understudy.logs.removed_rows import NUMBER_COLUMNS, numbers_of
from understudy.logs.replaced_files import finish_replacements, locked, metadata_of, only_upkeep
from understudy.logs.schema import LogKind
from understudy.logs.shipping_report import ShippingReport
from understudy.logs.statements import (
    STATEMENTS,
    NumbersByWriter,
    is_removal,
    shared_statements,
    state_shipped,
    united_numbers,
)
from understudy.runtime.file_state import FileState
from understudy.runtime.object_store import ObjectStore, StoredObject

_LOCK = "shipping.lock"
_MERGED = "-merged-"  # in the names of files by `logs compact`


@dataclass(slots=True)
class Shipper:
    """Ships the files of one log directory; used by one thread."""

    root: Path
    store: ObjectStore
    policy: ShippingPolicy
    _shipped: dict[str, FileState] = field(default_factory=dict)
    _erased: ErasedRows = field(init=False)
    report: ShippingReport = field(init=False)

    def __post_init__(self) -> None:
        self._erased = ErasedRows(self.store)
        self.report = ShippingReport(target=str(self.store.url), at_s=0.0)

    def ship(self, now_s: float) -> ShippingReport:
        """Send the files that the store lacks, and remove those whose time is over.

        A store that is away, or a disk, ends the pass; files stay, and the report says so.
        """
        trouble = ""
        try:
            trouble = self._send()
            self._remove(now_s)
        except (UnderstudyError, *FAULTS_OF_READING) as error:
            trouble = str(error)
        self.report = self._reported(now_s, trouble)
        return self.report

    def idle_report(self, now_s: float) -> ShippingReport:
        """Return the report of a pass in which another process ships."""
        self.report = self._reported(now_s, f"another process ships the files of {self.root}")
        return self.report

    def _reported(self, now_s: float, trouble: str) -> ShippingReport:
        try:
            waiting = [state for key, state in self._local() if self._shipped.get(key) != state]
            local_bytes = bytes_below(self.root)
        except (UnderstudyError, OSError) as error:
            return replace(self.report, at_s=now_s, trouble=trouble or str(error))
        oldest_s = min((state.changed_ns / 1e9 for state in waiting), default=now_s)
        return replace(
            self.report,
            at_s=now_s,
            waiting_files=len(waiting),
            waiting_bytes=sum(state.size_bytes for state in waiting),
            oldest_waiting_s=max(0.0, now_s - oldest_s),
            local_bytes=local_bytes,
            faults=self.report.faults + bool(trouble),
            trouble=trouble,
        )

    def _local(self) -> Iterator[tuple[str, FileState]]:
        base = self.root.resolve()
        files = [path for kind in LogKind for path in finished_files(self.root, kind)]
        for path in [*files, *shared_statements(base)]:
            try:
                yield path.relative_to(base).as_posix(), FileState.of(path.stat())
            except FileNotFoundError:
                continue  # merged or erased since the listing

    def _send(self) -> str:
        """Send the files that the store may lack; return the last trouble with one of them."""
        folders = self._unsent()
        if not folders:
            return ""
        self._erased.refresh()
        trouble = ""
        for folder, keys in sorted(folders.items()):
            stored = {each.key: each for each in self.store.listed(folder or STATEMENTS)}
            for key in keys:
                try:
                    self._send_one(key, stored.get(key))
                except FileNotFoundError:
                    continue  # merged or erased since the listing
                except OSError as error:  # of one file: the others are sent
                    trouble = str(error)
        if self._erased.refresh():  # meanwhile rows were erased, perhaps of these files
            for key in chain.from_iterable(folders.values()):
                self._shipped.pop(key, None)
        return trouble

    def _unsent(self) -> dict[str, list[str]]:
        """Return the keys of files that the store may lack, by folder.

        Statements of removed rows have none, and so come first: a process that erases rows in the
        store sees them before it sees files without these rows.
        """
        folders: dict[str, list[str]] = defaultdict(list)
        for key, state in self._local():
            if self._shipped.get(key) != state:
                folders["" if is_removal(key) else key.rpartition("/")[0]].append(key)
        return folders

    def _send_one(self, key: str, stored: StoredObject | None) -> None:
        with (self.root / key).open("rb") as file:
            state = FileState.of(os.fstat(file.fileno()))
            content = self._kept(key, file.read())
        if content is None:
            self.store.remove(key)
        elif stored is None or not self._is_same(stored, content):
            e_tag = self.store.put(key, content)
            if not self._is_same(StoredObject(key, len(content), e_tag), content):
                raise UnavailableError(
                    f"object store {self.store.url}/{key}", "it holds other bytes"
                )
            self.report = replace(
                self.report,
                shipped_files=self.report.shipped_files + 1,
                shipped_bytes=self.report.shipped_bytes + len(content),
            )
        self._remove_replaced(key)
        self._shipped[key] = state

    def _kept(self, key: str, content: bytes) -> bytes | None:
        """Return a file without the rows that were erased in the store; None if all were."""
        if not key.endswith(".parquet"):
            return content
        kind, model, _ = key.split("/", 2)
        return self._erased.kept_content(LogKind(kind), model.removeprefix("model="), content)

    def _is_same(self, stored: StoredObject, content: bytes) -> bool:
        """Return whether an object has this content: by its tag, or if that is no digest by reading it."""
        if stored.size_bytes != len(content):
            return False
        if stored.e_tag == hashlib.md5(content, usedforsecurity=False).hexdigest():
            return True
        return self.store.read(stored.key) == content

    def _remove_replaced(self, key: str) -> None:
        """Remove the objects that a merged file replaces, now that it is there."""
        if not key.endswith(".parquet"):
            return
        path, kind = self.root / key, LogKind(key.partition("/")[0])
        if REPLACES_KEY in metadata_of(path):
            for replaced in sorted(replaced_by([path], kind)):
                self.store.remove(f"{key.rpartition('/')[0]}/{Path(replaced).name}")

    def _remove(self, now_s: float) -> None:
        shipped = [
            ShippedFile(key, state.size_bytes, state.changed_ns / 1e9)
            for key, state in self._local()
            if self._shipped.get(key) == state and key.endswith(".parquet")
        ]
        gone = removable(shipped, self.policy, local_bytes=bytes_below(self.root), now_s=now_s)
        if not gone:
            return
        try:
            with only_upkeep(self.root):
                self._remove_files([self.root / each.key for each in gone])
        except RefusedError:
            return  # files are being merged or erased: in the next pass

    def _remove_files(self, paths: Sequence[Path]) -> None:
        if any(_MERGED in path.name for path in paths):
            for kind in LogKind:  # otherwise files that they replace would come back to light
                finish_replacements(self.root, kind, EVERYTHING)
        of_log: dict[tuple[LogKind, str], list[Path]] = defaultdict(list)
        for path in paths:
            if self._is_unchanged(path):
                kind = LogKind(path.parent.parent.parent.name)
                of_log[kind, model_of(path)].append(path)
        for (kind, model), found in of_log.items():
            readable, _ = readable_files(found, kind)
            files = {path: rows for path in readable if (rows := _numbers_in(path)) is not None}
            if not files:
                continue  # others stay: their rows have no numbers
            state_shipped(self.root, kind, model, united_numbers(files.values()))
            for path in files:
                path.unlink()
            removed_files = self.report.removed_files + len(files)
            self.report = replace(self.report, removed_files=removed_files)

    def _is_unchanged(self, path: Path) -> bool:
        """Return whether the store has the file as it is now, and not as it was before an erasure."""
        try:
            return FileState.of(path.stat()) == self._shipped.get(
                path.relative_to(self.root).as_posix()
            )
        except FileNotFoundError:
            return False


def _numbers_in(path: Path) -> NumbersByWriter | None:
    """Return the numbers of a file's rows; None if it is damaged."""
    try:
        return numbers_of(pq.ParquetFile(path).read(NUMBER_COLUMNS))
    except FAULTS_OF_READING as error:
        if not is_damage(error):
            raise
        return None


def only_shipper(root: Path) -> AbstractContextManager[bool]:
    """Yield whether no other process ships the files below `root`; none begins while the block runs.

    Raises:
        OSError: the directory cannot be written.
    """
    return locked(root, _LOCK)
