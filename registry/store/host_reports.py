"""The last report of each scorer host, kept across restarts of the registry."""

from sqlalchemy import Connection, delete, select
from sqlalchemy.dialects.sqlite import insert

from registry.store.schema import host_reports


def save(connection: Connection, host_id: str, report: bytes) -> None:
    statement = insert(host_reports).values(host_id=host_id, report=report)
    connection.execute(
        statement.on_conflict_do_update(
            index_elements=[host_reports.c.host_id], set_={"report": report}
        )
    )


def forget(connection: Connection, host_ids: tuple[str, ...]) -> None:
    connection.execute(delete(host_reports).where(host_reports.c.host_id.in_(host_ids)))


def read_all(connection: Connection) -> dict[str, bytes]:
    rows = connection.execute(select(host_reports.c.host_id, host_reports.c.report))
    return {host_id: bytes(report) for host_id, report in rows}
