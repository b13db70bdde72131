"""The size of reports as they are kept and sent on."""

from registry.server.report_rooms import ReportSize
from understudy.control.report_wire import (
    belief_to_wire,
    model_state_to_wire,
    placement_to_wire,
    scorer_to_wire,
)
from understudy.domain.belief import WatcherBelief
from understudy.domain.reports import RouterReport, ScorersReport


def size_of_scorers_report(report: ScorersReport) -> ReportSize:
    """Return the scorers of a host and their bytes in a status; a snapshot has at most these."""
    name_bytes = len(report.host_id.encode())
    scorer_bytes = sum(scorer_to_wire(each).ByteSize() for each in report.processes)
    placement_bytes = placement_to_wire(report.placement).ByteSize()
    size_bytes = name_bytes + scorer_bytes + placement_bytes + _belief_bytes(report.belief)
    return ReportSize(len(report.processes), size_bytes)


def size_of_router_report(report: RouterReport) -> ReportSize:
    """Return the models of a router and their bytes in a status."""
    name_bytes = len(report.router_id.encode())
    model_bytes = sum(model_state_to_wire(each).ByteSize() for each in report.models)
    size_bytes = name_bytes + model_bytes + _belief_bytes(report.belief)
    return ReportSize(len(report.models), size_bytes)


def _belief_bytes(belief: WatcherBelief | None) -> int:
    message = belief_to_wire(belief)
    return 0 if message is None else message.ByteSize()
