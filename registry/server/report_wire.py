"""Translation of reports to checked values, and of observed routers to messages."""

from collections.abc import Iterator, Sequence
from typing import Any

from registry.server.observed import Heard
from registry.server.received_reports import ReportForm
from registry.server.report_checks import (
    belief_faults,
    host_faults,
    model_state_faults,
    name_faults,
    scorer_faults,
    shown_router_report,
    shown_scorers_report,
)
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
from understudy.domain.errors import Fault, raise_any
from understudy.domain.instants import unix_ns
from understudy.domain.placement import MOST_LABELS, MOST_PLACED_MODELS
from understudy.domain.reports import RouterReport, ScorersReport
from understudy.registry.v1 import registry_pb2 as pb
from understudy.runtime.parsing import MOST_FIELDS, RequestForm

_MOST_PROCESSES = 256  # in one report
_MOST_MODELS = 1_000  # of a router
_MOST_SHARES = 100  # of each kind, of one model
_BYTES_OF_FEW_SHARES = 2 * _MOST_SHARES  # fewer bytes have no more entries
# A smaller report cannot have more fields; the entries of its parts are checked in any case.
_UNCOUNTED_BYTES = 2 * MOST_FIELDS
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
            uncounted_bytes=_UNCOUNTED_BYTES,
        ),
        "processes",
        _MOST_PROCESSES,
    ),
    ReportForm(
        RequestForm(
            pb.ReportRouterRequest, {"models": _MOST_MODELS}, uncounted_bytes=_UNCOUNTED_BYTES
        ),
        "models",
        _MOST_MODELS,
    ),
)
_STATES = ", ".join(f"SCORER_STATE_{state.name}" for state in STATE_OF.values())


def scorers_report_from_wire(message: pb.ReportScorersRequest) -> ScorersReport:
    """Return the report in a form to publish.

    Its faults are sought in the message: no values are made of a report that is refused.

    Raises:
        InvalidInputError: with all faults, up to a limit.
    """
    raise_any(_scorers_faults(message))
    report = ScorersReport(
        message.host_id,
        tuple(scorer_from_wire(each) for each in message.processes),
        belief_from_wire(message),
        placement_from_wire(message.placement),
    )
    return shown_scorers_report(report)


def router_report_from_wire(
    message: pb.ReportRouterRequest, *, largest_part_bytes: int
) -> RouterReport:
    """Return the report in a form to show; as `scorers_report_from_wire`.

    Args:
        message: the report.
        largest_part_bytes: of a model in it, or more.

    Raises:
        InvalidInputError: with all faults, up to a limit.
    """
    raise_any(_router_faults(message, largest_part_bytes))
    report = RouterReport(
        message.router_id,
        tuple(model_state_from_wire(each) for each in message.models),
        belief_from_wire(message),
        value_or_none(message, "sequence"),
    )
    return shown_router_report(report)


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


def _scorers_faults(message: pb.ReportScorersRequest) -> Iterator[Fault]:
    yield from _belief_faults(message)
    yield from host_faults(message.host_id, None, placement_from_wire(message.placement))
    for index, process in enumerate(message.processes):
        path = f"processes[{index}]"
        if process.state not in STATE_OF:
            yield Fault(f"{path}.state", str(process.state), _STATES)
        if process.HasField("started_at"):
            yield from time_faults(process.started_at, f"{path}.started_at")
        yield from scorer_faults(process, path, message.host_id)


def _router_faults(message: pb.ReportRouterRequest, largest_part_bytes: int) -> Iterator[Fault]:
    yield from _belief_faults(message)
    yield from name_faults(message.router_id, "router_id")
    may_have_many = largest_part_bytes > _BYTES_OF_FEW_SHARES
    for index, state in enumerate(message.models):  # a sound one costs a few reads, and no path
        yield from model_state_faults(state, index)
        if withheld := state.withheld:
            yield from _withheld_faults(withheld, index)
        if may_have_many:
            yield from _share_faults(state, f"models[{index}]")


def _belief_faults(message: pb.ReportScorersRequest | pb.ReportRouterRequest) -> Iterator[Fault]:
    refusal = message.belief.refusal
    if message.belief.HasField("refusal") and refusal.reason not in REFUSAL_REASON_OF:
        yield Fault("belief.refusal.reason", str(refusal.reason), "a known reason")
    else:
        yield from belief_faults(belief_from_wire(message))


def _withheld_faults(withheld: Sequence[pb.WithheldPart], model: int) -> Iterator[Fault]:
    for index, each in enumerate(withheld[:_MOST_SHARES]):
        if each.arm not in ARM_OF:
            path = f"models[{model}].withheld[{index}].arm"
            yield Fault(path, str(each.arm), "a known arm")
        if each.reason not in WITHHELD_REASON_OF:
            path = f"models[{model}].withheld[{index}].reason"
            yield Fault(path, str(each.reason), "a known reason")


def _share_faults(state: pb.RouterModelState, path: str) -> Iterator[Fault]:
    parts = ("effective", state.effective), ("withheld", state.withheld)
    for part, entries in (*parts, ("unservable", state.unservable)):
        if len(entries) > _MOST_SHARES:
            yield Fault(f"{path}.{part}", str(len(entries)), f"at most {_MOST_SHARES}")
