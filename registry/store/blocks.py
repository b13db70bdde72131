"""Blocked versions. Every function runs in a transaction."""

from dataclasses import dataclass

from sqlalchemy import Connection, delete, select

from registry.store.schema import blocks
from understudy.domain.versions import VersionRef


@dataclass(frozen=True, slots=True)
class Block:
    ref: VersionRef
    actor: str
    reason: str
    at_ns: int  # UTC, since 1970


def add(connection: Connection, block: Block) -> None:
    connection.execute(
        blocks.insert().values(
            model=block.ref.model,
            number=block.ref.number,
            actor=block.actor,
            reason=block.reason,
            at_ns=block.at_ns,
        )
    )


def remove(connection: Connection, ref: VersionRef) -> None:
    connection.execute(
        delete(blocks).where(blocks.c.model == ref.model, blocks.c.number == ref.number)
    )


def read_all(connection: Connection) -> tuple[Block, ...]:
    """Return all blocks, by model and number."""
    rows = connection.execute(select(blocks).order_by(blocks.c.model, blocks.c.number))
    return tuple(
        Block(VersionRef(row.model, row.number), row.actor, row.reason, row.at_ns) for row in rows
    )


def of_model(connection: Connection, model: str) -> dict[int, Block]:
    """Return the blocks of a model by version number."""
    return {each.ref.number: each for each in read_all(connection) if each.ref.model == model}
