"""The chain of refused attempts. Every function runs in a transaction."""

from dataclasses import fields
from typing import Any

from sqlalchemy import Connection, select

from registry.decisions.refusals import Attempts, RefusalRow, rows_after
from registry.store import lineage
from registry.store.schema import Row, refusals, settings

COUNT = "refusals"  # the setting with the number of rows: rows cut off at the end are missed by it


def append(connection: Connection, attempts: Attempts) -> int:
    """Append the counts and return the number of rows. The transaction must hold the write lock."""
    rows = rows_after(last(connection), attempts)
    for row in rows:
        connection.execute(refusals.insert().values(**row_of((row, row.digest))))
    if rows:
        named = settings.c.name == COUNT
        values = {"value": rows[-1].sequence}
        if not connection.execute(settings.update().where(named).values(**values)).rowcount:
            connection.execute(settings.insert().values(name=COUNT, **values))
    return len(rows)


def last(connection: Connection) -> tuple[int, str]:
    """Return number and digest of the last row; of an empty chain, 0 and the digest that it begins with."""
    columns = refusals.c.sequence, refusals.c.digest
    row = connection.execute(select(*columns).order_by(columns[0].desc()).limit(1)).first()
    return (0, lineage.first(connection).digest) if row is None else (row.sequence, row.digest)


def page_of(connection: Connection, *, before: int | None, limit: int) -> list[RefusalRow]:
    """Return the last `limit` rows, or the last below `before` (< 2**63), the newest first."""
    query = select(refusals).order_by(refusals.c.sequence.desc()).limit(limit)
    if before is not None:
        query = query.where(refusals.c.sequence < before)
    return [row_from_row(row)[0] for row in connection.execute(query).mappings()]


def row_of(stored: tuple[RefusalRow, str]) -> dict[str, Any]:
    """Return the columns of a row with its digest."""
    row, digest = stored
    return {each.name: getattr(row, each.name) for each in fields(RefusalRow)} | {"digest": digest}


def row_from_row(row: Row) -> tuple[RefusalRow, str]:
    """Return a row as it is stored, sound or not, with its digest.

    Raises:
        KeyError: a column is missing.
    """
    return RefusalRow(**{each.name: row[each.name] for each in fields(RefusalRow)}), row["digest"]
