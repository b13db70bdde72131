"""The last report of each scorer host, kept across restarts of the registry."""

from pydantic import TypeAdapter, ValidationError
from sqlalchemy import Connection, delete, select

from registry.store.dialects import put
from registry.store.schema import host_reports
from understudy.domain.errors import InvalidInputError
from understudy.domain.reports import ScorersReport

_REPORT = TypeAdapter(ScorersReport)


def save(connection: Connection, report: ScorersReport) -> None:
    text = _REPORT.dump_json(report).decode()
    put(connection, host_reports, {"host_id": report.host_id}, {"report_json": text})


def forget(connection: Connection, host_ids: tuple[str, ...]) -> None:
    connection.execute(delete(host_reports).where(host_reports.c.host_id.in_(host_ids)))


def forget_all(connection: Connection) -> None:
    connection.execute(delete(host_reports))


def read_all(connection: Connection) -> dict[str, str]:
    """Return the JSON of each host's report, for `report_of`; it may be damaged."""
    rows = connection.execute(select(host_reports.c.host_id, host_reports.c.report_json))
    return {row.host_id: row.report_json for row in rows}


def report_of(text: str) -> ScorersReport:
    """Return the report that `save` stored.

    Raises:
        InvalidInputError: `text` is not a report.
    """
    try:
        return _REPORT.validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(step) for step in first["loc"]) or "report"
        raise InvalidInputError.of(field, read=first["input"], accepted=first["msg"]) from error
