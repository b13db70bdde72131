"""Marks of versions, beside revisions: blocks, retirements, and collected artifacts.

Every function runs in a transaction.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, delete, select, tuple_

from registry.decisions.recorded_objects import MARKS, Act, Kind, mark_digest
from registry.store.schema import Row, marks
from understudy.domain.versions import VersionRef


@dataclass(frozen=True, slots=True)
class Mark:
    kind: Kind  # one of MARKS
    ref: VersionRef
    actor: str
    reason: str
    at_ns: int  # UTC, since 1970

    @property
    def digest(self) -> str:
        """A digest of the mark, with its author and time."""
        return mark_digest(self.kind, self.ref, self.reason, Act(self.actor, self.at_ns))

    def __str__(self) -> str:
        at = datetime.fromtimestamp(self.at_ns / 1e9, UTC)
        return f"{at:%Y-%m-%dT%H:%M:%SZ} by {self.actor}: {self.reason}"


def add(connection: Connection, mark: Mark) -> None:
    connection.execute(marks.insert().values(**row_of(mark)))


def remove(connection: Connection, kind: Kind, ref: VersionRef) -> None:
    connection.execute(
        delete(marks).where(
            marks.c.kind == kind, marks.c.model == ref.model, marks.c.number == ref.number
        )
    )


def of_model(connection: Connection, kind: Kind, model: str) -> dict[int, Mark]:
    """Return the marks of one kind of a model, by version number."""
    query = select(marks).where(marks.c.kind == kind, marks.c.model == model)
    rows = connection.execute(query.order_by(marks.c.number)).mappings()
    return {each.ref.number: each for each in map(mark_from_row, rows)}


def of_kinds(connection: Connection, model: str) -> Mapping[Kind, Mapping[int, Mark]]:
    """Return the marks of a model by kind, and then by version number; every kind is there."""
    found: dict[Kind, dict[int, Mark]] = {kind: {} for kind in MARKS}
    for ref, by_kind in all_of(connection, model).items():
        for kind, mark in by_kind.items():
            found[kind][ref.number] = mark
    return found


def of_versions(
    connection: Connection, refs: Collection[VersionRef]
) -> dict[VersionRef, dict[Kind, Mark]]:
    """Return the marks of some versions, by version and kind; versions without one are left out."""
    keys = [(ref.model, ref.number) for ref in refs]
    query = select(marks).where(tuple_(marks.c.model, marks.c.number).in_(keys))
    return _by_version(map(mark_from_row, connection.execute(query).mappings()))


def all_of(connection: Connection, model: str | None) -> dict[VersionRef, dict[Kind, Mark]]:
    """Return the marks of all versions, or of those of one model, by version and kind."""
    query = select(marks) if model is None else select(marks).where(marks.c.model == model)
    return _by_version(map(mark_from_row, connection.execute(query).mappings()))


def row_of(mark: Mark) -> dict[str, Any]:
    """Return the columns of a mark."""
    return {
        "kind": mark.kind.value,
        "model": mark.ref.model,
        "number": mark.ref.number,
        "actor": mark.actor,
        "reason": mark.reason,
        "at_ns": mark.at_ns,
    }


def mark_from_row(row: Row) -> Mark:
    """Return the mark that `row_of` wrote.

    Raises:
        KeyError, ValueError: no registry wrote the row.
    """
    kind = Kind(row["kind"])
    if kind not in MARKS:
        raise ValueError(f"{kind} is no mark")
    ref = VersionRef(row["model"], row["number"])
    return Mark(kind, ref, row["actor"], row["reason"], row["at_ns"])


def _by_version(found: Iterable[Mark]) -> dict[VersionRef, dict[Kind, Mark]]:
    by_version: dict[VersionRef, dict[Kind, Mark]] = {}
    for each in found:
        by_version.setdefault(each.ref, {})[each.kind] = each
    return by_version
