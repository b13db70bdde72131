"""Statements beside the logs: the rows that an ended writer was offered, and those removed on purpose.

ROOT/writers/WRITER.json           by the writer at its end, or by the process that finds it dead
ROOT/writers/removed-ID.json       by `understudy logs erase` and `retain`
"""

import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any
from uuid import uuid4

from understudy.logs.access import access_of
from understudy.logs.decisions.numbers import Range
from understudy.logs.offered_rows import OfferedRows
from understudy.logs.schema import LogKind

_FOLDER = "writers"
_REMOVED = "removed-"


class Ended(StrEnum):
    """The end of a writer."""

    CLOSED = "closed"
    KILLED = "killed"


@dataclass(frozen=True, slots=True)
class WriterStatement:
    """The rows that a writer was offered in its life, by log and model."""

    writer_id: str
    ended: Ended
    rows: tuple[OfferedRows, ...] | None  # None: its counts were lost with its machine

    def of(self, kind: LogKind, model: str) -> OfferedRows | None:
        """Return the counts of one log and model; None if it had none, or they are not known."""
        return next((r for r in self.rows or () if (r.kind, r.model) == (kind, model)), None)


@dataclass(frozen=True, slots=True)
class RemovedRows:
    """Rows of one log and model that an operator removed."""

    kind: LogKind
    model: str
    cause: str  # the command
    by_writer: tuple[tuple[str, tuple[Range, ...]], ...]


def state_end(root: Path, statement: WriterStatement) -> None:
    """Write the statement of an ended writer, unless there is one; its own replaces that of others.

    Raises:
        OSError: it cannot be written.
    """
    path = root / _FOLDER / f"{statement.writer_id}.json"
    if statement.ended is Ended.CLOSED or not path.exists():
        rows = None if statement.rows is None else [asdict(each) for each in statement.rows]
        _write(root, path, {"ended": statement.ended.value, "rows": rows})


def state_removal(root: Path, removed: RemovedRows) -> None:
    """Write the numbers of rows that are about to be removed.

    Raises:
        OSError: they cannot be written.
    """
    path = root / _FOLDER / f"{_REMOVED}{uuid4().hex}.json"
    _write(root, path, asdict(removed))


def read_statements(root: Path) -> dict[str, WriterStatement]:
    """Return the statements of ended writers; one that cannot be read counts as none."""
    found = {}
    for path, content in _documents(root, lambda name: not name.startswith(_REMOVED)):
        try:
            given = content["rows"]
            rows = None if given is None else tuple(_offered(each) for each in given)
            found[path.stem] = WriterStatement(path.stem, Ended(content["ended"]), rows)
        except (KeyError, TypeError, ValueError):
            continue
    return found


def read_removals(root: Path, kind: LogKind, model: str) -> list[RemovedRows]:
    """Return the removals of one log and model."""
    found = []
    for _, content in _documents(root, lambda name: name.startswith(_REMOVED)):
        try:
            if (content["kind"], content["model"]) == (kind.value, model):
                ranges = tuple(
                    (writer, tuple(Range(*each) for each in given))
                    for writer, given in content["by_writer"]
                )
                found.append(RemovedRows(kind, model, content["cause"], ranges))
        except (KeyError, TypeError, ValueError):
            continue
    return found


def _offered(content: dict[str, Any]) -> OfferedRows:
    counts = (int(content[name]) for name in ("offered", "dropped", "failed"))
    return OfferedRows(LogKind(content["kind"]), str(content["model"]), *counts)


def _documents(root: Path, is_wanted: Any) -> Iterable[tuple[Path, Any]]:
    for path in sorted((root / _FOLDER).glob("*.json")):
        if is_wanted(path.name):
            try:
                yield path, json.loads(path.read_text())
            except (OSError, ValueError):
                continue


def _write(root: Path, path: Path, content: dict[str, Any] | Sequence[Any]) -> None:
    access = access_of(root)
    access.make_folder(path.parent)
    partial = path.with_suffix(f".{uuid4().hex[:8]}.partial")
    try:
        with partial.open("w") as file:
            json.dump(content, file)
            file.flush()
            os.fsync(file.fileno())
        access.admit(partial)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
