"""The rows that the receiver of webhooks has taken. Every function runs in a transaction."""

from sqlalchemy import Connection, select

from registry.decisions.audit_chain import RecordedRow
from registry.decisions.refusals import RefusalRow
from registry.store import audit_log, refusals
from registry.store.dialects import put
from registry.store.schema import audit, deliveries
from registry.store.schema import refusals as refused

LOG, REFUSALS = "audit", "refusals"  # the chains of rows


def taken(connection: Connection, chain: str) -> int | None:
    """Return the number of the last row of a chain that was taken; None before the first start."""
    query = select(deliveries.c.sequence).where(deliveries.c.chain == chain)
    found: int | None = connection.execute(query).scalar_one_or_none()
    return found


def set_taken(connection: Connection, chain: str, sequence: int) -> None:
    put(connection, deliveries, {"chain": chain}, {"sequence": sequence})


def begin(connection: Connection) -> None:
    """Let the deliveries of chains that have none begin behind their present end."""
    ends = {LOG: audit_log.last(connection)[0], REFUSALS: refusals.last(connection)[0]}
    for chain, sequence in ends.items():
        if taken(connection, chain) is None:
            set_taken(connection, chain, sequence)


def changes_after(connection: Connection, sequence: int, limit: int) -> list[RecordedRow]:
    """Return the next rows of the log after a number, in order."""
    query = select(audit).where(audit.c.sequence > sequence).order_by(audit.c.sequence)
    rows = connection.execute(query.limit(limit)).mappings()
    return [audit_log.entry_from_row(row) for row in rows]


def refusals_after(connection: Connection, sequence: int, limit: int) -> list[RefusalRow]:
    """Return the next rows of refused attempts after a number, in order."""
    query = select(refused).where(refused.c.sequence > sequence).order_by(refused.c.sequence)
    rows = connection.execute(query.limit(limit)).mappings()
    return [refusals.row_from_row(row)[0] for row in rows]
