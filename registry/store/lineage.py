"""Identity and history of the database: its lineages, and its epochs. Functions run in a transaction.

A copy of a database has the same lineage and the same epochs up to the copy, and no later ones: so
watchers of one copy notice the other.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from sqlalchemy import Connection, func, insert, select

from registry.decisions.recorded_objects import lineage_digest
from registry.store.dialects import dialect_of
from registry.store.schema import Row, audit, epochs, lineages
from understudy.domain.canonical import canonical_json
from understudy.domain.snapshots import Epoch

_MOST_EPOCHS = 1_000  # published; a watcher that missed more starts of the registry refuses it
_SEQUENCES_PER_EPOCH = 1 << 32


@dataclass(frozen=True, slots=True)
class OpenedEpoch:
    """The epoch of this process."""

    first_sequence: int  # above those of all earlier epochs
    continues_file: bool  # whether the epoch before it was on the same file of the running system


@dataclass(frozen=True, slots=True)
class StoredLineage:
    """The first lineage of a database, or one that a restore made."""

    place: int  # 1, 2, 3 …; the latest is in effect
    id: str
    successor_of: str  # lineage that the operator named; empty for the first
    revision: int  # number of the restored revisions; later ones are greater; 0 for the first
    ended: tuple[str, ...]  # other models, which end with that number

    @property
    def digest(self) -> str:
        return lineage_digest(content_of(self))


@dataclass(frozen=True, slots=True)
class Identity:
    """The lineage in effect, those that it succeeds, and the published history."""

    lineage: str
    succeeds: tuple[str, ...]
    epochs: tuple[Epoch, ...]


def begin(connection: Connection) -> None:
    """Give a new database its first lineage."""
    if connection.execute(select(func.count()).select_from(lineages)).scalar_one() == 0:
        add(connection, StoredLineage(1, str(uuid4()), successor_of="", revision=0, ended=()))


def add(connection: Connection, lineage: StoredLineage) -> None:
    """Append a lineage; it is in effect from now on."""
    connection.execute(insert(lineages).values(**row_of(lineage)))


def read_all(connection: Connection) -> list[StoredLineage]:
    """Return all lineages of the database, oldest first."""
    rows = connection.execute(select(lineages).order_by(lineages.c.place)).mappings()
    return [lineage_from_row(row) for row in rows]


def latest(connection: Connection) -> StoredLineage:
    """Return the lineage in effect."""
    return read_all(connection)[-1]


def first(connection: Connection) -> StoredLineage:
    """Return the lineage that was made with the database."""
    query = select(lineages).order_by(lineages.c.place).limit(1)
    return lineage_from_row(connection.execute(query).mappings().one())


def row_of(lineage: StoredLineage) -> dict[str, Any]:
    """Return the columns of a lineage."""
    return {
        "place": lineage.place,
        "id": lineage.id,
        "successor_of": lineage.successor_of,
        "revision": lineage.revision,
        "ended_json": canonical_json(list(lineage.ended)),
    }


def lineage_from_row(row: Row) -> StoredLineage:
    """Return the lineage that `row_of` wrote.

    Raises:
        ValueError, KeyError, TypeError: no registry wrote the row.
    """
    ended = tuple(json.loads(row["ended_json"]))
    return StoredLineage(row["place"], row["id"], row["successor_of"], row["revision"], ended)


def content_of(lineage: StoredLineage) -> dict[str, Any]:
    """Return the lineage as JSON values, for the audit log."""
    return {
        "place": lineage.place,
        "lineage": lineage.id,
        "successor_of": lineage.successor_of,
        "revision": lineage.revision,
        "ended": list(lineage.ended),
    }


def open_epoch(connection: Connection) -> OpenedEpoch:
    """Begin the epoch of this process; sequences are reserved for it."""
    last = connection.execute(select(epochs).order_by(epochs.c.number.desc()).limit(1)).first()
    number = 1 if last is None else last.number + 1
    file = dialect_of(connection).identity_of(connection)
    connection.execute(
        insert(epochs).values(
            number=number, id=str(uuid4()), first_change=_last_change(connection), file=file
        )
    )
    return OpenedEpoch(number * _SEQUENCES_PER_EPOCH, last is not None and last.file == file)


def identity_of(connection: Connection, found: Sequence[StoredLineage]) -> Identity:
    """Return the identity as watchers see it, with the last change as it is now.

    Args:
        connection: of a transaction.
        found: all lineages of the database, oldest first.
    """
    succeeded = [each.id for each in found[:-1]]
    succeeded += [each.successor_of for each in found if each.successor_of]
    rows = connection.execute(
        select(epochs).order_by(epochs.c.number.desc()).limit(_MOST_EPOCHS)
    ).all()
    history = rows[::-1]
    ends = [*(each.first_change for each in history[1:]), _last_change(connection)][: len(history)]
    return Identity(
        lineage=found[-1].id,
        succeeds=tuple(dict.fromkeys(succeeded)),
        epochs=tuple(Epoch(row.id, end) for row, end in zip(history, ends, strict=True)),
    )


def _last_change(connection: Connection) -> int:
    found: int = connection.execute(
        select(func.coalesce(func.max(audit.c.sequence), 0))
    ).scalar_one()
    return found
