"""The audit log: changes with actor, time and reason. Every function runs in a transaction."""

from dataclasses import dataclass, fields

from sqlalchemy import Connection, select

from registry.decisions.actors import Actor
from registry.decisions.audit_chain import AuditRow, RecordedRow
from registry.store import lineage
from registry.store.schema import Row, audit
from understudy.domain.changes import Action


@dataclass(frozen=True, slots=True)
class Event:
    """The content of a new row; number and digests come from the log itself."""

    at_ns: int  # UTC, since 1970
    actor: Actor
    action: str
    model: str
    reason: str
    details_json: str  # canonical
    from_revision: int = 0
    to_revision: int = 0


def append(connection: Connection, event: Event) -> str:
    """Append a row to the chain and return its digest. The transaction must hold the write lock."""
    sequence, previous_digest = last(connection)
    row = AuditRow(
        sequence=sequence + 1,
        at_ns=event.at_ns,
        actor=event.actor.name,
        proof=event.actor.proof.value,
        peer=event.actor.peer,
        on_behalf_of=event.actor.on_behalf_of,
        action=event.action,
        model=event.model,
        reason=event.reason,
        from_revision=event.from_revision,
        to_revision=event.to_revision,
        details_json=event.details_json,
        previous_digest=previous_digest,
    )
    values = {field.name: getattr(row, field.name) for field in fields(AuditRow)}
    digest = row.digest
    connection.execute(audit.insert().values(**values, digest=digest))
    return digest


def last(connection: Connection) -> tuple[int, str]:
    """Return number and digest of the last row; of an empty log, 0 and the digest that it begins with."""
    query = select(audit.c.sequence, audit.c.digest).order_by(audit.c.sequence.desc()).limit(1)
    row = connection.execute(query).first()
    return (0, lineage.first(connection).digest) if row is None else (row.sequence, row.digest)


def page_of(
    connection: Connection, model: str | None, *, before: int | None, limit: int
) -> list[RecordedRow]:
    """Return the last `limit` rows, or the last below `before` (< 2**63), the newest first.

    Of a model: its own rows, and those that concern no single model.
    """
    query = select(audit).order_by(audit.c.sequence.desc()).limit(limit)
    if before is not None:
        query = query.where(audit.c.sequence < before)
    # One query for each name, so that both follow the index and end after `limit` rows.
    names = [None] if model is None else [model, ""]
    rows = [
        row
        for name in names
        for row in connection.execute(
            query if name is None else query.where(audit.c.model == name)
        ).mappings()
    ]
    rows.sort(key=lambda row: -row["sequence"])
    return [entry_from_row(row) for row in rows[:limit]]


def registrations_at(connection: Connection, model: str, at_ns: int) -> list[AuditRow]:
    """Return the rows that record registrations of a model at a time, in ns since 1970."""
    query = select(audit).where(
        audit.c.model == model, audit.c.action == Action.REGISTER, audit.c.at_ns == at_ns
    )
    return [entry_from_row(row).row for row in connection.execute(query).mappings()]


def read_all(connection: Connection) -> list[RecordedRow]:
    """Return the whole log in order of sequence."""
    rows = connection.execute(select(audit).order_by(audit.c.sequence)).mappings()
    return [entry_from_row(row) for row in rows]


def entry_from_row(row: Row) -> RecordedRow:
    """Return a row as it is stored, sound or not.

    Raises:
        KeyError: a column is missing.
    """
    names = [field.name for field in fields(AuditRow)]
    return RecordedRow(AuditRow(**{name: row[name] for name in names}), row["digest"])
