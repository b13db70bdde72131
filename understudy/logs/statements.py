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

STATEMENTS = "writers"  # the folder of all statements, below the logs
_REMOVED = "removed-"
_SHIPPED = f"{_REMOVED}shipped-"
ERASED = "erase"  # the cause of rows that may not come back from another copy


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
    path = root / STATEMENTS / f"{statement.writer_id}.json"
    if statement.ended is Ended.CLOSED or not path.exists():
        rows = None if statement.rows is None else [asdict(each) for each in statement.rows]
        _write(root, path, {"ended": statement.ended.value, "rows": rows})


def state_removal(root: Path, removed: RemovedRows) -> None:
    """Write the numbers of rows that are about to be removed.

    Raises:
        OSError: they cannot be written.
    """
    _write(root, root / new_removal_name(), asdict(removed))


def new_removal_name() -> str:
    """Return the path of a further statement of removed rows, below the logs."""
    return f"{STATEMENTS}/{_REMOVED}{uuid4().hex}.json"


def is_removal(name: str) -> bool:
    """Return whether a path below the logs is that of a statement of removed rows."""
    return name.startswith(f"{STATEMENTS}/{_REMOVED}")


def state_shipped(root: Path, kind: LogKind, model: str, by_writer: NumbersByWriter) -> None:
    """Add rows that are about to be removed here, because an object store has them.

    One document grows by ranges that close up, so it stays small however many files are shipped.

    Raises:
        OSError: it cannot be written.
    """
    name = f"{_SHIPPED}{kind.value}-{model}.json"
    known = _removals(root, lambda each: each == name)
    all_shipped = united_numbers([*(each.by_writer for each in known), by_writer])
    _write(root, root / STATEMENTS / name, asdict(RemovedRows(kind, model, "shipped", all_shipped)))


def united_numbers(parts: Iterable[NumbersByWriter]) -> NumbersByWriter:
    """Return the numbers of all parts, by writer."""
    ranges: dict[str, list[Range]] = defaultdict(list)
    for part in parts:
        for writer, of_writer in part:
            ranges[writer] += of_writer
    return tuple((writer, united(each)) for writer, each in sorted(ranges.items()))


def shared_statements(root: Path) -> list[Path]:
    """Return the statements that hold for the logs wherever their files are."""
    found = (root / STATEMENTS).glob("*.json")
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
    found = (removal_of(content) for _, content in _documents(root, is_wanted))
    return [each for each in found if each is not None]


def removal_of(content: Any) -> RemovedRows | None:
    """Return the statement in a document; None if it is none."""
    try:
        ranges = tuple(
            (writer, tuple(Range(*each) for each in given))
            for writer, given in content["by_writer"]
        )
        kind = LogKind(content["kind"])
        return RemovedRows(kind, content["model"], content["cause"], ranges)
    except (KeyError, TypeError, ValueError):
        return None


def _offered(content: dict[str, Any]) -> OfferedRows:
    counts = (int(content[name]) for name in ("offered", "dropped", "failed"))
    return OfferedRows(LogKind(content["kind"]), str(content["model"]), *counts)


def _documents(root: Path, is_wanted: Callable[[str], bool]) -> Iterable[tuple[Path, Any]]:
    for path in sorted((root / STATEMENTS).glob("*.json")):
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
