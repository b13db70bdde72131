"""Removal of rows on purpose: of days that are over, and of one unit.

The numbers of removed rows are stated before they go, so that no ledger takes them for lost.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from uuid import uuid4

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from understudy.domain.logged_ids import LoggedIds, stated_ids
from understudy.logs.access import access_of
from understudy.logs.finished_files import Scope, finished_files, model_of
from understudy.logs.journal import JournalReader, encoding_of
from understudy.logs.readable_files import readable_files
from understudy.logs.removed_rows import numbers_of
from understudy.logs.replaced_files import PARTIAL, finish_replacements, only_upkeep
from understudy.logs.schema import LogKind
from understudy.logs.statements import RemovedRows, state_removal
from understudy.logs.workspace import unfinished_journals

_WITH_UNITS = (LogKind.SCORE, LogKind.SHADOW)


@dataclass(frozen=True, slots=True)
class Removal:
    """The effect of a removal."""

    rows: int
    files: int  # removed or rewritten
    left_out: int  # files that could not be searched: damaged, foreign, or of another key of ids
    unfinished_rows: int  # of the unit, in files that a router still writes; they stay


def remove_days_before(root: Path, day: date, *, model: str | None, dry_run: bool) -> Removal:
    """Remove all rows of days before `day`, UTC; files that are no logs of ours stay.

    Raises:
        InvalidInputError: a link leads out of the directory.
        RefusedError: another process removes or merges files.
        OSError: a file cannot be removed; those before it are.
    """
    scope = Scope(model, until=date.fromordinal(day.toordinal() - 1))
    with _upkeep(root, scope, dry_run=dry_run):
        return _remove_days(root, scope, dry_run=dry_run)


def _remove_days(root: Path, scope: Scope, *, dry_run: bool) -> Removal:
    rows = files = left_out = 0
    for kind in LogKind:
        paths, unreadable = readable_files(finished_files(root, kind, scope), kind)
        left_out += len(unreadable)
        for path in paths:
            numbers = pq.ParquetFile(path).read(["writer_id", "writer_sequence"])
            rows, files = rows + len(numbers), files + 1
            if not dry_run:
                _state(root, kind, path, numbers, cause="retain")
                path.unlink()
                _remove_if_empty(path.parent)
    return Removal(rows, files, left_out, 0)


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
        done = _remove_key(root, key, ids, scope, dry_run=dry_run)
    unfinished = _unfinished_rows(root, key, model)
    return Removal(done.rows, done.files, done.left_out, unfinished)


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


def _remove_key(root: Path, key: str, ids: LoggedIds, scope: Scope, *, dry_run: bool) -> "_Done":
    done = _Done(root, dry_run=dry_run)
    requests: set[str] = set()
    found: list[tuple[LogKind, Path]] = []
    for kind in _WITH_UNITS:
        for path in done.searchable(kind, scope, ids):
            rows = pq.ParquetFile(path).read(["request_id", "unit_key", "candidate_id"])
            if of_unit := rows["request_id"].filter(_is_of(rows, key)).to_pylist():
                requests.update(of_unit)
                found.append((kind, path))
    # The outcomes go first: an interrupted run finds them again by the rows that are left.
    asked = pa.array(sorted(requests), pa.string())
    for path in done.searchable(LogKind.OUTCOMES, scope, None) if requests else ():
        table = pq.ParquetFile(path).read()
        done.remove(LogKind.OUTCOMES, path, table, pc.is_in(table["request_id"], asked))
    for kind, path in found:
        table = pq.ParquetFile(path).read()
        done.remove(kind, path, table, _is_of(table, key))
    return done


@dataclass(slots=True)
class _Done:
    root: Path
    dry_run: bool
    rows: int = 0
    files: int = 0
    left_out: int = 0

    def searchable(self, kind: LogKind, scope: Scope, ids: LoggedIds | None) -> Iterable[Path]:
        paths, unreadable = readable_files(finished_files(self.root, kind, scope), kind)
        self.left_out += len(unreadable)
        for path in paths:
            if ids is None or stated_ids(pq.read_schema(path).metadata or {}) == ids.stated:
                yield path
            else:
                self.left_out += 1

    def remove(self, kind: LogKind, path: Path, table: pa.Table, gone: pa.ChunkedArray) -> None:
        removed = table.filter(gone)
        if not len(removed):
            return
        self.rows, self.files = self.rows + len(removed), self.files + 1
        if self.dry_run:
            return
        _state(self.root, kind, path, removed, cause="erase")
        kept = table.filter(pc.invert(gone))
        if len(kept):
            _rewrite(self.root, path, kept)
        else:
            path.unlink()
            _remove_if_empty(path.parent)


def _is_of(table: pa.Table, key: str) -> pa.ChunkedArray:
    as_candidate = pc.fill_null(pc.equal(table["candidate_id"], key), fill_value=False)
    return pc.or_(pc.equal(table["unit_key"], key), as_candidate)


def _rewrite(root: Path, path: Path, kept: pa.Table) -> None:
    partial = path.with_name(f"{path.name}.{uuid4().hex[:8]}{PARTIAL}")
    try:
        pq.write_table(kept, partial, **encoding_of(kept.schema))
        access_of(root).admit(partial)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def _state(root: Path, kind: LogKind, path: Path, removed: pa.Table, *, cause: str) -> None:
    state_removal(root, RemovedRows(kind, model_of(path), cause, numbers_of(removed)))


def _remove_if_empty(folder: Path) -> None:
    if not any(folder.iterdir()):
        folder.rmdir()


def _unfinished_rows(root: Path, key: str, model: str | None) -> int:
    rows = 0
    for kind in _WITH_UNITS:
        for path, of_model in unfinished_journals(root, kind):
            if model in (None, of_model):
                try:
                    for batch in JournalReader(path):
                        rows += pc.sum(_is_of(pa.Table.from_batches([batch]), key)).as_py() or 0
                except FileNotFoundError:
                    continue  # finished since the listing
    return rows
