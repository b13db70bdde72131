"""Translation of reports to checked values, and of observed routers to messages."""

from collections.abc import Iterator
from typing import Any

from registry.server.observed import Heard
from registry.server.received_reports import ReportForm
from registry.server.report_checks import checked_router_report, checked_scorers_report
from understudy.control.report_wire import (
    belief_from_wire,
    belief_to_wire,
    model_state_from_wire,
    model_state_to_wire,
    placement_from_wire,
    scorer_from_wire,
)
from understudy.control.wire_enums import (
    ARM_OF,
    NEWS,
    REFUSAL_REASON_OF,
    STATE_OF,
    WITHHELD_REASON_OF,
)
from understudy.control.wire_values import time_faults, timestamp, value_or_none
from understudy.domain.errors import Fault
from understudy.domain.instants import unix_ns
from understudy.domain.placement import MOST_LABELS, MOST_PLACED_MODELS
from understudy.domain.reports import RouterReport, ScorersReport
from understudy.registry.v1 import registry_pb2 as pb
from understudy.runtime.parsing import RequestForm

_MOST_PROCESSES = 256  # in one report
_MOST_MODELS = 1_000  # of a router
_MOST_SHARES = 100
# Counting ends at these numbers: a report may be refused as often as it is sent.
REPORT_FORMS: tuple[ReportForm[Any], ...] = (
    ReportForm(
        RequestForm(
            pb.ReportScorersRequest,
            {
                "processes": _MOST_PROCESSES,
                "placement.models": MOST_PLACED_MODELS,
                "placement.labels": MOST_LABELS,
            },
        ),
        "processes",
        _MOST_PROCESSES,
    ),
    ReportForm(
        RequestForm(pb.ReportRouterRequest, {"models": _MOST_MODELS}), "models", _MOST_MODELS
    ),
)
_STATES = ", ".join(f"SCORER_STATE_{state.name}" for state in STATE_OF.values())


def scorers_report_from_wire(message: pb.ReportScorersRequest) -> ScorersReport:
    """Return the report in a form to publish.

    Raises:
        InvalidInputError: with all faults, up to a limit.
    """
    faults = [
        fault
        for index, process in enumerate(message.processes)
        for fault in _process_faults(process, f"processes[{index}]")
    ]
    faults += _belief_faults(message)
    read = _without_faults(message) if faults else message
    report = ScorersReport(
        read.host_id,
        tuple(scorer_from_wire(each) for each in read.processes),
        belief_from_wire(read),
        placement_from_wire(read.placement),
    )
    return checked_scorers_report(report, faults)


def router_report_from_wire(message: pb.ReportRouterRequest) -> RouterReport:
    """Return the report in a form to show.

    Raises:
        InvalidInputError: with all faults, up to a limit.
    """
    faults = [
        fault
        for index, state in enumerate(message.models)
        for fault in _state_faults(state, f"models[{index}]")
    ]
    faults += _belief_faults(message)
    read = _without_parts(message) if faults else message
    report = RouterReport(
        read.router_id,
        tuple(model_state_from_wire(each) for each in read.models),
        belief_from_wire(read),
        value_or_none(read, "sequence"),
    )
    return checked_router_report(report, faults)


def router_to_wire(heard: Heard[RouterReport], model: str | None) -> pb.ObservedRouter:
    """Return the last report of a router; if a model is named, its part only."""
    return pb.ObservedRouter(
        router_id=heard.report.router_id,
        reported_at=timestamp(unix_ns(heard.at)),
        news=NEWS[heard.news],
        models=[
            model_state_to_wire(state)
            for state in heard.report.models
            if model in {None, state.model}
        ],
        belief=belief_to_wire(heard.report.belief),
        sequence=heard.report.sequence,
    )


def _process_faults(process: pb.ScorerProcess, path: str) -> Iterator[Fault]:
    if process.state not in STATE_OF:
        yield Fault(f"{path}.state", str(process.state), _STATES)
    yield from time_faults(process.started_at, f"{path}.started_at")


def _without_faults(message: pb.ReportScorersRequest) -> pb.ReportScorersRequest:
    """Return a readable copy; it is refused anyway, together with its other faults."""
    copy = pb.ReportScorersRequest()
    copy.CopyFrom(message)
    for process in copy.processes:
        if process.state not in STATE_OF:
            process.state = pb.SCORER_STATE_STARTING
        process.ClearField("started_at")
    copy.ClearField("belief")
    return copy


def _without_parts(message: pb.ReportRouterRequest) -> pb.ReportRouterRequest:
    """Return a readable copy; it is refused anyway, together with its other faults."""
    copy = pb.ReportRouterRequest()
    copy.CopyFrom(message)
    for state in copy.models:
        del state.effective[:]
        del state.withheld[:]
    copy.ClearField("belief")
    return copy


def _belief_faults(message: pb.ReportScorersRequest | pb.ReportRouterRequest) -> Iterator[Fault]:
    refusal = message.belief.refusal
    if message.belief.HasField("refusal") and refusal.reason not in REFUSAL_REASON_OF:
        yield Fault("belief.refusal.reason", str(refusal.reason), "a known reason")


def _state_faults(state: pb.RouterModelState, path: str) -> Iterator[Fault]:
    yield from _too_many(f"{path}.effective", len(state.effective), _MOST_SHARES)
    yield from _too_many(f"{path}.withheld", len(state.withheld), _MOST_SHARES)
    yield from _too_many(f"{path}.unservable", len(state.unservable), _MOST_SHARES)
    for index, part in enumerate(state.withheld[:_MOST_SHARES]):
        if part.arm not in ARM_OF:
            yield Fault(f"{path}.withheld[{index}].arm", str(part.arm), "a known arm")
        if part.reason not in WITHHELD_REASON_OF:
            yield Fault(f"{path}.withheld[{index}].reason", str(part.reason), "a known reason")


def _too_many(field: str, count: int, most: int) -> Iterator[Fault]:
    if count > most:
        yield Fault(field, str(count), f"at most {most}")
