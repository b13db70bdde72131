"""The reports of scorer hosts that an earlier process has kept."""

from collections.abc import Iterator, Mapping

import structlog

from registry.server.report_checks import LONGEST_NAME, checked_scorers_report
from registry.store import host_reports
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
