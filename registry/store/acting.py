"""The acting champion of each model. Every function runs in a transaction."""

from collections.abc import Iterable

from sqlalchemy import Connection, select

from registry.store.dialects import put
from registry.store.schema import acting
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
    row = connection.execute(select(acting).where(acting.c.model == model)).first()
    if row is None:
        return None
    return ActingChampion(
        model=row.model,
        version=row.version,
        revision=row.revision,
        since_ns=row.since_ns,
        because=None if row.because is None else WithheldReason(row.because),
    )
