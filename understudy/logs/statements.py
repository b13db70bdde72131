"""Statements beside the logs: the rows that an ended writer was offered, and those removed on purpose.

ROOT/writers/WRITER.json           by the writer at its end, or by the process that finds it dead
ROOT/writers/removed-ID.json       by `understudy logs erase` and `retain`
ROOT/writers/removed-shipped-LOG-MODEL.json   rows that are in an object store, and no longer here
"""

import json
import os
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any
from uuid import uuid4

from understudy.logs.access import access_of
from understudy.logs.decisions.numbers import Range, united
from understudy.logs.offered_rows import OfferedRows
from understudy.logs.schema import LogKind

_FOLDER = "writers"
_REMOVED = "removed-"
_SHIPPED = f"{_REMOVED}shipped-"


NumbersByWriter = tuple[tuple[str, tuple[Range, ...]], ...]


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
    by_writer: NumbersByWriter


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


def state_shipped(root: Path, kind: LogKind, model: str, by_writer: NumbersByWriter) -> None:
    """Add rows that are about to be removed here, because an object store has them.

    One document grows by ranges that close up, so it stays small however many files are shipped.

    Raises:
        OSError: it cannot be written.
    """
    name = f"{_SHIPPED}{kind.value}-{model}.json"
    known = _removals(root, lambda each: each == name)
    ranges: dict[str, list[Range]] = defaultdict(list)
    for writer, of_writer in [pair for each in known for pair in each.by_writer] + list(by_writer):
        ranges[writer] += of_writer
    all_shipped = tuple((writer, united(each)) for writer, each in sorted(ranges.items()))
    _write(root, root / _FOLDER / name, asdict(RemovedRows(kind, model, "shipped", all_shipped)))


def shared_statements(root: Path) -> list[Path]:
    """Return the statements that hold for the logs wherever their files are."""
    found = (root / _FOLDER).glob("*.json")
    return sorted(path for path in found if not path.name.startswith(_SHIPPED))


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
    found = _removals(root, lambda name: name.startswith(_REMOVED))
    return [each for each in found if (each.kind, each.model) == (kind, model)]


def _removals(root: Path, is_wanted: Callable[[str], bool]) -> list[RemovedRows]:
    found = []
    for _, content in _documents(root, is_wanted):
        try:
            ranges = tuple(
                (writer, tuple(Range(*each) for each in given))
                for writer, given in content["by_writer"]
            )
            kind = LogKind(content["kind"])
            found.append(RemovedRows(kind, content["model"], content["cause"], ranges))
        except (KeyError, TypeError, ValueError):
            continue
    return found


def _offered(content: dict[str, Any]) -> OfferedRows:
    counts = (int(content[name]) for name in ("offered", "dropped", "failed"))
    return OfferedRows(LogKind(content["kind"]), str(content["model"]), *counts)


def _documents(root: Path, is_wanted: Callable[[str], bool]) -> Iterable[tuple[Path, Any]]:
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
