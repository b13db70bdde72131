"""Tags: names of versions for people. Every function runs in a transaction."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, delete, select

from registry.decisions.recorded_objects import Act, tag_digest
from registry.store.schema import Row, tags
from understudy.domain.versions import VersionRef


@dataclass(frozen=True, slots=True)
class Tag:
    name: str
    ref: VersionRef
    actor: str
    reason: str
    at_ns: int  # UTC, since 1970

    @property
    def digest(self) -> str:
        """A digest of the tag, with its author and time."""
        return tag_digest(self.ref, self.name, self.reason, Act(self.actor, self.at_ns))


def put(connection: Connection, tag: Tag) -> None:
    """Set the tag; it leaves the version that has it."""
    remove(connection, tag.ref.model, tag.name)
    connection.execute(tags.insert().values(**row_of(tag)))


def remove(connection: Connection, model: str, name: str) -> None:
    connection.execute(delete(tags).where(tags.c.model == model, tags.c.name == name))


def of_model(connection: Connection, model: str) -> dict[str, Tag]:
    """Return the tags of a model by name, in order of the names."""
    query = select(tags).where(tags.c.model == model).order_by(tags.c.name)
    return {row["name"]: tag_from_row(row) for row in connection.execute(query).mappings()}


def row_of(tag: Tag) -> dict[str, Any]:
    """Return the columns of a tag."""
    return {
        "model": tag.ref.model,
        "name": tag.name,
        "number": tag.ref.number,
        "actor": tag.actor,
        "reason": tag.reason,
        "at_ns": tag.at_ns,
    }


def tag_from_row(row: Row) -> Tag:
    """Return the tag that `row_of` wrote.

    Raises:
        KeyError: no registry wrote the row.
    """
    ref = VersionRef(row["model"], row["number"])
    return Tag(row["name"], ref, row["actor"], row["reason"], row["at_ns"])
