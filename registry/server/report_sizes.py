"""The size of reports as they take room: an upper bound of what is kept and sent on of them."""

from registry.server.report_rooms import ReportSize
from understudy.control.report_wire import scorers_report_to_wire
from understudy.domain.reports import ScorersReport

_TAG_AND_LENGTH_BYTES = 8  # of a process and of the name in it, each at most 4
_PLACEMENT_BYTES = 2  # of an empty one, in place of none


def size_of_scorers_report(report: ScorersReport) -> ReportSize:
    """Return the room that a report takes which did not arrive as bytes."""
    size_bytes = scorers_report_to_wire(report).ByteSize()
    return size_of_sent_scorers(report.host_id, len(report.processes), size_bytes)


def size_of_sent_scorers(host_id: str, scorers: int, size_bytes: int) -> ReportSize:
    """Return the room of a host's report of that many bytes; each kept scorer names its host."""
    name_bytes = len(host_id.encode()) + _TAG_AND_LENGTH_BYTES
    return ReportSize(scorers, size_bytes + _PLACEMENT_BYTES + scorers * name_bytes)
