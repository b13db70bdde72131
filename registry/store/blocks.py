"""Blocked versions. Every function runs in a transaction."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, delete, select

from registry.decisions.recorded_objects import Act, block_digest
from registry.store.schema import Row, blocks
from understudy.domain.versions import VersionRef


@dataclass(frozen=True, slots=True)
class Block:
    ref: VersionRef
    actor: str
    reason: str
    at_ns: int  # UTC, since 1970

    @property
    def digest(self) -> str:
        """A digest of the block, with its author and time."""
        return block_digest(self.ref, self.reason, Act(self.actor, self.at_ns))


def add(connection: Connection, block: Block) -> None:
    connection.execute(blocks.insert().values(**row_of(block)))


def remove(connection: Connection, ref: VersionRef) -> None:
    connection.execute(
        delete(blocks).where(blocks.c.model == ref.model, blocks.c.number == ref.number)
    )


def of_model(connection: Connection, model: str) -> dict[int, Block]:
    """Return the blocks of a model by version number."""
    query = select(blocks).where(blocks.c.model == model).order_by(blocks.c.number)
    found = (block_from_row(row) for row in connection.execute(query).mappings())
    return {each.ref.number: each for each in found}


def row_of(block: Block) -> dict[str, Any]:
    """Return the columns of a block."""
    return {
        "model": block.ref.model,
        "number": block.ref.number,
        "actor": block.actor,
        "reason": block.reason,
        "at_ns": block.at_ns,
    }


def block_from_row(row: Row) -> Block:
    """Return the block that `row_of` wrote.

    Raises:
        KeyError: no registry wrote the row.
    """
    ref = VersionRef(row["model"], row["number"])
    return Block(ref, row["actor"], row["reason"], row["at_ns"])
