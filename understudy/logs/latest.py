"""The newest rows of a log, including rows in unfinished files."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa

from understudy.domain.logged_features import AGES, STATUSES, FeatureList
from understudy.logs.finished_files import Scope
from understudy.logs.journal import JournalReader
from understudy.logs.reader import open_logs
from understudy.logs.schema import LogKind, schema_of_kind
from understudy.logs.workspace import unfinished_journals

_VECTORS = frozenset((*FeatureList, STATUSES, AGES))
_OVERLAP = timedelta(seconds=5)
_REMEMBERED_ROWS = 100_000


def latest_rows(
    root: Path,
    kind: LogKind,
    *,
    model: str | None,
    rows: int,
    after: datetime | None = None,
) -> list[dict[str, Any]]:
    """Return the newest `rows` rows of a log, oldest first, without their vectors.

    Args:
        root: the log directory.
        kind: the log to read.
        model: the model to read, or None for all models.
        rows: the largest number of rows to return.
        after: only rows answered after this time; UTC, without a zone.

    Raises:
        NotFoundError: the directory does not exist.
        UnavailableError: the logs cannot be read.
    """
    # Unfinished files first: a file that is finished in the meantime is read twice, not skipped.
    found = list(_unfinished_rows(root, kind, model))
    columns = ", ".join(["model", *(n for n in schema_of_kind(kind).names if n not in _VECTORS)])
    since = None if after is None else after.date()
    with open_logs(root, Scope(model, since)) as reader:
        found += reader.rows(
            f"""
            SELECT {columns} FROM {kind.value}
            WHERE ($model IS NULL OR model = $model) AND ($after IS NULL OR at_utc > $after)
            ORDER BY at_utc DESC, request_id DESC LIMIT $rows
            """,  # noqa: S608 - names of our schema only
            {"model": model, "after": after, "rows": rows},
        )
    if after is not None:
        found = [row for row in found if row["at_utc"] > after]
    distinct = {_key(row): row for row in found}
    return sorted(distinct.values(), key=_age)[-rows:]


@dataclass(slots=True)
class Follower:
    """Returns each row of a log once, soon after it was written.

    Routers write slightly out of order, so a short period before the newest row is read again.
    """

    root: Path
    kind: LogKind
    model: str | None
    _seen: dict[tuple[object, ...], datetime] = field(default_factory=dict)

    def next_rows(self, *, at_most: int) -> list[dict[str, Any]]:
        """Return rows not returned before, oldest first. Raises the errors of `latest_rows`."""
        newest = max(self._seen.values(), default=None)
        after = None if newest is None else newest - _OVERLAP
        found = latest_rows(self.root, self.kind, model=self.model, rows=at_most, after=after)
        fresh = [row for row in found if _key(row) not in self._seen]
        known = found
        if after is None and found:
            # Rows older than the first page were not requested, and are not new later either.
            after = found[-1]["at_utc"] - _OVERLAP
            known = latest_rows(
                self.root, self.kind, model=self.model, rows=_REMEMBERED_ROWS, after=after
            )
        self._seen |= {_key(row): row["at_utc"] for row in known}
        if after is not None:
            self._seen = {key: at for key, at in self._seen.items() if at > after}
        return fresh


def _key(row: dict[str, Any]) -> tuple[object, ...]:
    return row["model"], row["writer_id"], row["writer_sequence"]


def _age(row: dict[str, Any]) -> tuple[datetime, str, str]:
    return row["at_utc"], row["request_id"], row.get("candidate_id") or ""


def _unfinished_rows(root: Path, kind: LogKind, model: str | None) -> Iterator[dict[str, Any]]:
    for path, of_model in unfinished_journals(root, kind):
        if model in (None, of_model):
            for batch in _batches(path):
                kept = batch.select([name for name in batch.schema.names if name not in _VECTORS])
                for row in kept.to_pylist():
                    yield {"model": of_model, **row}


def _batches(path: Path) -> Iterator[pa.RecordBatch]:
    try:
        yield from JournalReader(path)
    except FileNotFoundError:
        return  # finished since the listing
