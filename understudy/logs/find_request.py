"""The rows of one request in the score log, with the names of their features; unfinished files too."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from understudy.domain.errors import NotFoundError, UnavailableError
from understudy.domain.logged_features import AGES, NO_FEATURES, ListedFeatures
from understudy.logs.finished_files import finished_files
from understudy.logs.journal import JournalReader
from understudy.logs.readable_files import FAULTS_OF_READING, is_damage, readable_files
from understudy.logs.schema import LogKind, schema_of_kind
from understudy.logs.workspace import unfinished_journals

_ID, _FILE = "request_id", "__filename"  # the second is a column that Arrow adds


@dataclass(frozen=True, slots=True)
class LoggedRow:
    """One answered row, as logged."""

    model: str
    columns: dict[str, Any]  # of the score log; None for one that its file lacks
    listed: ListedFeatures  # the names of the elements of its lists

    @property
    def features(self) -> list[Any] | None:
        """The values in the order of the feature set; None if the model read none.

        A value that is not logged is None.
        """
        lists = dict(self.listed.lists)
        if not any(self.columns[column] is not None for column in lists):
            return None
        values = {
            name: value
            for column, names in lists.items()
            for name, value in zip(names, self.columns[column], strict=True)
        }
        return [values.get(name) for name in self.listed.names]

    @property
    def ages_ms(self) -> dict[str, int | None]:
        """The age of each view's record when it was read; None without a record."""
        return dict(zip(self.listed.views, self.columns[AGES] or (), strict=False))


def rows_of_request(root: Path, request_id: str) -> list[LoggedRow]:
    """Return all rows of a request, in order of time; candidates have one each.

    Args:
        root: the log directory.
        request_id: as in the request, or as the router's answer named it.

    Raises:
        NotFoundError: the directory does not exist.
        UnavailableError: a file cannot be read.
        InvalidInputError: a link leads out of the directory.
    """
    if not root.is_dir():
        raise NotFoundError("log directory", root)
    try:
        # Unfinished files first: one that is finished in the meantime is read twice, not skipped.
        found = [*_unfinished(root, request_id), *_finished(root, request_id)]
    except FAULTS_OF_READING as error:
        raise UnavailableError("log", " ".join(str(error).split())) from error
    distinct = {json.dumps(row.columns, default=str): row for row in found}
    return sorted(distinct.values(), key=lambda row: row.columns["at_utc"])


def _finished(root: Path, request_id: str) -> Iterator[LoggedRow]:
    schema = schema_of_kind(LogKind.SCORE)
    readable, _ = readable_files(finished_files(root, LogKind.SCORE), LogKind.SCORE)
    paths = [str(path) for path in readable]
    if not paths:
        return
    asked = ds.field(_ID) == request_id
    found = False
    with_request, why = _files_with(asked, paths)
    for path in with_request:
        file = Path(path)
        table = ds.dataset(path, schema=schema, format="parquet").to_table(filter=asked)
        names = pq.read_schema(file).metadata or {}
        yield from _rows(table, file.parent.parent.name.removeprefix("model="), names)
        found = True
    if why and not found:
        raise UnavailableError("log", f"a damaged file may have the request: {why}")


def _files_with(asked: ds.Expression, paths: Sequence[str]) -> tuple[list[str], str]:
    """Return the files that have rows asked for, and why one could not be searched."""
    # The ids alone: features are most of a file, and nearly all files lack the request.
    ids = ds.dataset(paths, schema=schema_of_kind(LogKind.SCORE), format="parquet")
    try:
        named = ids.scanner([_FILE], filter=asked).to_table()[_FILE].to_pylist()
        return sorted(set(named)), ""
    except FAULTS_OF_READING as error:
        if not is_damage(error):
            raise
        if len(paths) == 1:
            return [], " ".join(str(error).split())
    apart = [_files_with(asked, [path]) for path in paths]
    whys = [why for _, why in apart if why]
    return [path for found, _ in apart for path in found], whys[0] if whys else ""


def _unfinished(root: Path, request_id: str) -> Iterator[LoggedRow]:
    for path, model in unfinished_journals(root, LogKind.SCORE):
        try:
            for batch in JournalReader(path):
                found = batch.filter(pc.equal(batch[_ID], request_id))
                yield from _rows(pa.Table.from_batches([found]), model, batch.schema.metadata or {})
        except FileNotFoundError:
            continue  # finished since the listing


def _rows(table: pa.Table, model: str, metadata: dict[bytes, bytes]) -> Iterator[LoggedRow]:
    listed = ListedFeatures.from_metadata(metadata) or NO_FEATURES
    known = schema_of_kind(LogKind.SCORE).names
    for row in table.to_pylist():
        yield LoggedRow(model, {name: row.get(name) for name in known}, listed)
