"""Removal of rows on purpose from the logs in a folder: of days that are over, and of one unit.

The numbers of removed rows are stated before they go, so that no ledger takes them for lost.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import date, timedelta
from pathlib import Path
from uuid import uuid4

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from understudy.domain.errors import NotFoundError
from understudy.domain.logged_ids import LoggedIds, stated_ids
from understudy.logs.access import access_of
from understudy.logs.finished_files import Scope, finished_files, model_of
from understudy.logs.journal import JournalReader, encoding_of
from understudy.logs.readable_files import readable_files
from understudy.logs.removal import (
    WITH_UNITS,
    LogFile,
    Removal,
    UnitRemoval,
    is_of_unit,
    remove_days,
)
from understudy.logs.replaced_files import (
    PARTIAL,
    finish_replacements,
    metadata_of,
    only_upkeep,
)
from understudy.logs.schema import LogKind
from understudy.logs.statements import RemovedRows, state_removal
from understudy.logs.workspace import unfinished_journals


def remove_days_before(root: Path, day: date, *, model: str | None, dry_run: bool) -> Removal:
    """Remove all rows of days before `day`, UTC; files that are no logs of ours stay.

    Raises:
        InvalidInputError: a link leads out of the directory.
        RefusedError: another process removes or merges files.
        OSError: a file cannot be removed; those before it are.
    """
    scope = Scope(model, until=day - timedelta(days=1))
    with _upkeep(root, scope, dry_run=dry_run):
        return remove_days(_Folder(root), scope, dry_run=dry_run)


def remove_unit(
    root: Path, unit: str, ids: LoggedIds, *, model: str | None, dry_run: bool
) -> Removal:
    """Remove all rows of a unit, as unit or as candidate, and the outcomes of its requests.

    Args:
        root: the log directory.
        unit: the id itself.
        ids: the rule by which the logs contain ids; files that state another one are left out.
        model: of the logs; None for all.
        dry_run: count only.

    Raises:
        InvalidInputError: a link leads out of the directory.
        RefusedError: another process removes or merges files.
        OSError: a file cannot be rewritten; it stays, and those before it are.
    """
    (key,) = ids.written([unit])
    scope = Scope(model)
    with _upkeep(root, scope, dry_run=dry_run):
        done = UnitRemoval(_Folder(root), key, ids, scope).run(dry_run=dry_run)
    return replace(done, unfinished_rows=_unfinished_rows(root, key, model))


@contextmanager
def _upkeep(root: Path, scope: Scope, *, dry_run: bool) -> Iterator[None]:
    """Let no other process remove or merge files meanwhile, and no replaced file reappear."""
    if dry_run:
        yield
        return
    with only_upkeep(root):
        for kind in LogKind:
            finish_replacements(root, kind, scope)
        yield


@dataclass(frozen=True, slots=True)
class _Folder:
    """The files below a log directory."""

    root: Path

    def readable(self, kind: LogKind, scope: Scope) -> tuple[Sequence[LogFile], int]:
        paths, unreadable = readable_files(finished_files(self.root, kind, scope), kind)
        found = [
            LogFile(kind, model_of(path), str(path), "", stated_ids(metadata_of(path)))
            for path in paths
        ]
        return found, len(unreadable)

    def read(self, file: LogFile, columns: Sequence[str] | None = None) -> pa.Table:
        try:
            return pq.ParquetFile(file.name).read(columns)
        except FileNotFoundError as error:
            raise NotFoundError("log file", file.name) from error

    def replace(self, file: LogFile, kept: pa.Table) -> None:
        path = Path(file.name)
        partial = path.with_name(f"{path.name}.{uuid4().hex[:8]}{PARTIAL}")
        try:
            pq.write_table(kept, partial, **encoding_of(kept.schema))
            access_of(self.root).admit(partial)
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)

    def remove(self, file: LogFile) -> None:
        path = Path(file.name)
        path.unlink()
        if not any(path.parent.iterdir()):
            path.parent.rmdir()

    def state(self, removed: RemovedRows) -> None:
        state_removal(self.root, removed)


def _unfinished_rows(root: Path, key: str, model: str | None) -> int:
    rows = 0
    for kind in WITH_UNITS:
        for path, of_model in unfinished_journals(root, kind):
            if model in (None, of_model):
                try:
                    for batch in JournalReader(path):
                        rows += pc.sum(is_of_unit(pa.Table.from_batches([batch]), key)).as_py() or 0
                except FileNotFoundError:
                    continue  # finished since the listing
    return rows
