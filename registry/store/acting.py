"""The acting champion of each model. Every function runs in a transaction."""

from collections.abc import Iterable

from sqlalchemy import Connection, select

from registry.store.dialects import put
from registry.store.schema import Row, acting
from understudy.domain.acting import ActingChampion, WithheldReason


def save(connection: Connection, records: Iterable[ActingChampion]) -> None:
    for record in records:
        values = {
            "version": record.version,
            "revision": record.revision,
            "because": None if record.because is None else record.because.value,
            "since_ns": record.since_ns,
        }
        put(connection, acting, {"model": record.model}, values)


def read(connection: Connection, model: str) -> ActingChampion | None:
    """Return the record of a model, or None if no router has reported one."""
    row = connection.execute(select(acting).where(acting.c.model == model)).mappings().first()
    return None if row is None else _from_row(row)


def read_all(connection: Connection) -> dict[str, ActingChampion]:
    """Return all records, by model."""
    return {row["model"]: _from_row(row) for row in connection.execute(select(acting)).mappings()}


def _from_row(row: Row) -> ActingChampion:
    because = row["because"]
    return ActingChampion(
        model=row["model"],
        version=row["version"],
        revision=row["revision"],
        since_ns=row["since_ns"],
        because=None if because is None else WithheldReason(because),
    )
