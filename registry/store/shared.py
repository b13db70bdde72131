"""The facts that registries over one database tell each other. Functions run in a transaction."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import TypeAdapter, ValidationError
from sqlalchemy import BigInteger, Connection, Engine, cast, delete, extract, func, select

from registry.store.dialects import put
from registry.store.schema import audit
from registry.store.shared_schema import heard_reports, report_order, shared_state
from understudy.domain.changes import Action
from understudy.domain.reports import Report, RouterReport, ScorersReport

_NS_PER_S = 1_000_000_000
_HOST, _ROUTER = "scorer_host", "router"
_FORMS: Mapping[str, TypeAdapter[Any]] = {
    _HOST: TypeAdapter(ScorersReport),
    _ROUTER: TypeAdapter(RouterReport),
}


@dataclass(frozen=True, slots=True)
class HeardReport:
    """A report, and the time since a registry received it."""

    report: Report
    age_s: float
    size_bytes: int = 0  # as kept; 0 for one that is not


def is_shared(engine: Engine) -> bool:
    """Return whether other registries may use the database at the same time."""
    return engine.dialect.name == "postgresql"


def changes_of(connection: Connection) -> int:
    """Return the number of committed changes: the sequence of the state in this transaction."""
    found: int = connection.execute(select(shared_state.c.changes)).scalar_one()
    return found


def models_changed_after(connection: Connection, row: int) -> frozenset[str] | None:
    """Return the models with later rows in the audit log than `row`; None if all may have changed."""
    query = select(audit.c.model, audit.c.action).where(audit.c.sequence > row).distinct()
    found = connection.execute(query).all()
    if any(each.action == Action.RESTORE for each in found):
        return None
    return frozenset(each.model for each in found if each.model)


def save_reports(connection: Connection, heard: Iterable[HeardReport]) -> None:
    """Keep the reports for other registries; the transaction must hold the write lock."""
    for each in heard:
        kind, name = _key_of(each.report)
        values = {
            "report_json": _FORMS[kind].dump_json(each.report).decode(),
            "heard_ns": _now_ns() - round(each.age_s * _NS_PER_S),
            "written": report_order.next_value(),
        }
        put(connection, heard_reports, {"kind": kind, "name": name}, values)


def reports_after(connection: Connection, written: int) -> tuple[list[HeardReport], int]:
    """Return the sound reports that were written later than `written`, and the last one's number."""
    table = heard_reports.c
    age_ns = (_now_ns() - table.heard_ns).label("age_ns")
    query = select(table.kind, table.report_json, table.written, age_ns)
    found: list[HeardReport] = []
    for row in connection.execute(query.where(table.written > written).order_by(table.written)):
        written = row.written
        try:
            report = _FORMS[row.kind].validate_json(row.report_json)
        except (KeyError, ValidationError):
            continue  # of a registry of another build, or damaged: its sender repeats it
        age_s = max(0.0, row.age_ns / _NS_PER_S)
        found.append(HeardReport(report, age_s, len(row.report_json)))
    return found, written


def forget_hosts(connection: Connection, names: Iterable[str]) -> None:
    """Remove the reports of scorer hosts."""
    table = heard_reports.c
    connection.execute(
        delete(heard_reports).where(table.kind == _HOST, table.name.in_(list(names)))
    )


def forget_older(connection: Connection, *, routers_s: float) -> None:
    """Remove the reports of routers that were heard longer ago."""
    table = heard_reports.c
    oldest_ns = _now_ns() - round(routers_s * _NS_PER_S)
    connection.execute(
        delete(heard_reports).where(table.kind == _ROUTER, table.heard_ns < oldest_ns)
    )


def forget_all(connection: Connection) -> None:
    """Remove all reports."""
    connection.execute(delete(heard_reports))


def name_of(report: Report) -> str:
    """Return the name of the host or router that sent a report."""
    return _key_of(report)[1]


def _key_of(report: Report) -> tuple[str, str]:
    if isinstance(report, ScorersReport):
        return _HOST, report.host_id
    return _ROUTER, report.router_id


def _now_ns() -> Any:
    seconds = extract("epoch", func.clock_timestamp())
    return cast(seconds * _NS_PER_S, BigInteger)
