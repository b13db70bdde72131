"""The reports of scorer hosts that an earlier process has kept."""

from collections.abc import Iterator, Mapping

import structlog
from sqlalchemy import Engine

from registry.server.report_checks import LONGEST_NAME, checked_scorers_report
from registry.store import host_reports, lineage, shared
from registry.store.database import reading, writing
from registry.store.lineage import OpenedEpoch
from understudy.domain.errors import InvalidInputError
from understudy.domain.reports import ScorersReport

_log = structlog.get_logger()


def sound_reports(kept: Mapping[str, str]) -> Iterator[ScorersReport]:
    """Yield the kept reports that would be taken today; an odd one must not stop the start."""
    for host_id, text in kept.items():
        try:
            report = checked_scorers_report(host_reports.report_of(text))
            if report.host_id != host_id:
                raise InvalidInputError.of("host_id", read=report.host_id, accepted=host_id)
        except InvalidInputError as error:
            _log.warning(
                "kept_report_ignored", host_id=host_id[:LONGEST_NAME], why=str(error)[:500]
            )
        else:
            yield report


def open_epoch(engine: Engine) -> OpenedEpoch:
    """Begin the epoch of this process; the reports in a copy of a database are forgotten."""
    with writing(engine) as connection:
        opened = lineage.open_epoch(connection)
        if not opened.continues_file:
            # The scorers of the reports in a copy are those of the original.
            host_reports.forget_all(connection)
            if shared.is_shared(engine):
                shared.forget_all(connection)
        return opened


def read_reports(engine: Engine) -> dict[str, str]:
    with reading(engine) as connection:
        return host_reports.read_all(connection)


def save_report(engine: Engine, report: ScorersReport) -> None:
    with writing(engine) as connection:
        host_reports.save(connection, report)


def forget_reports(engine: Engine, host_ids: tuple[str, ...]) -> None:
    with writing(engine) as connection:
        host_reports.forget(connection, host_ids)


def forget_shared_reports(engine: Engine, host_ids: tuple[str, ...]) -> None:
    with writing(engine) as connection:
        shared.forget_hosts(connection, host_ids)
