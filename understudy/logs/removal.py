"""Removal of rows on purpose, in steps that a kill may cut anywhere, wherever the files are.

searched -> numbers stated, so that no ledger takes the rows for lost -> outcomes rewritten -> the others
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

import pyarrow as pa
import pyarrow.compute as pc

from understudy.domain.errors import NotFoundError
from understudy.domain.logged_ids import LoggedIds, StatedIds
from understudy.logs.finished_files import Scope
from understudy.logs.readable_files import FAULTS_OF_READING, is_damage
from understudy.logs.removed_rows import NUMBER_COLUMNS, numbers_of
from understudy.logs.schema import LogKind
from understudy.logs.statements import ERASED, NumbersByWriter, RemovedRows, united_numbers

WITH_UNITS = (LogKind.SCORE, LogKind.SHADOW)
_THREADS = 4  # most of the time is waiting for the disk, or for the store
_OF_UNITS = ["request_id", "unit_key", "candidate_id", *NUMBER_COLUMNS]
_OF_OUTCOMES = ["request_id", *NUMBER_COLUMNS]


@dataclass(frozen=True, slots=True)
class LogFile:
    """A finished file of a log that can be read."""

    kind: LogKind
    model: str
    name: str  # a path, or a key
    content: str  # changes with the bytes of the file
    ids: StatedIds | None  # form and key of the ids in it; None: it states none


class LogFiles(Protocol):
    """The finished files of all logs, in a folder or in an object store."""

    def readable(self, kind: LogKind, scope: Scope) -> tuple[Sequence[LogFile], int]:
        """Return the files of one log, and how many cannot be read."""
        ...

    def read(self, file: LogFile, columns: Sequence[str] | None = None) -> pa.Table:
        """Return some of the columns of a file, or all.

        Raises:
            NotFoundError: it was merged or removed since it was listed.
        """
        ...

    def replace(self, file: LogFile, kept: pa.Table) -> None:
        """Put other rows in place of those of a file; readers see all of the former or of the latter."""
        ...

    def remove(self, file: LogFile) -> None: ...

    def state(self, removed: RemovedRows) -> None:
        """Write down the numbers of rows that are about to be removed."""
        ...


@dataclass(frozen=True, slots=True)
class Removal:
    """The effect of a removal."""

    rows: int
    files: int  # removed or rewritten
    left_out: int  # files that could not be searched: damaged, foreign, or of another key of ids
    unfinished_rows: int = 0  # of the unit, in files that a router still writes; they stay


class _Hit(NamedTuple):
    file: LogFile
    rows: int
    numbers: NumbersByWriter
    requests: Sequence[str]


def remove_days(files: LogFiles, scope: Scope, *, dry_run: bool) -> Removal:
    """Remove all rows in scope; files that are no logs of ours stay."""
    found: list[_Hit] = []
    left_out = 0
    for kind in LogKind:
        readable, unreadable = files.readable(kind, scope)
        left_out += unreadable
        hits, damaged = _each(readable, lambda file: _hit(file, files.read(file, NUMBER_COLUMNS)))
        found, left_out = found + hits, left_out + damaged
    if not dry_run:
        _state(files, found, cause="retain")
        for each in found:
            files.remove(each.file)
    return Removal(sum(each.rows for each in found), len(found), left_out)


@dataclass(slots=True)
class UnitRemoval:
    """The removal of the rows of one unit, as unit or as candidate, and of the outcomes of its requests.

    A pass may be repeated: files that it has searched and that did not change are not read again.
    """

    files: LogFiles
    key: str  # the unit as the logs have it
    ids: LoggedIds
    scope: Scope
    _requests: set[str] = field(default_factory=set)
    _clean: set[LogFile] = field(default_factory=set)
    _left_out: int = 0

    def run(self, *, dry_run: bool) -> Removal:
        """Remove the rows that the files have now, or count them.

        The outcomes go first: an interrupted run finds them again by the rows that are left.
        """
        self._left_out, found = 0, []
        for kind in WITH_UNITS:
            readable = self._readable(kind)
            of_key = [file for file in readable if file.ids == self.ids.stated]
            self._left_out += len(readable) - len(of_key)
            found += self._searched(of_key, _OF_UNITS, self._is_of_unit)
        before = len(self._requests)
        self._requests.update(request for each in found for request in each.requests)
        if len(self._requests) > before:
            self._clean = {file for file in self._clean if file.kind is not LogKind.OUTCOMES}
        outcomes: list[_Hit] = []
        if self._requests:
            readable = self._readable(LogKind.OUTCOMES)
            outcomes = self._searched(readable, _OF_OUTCOMES, self._is_of_request)
        if not dry_run:
            _state(self.files, [*outcomes, *found], cause=ERASED)
            self._rewrite(outcomes, self._is_of_request)
            self._rewrite(found, self._is_of_unit)
        hits = [*outcomes, *found]
        return Removal(sum(each.rows for each in hits), len(hits), self._left_out)

    def _readable(self, kind: LogKind) -> Sequence[LogFile]:
        readable, unreadable = self.files.readable(kind, self.scope)
        self._left_out += unreadable
        return readable

    def _searched(
        self,
        readable: Iterable[LogFile],
        columns: Sequence[str],
        is_wanted: Callable[[pa.Table], pa.ChunkedArray],
    ) -> list[_Hit]:
        def searched(file: LogFile) -> _Hit:
            rows = self.files.read(file, columns)
            return _hit(file, rows.filter(is_wanted(rows)))

        asked = [file for file in readable if file not in self._clean]
        hits, damaged = _each(asked, searched)
        self._left_out += damaged
        self._clean.update(each.file for each in hits if not each.rows)
        return [each for each in hits if each.rows]

    def _rewrite(
        self, hits: Iterable[_Hit], is_wanted: Callable[[pa.Table], pa.ChunkedArray]
    ) -> None:
        for each in hits:
            try:
                table = self.files.read(each.file)
            except NotFoundError:
                continue  # merged since it was searched
            except FAULTS_OF_READING as error:
                if not is_damage(error):
                    raise
                self._left_out += 1
                continue
            kept = table.filter(pc.invert(is_wanted(table)))
            if len(kept):
                self.files.replace(each.file, kept)
            else:
                self.files.remove(each.file)

    def _is_of_unit(self, rows: pa.Table) -> pa.ChunkedArray:
        return is_of_unit(rows, self.key)

    def _is_of_request(self, rows: pa.Table) -> pa.ChunkedArray:
        return pc.is_in(rows["request_id"], pa.array(sorted(self._requests), pa.string()))


def is_of_unit(rows: pa.Table, key: str) -> pa.ChunkedArray:
    """Return which rows are of the unit, or of it as a candidate."""
    as_candidate = pc.fill_null(pc.equal(rows["candidate_id"], key), fill_value=False)
    return pc.or_(pc.equal(rows["unit_key"], key), as_candidate)


def _each(readable: Sequence[LogFile], visit: Callable[[LogFile], _Hit]) -> tuple[list[_Hit], int]:
    """Return the rows of all files that are still there, and the number of damaged ones."""

    def visited(file: LogFile) -> _Hit | bool:
        try:
            return visit(file)
        except NotFoundError:
            return False
        except FAULTS_OF_READING as error:
            if not is_damage(error):
                raise
            return True

    with ThreadPoolExecutor(_THREADS) as threads:
        found = list(threads.map(visited, readable))
    return [each for each in found if isinstance(each, _Hit)], found.count(True)


def _hit(file: LogFile, rows: pa.Table) -> _Hit:
    requests = rows["request_id"].to_pylist() if "request_id" in rows.column_names else ()
    return _Hit(file, len(rows), numbers_of(rows), requests)


def _state(files: LogFiles, hits: Iterable[_Hit], *, cause: str) -> None:
    of_log: dict[tuple[LogKind, str], list[NumbersByWriter]] = defaultdict(list)
    for each in hits:
        of_log[each.file.kind, each.file.model].append(each.numbers)
    for (kind, model), numbers in of_log.items():
        files.state(RemovedRows(kind, model, cause, united_numbers(numbers)))
