"""Check what hosts and routers report, at the door: it reaches every router and host from here."""

from collections.abc import Iterable, Iterator
from typing import TypeVar

from understudy.domain.errors import Fault, InvalidInputError
from understudy.domain.versions import checked_model_name
from understudy.registry.v1 import registry_pb2 as pb

MOST_PROCESSES = 1_000  # in one report; models of a router too
LONGEST_NAME = 200
_LONGEST_ADDRESS = 300
_LONGEST_TEXT = 1_000
_MOST_SHARES = 100
_MOST_FAULTS_TOLD = 20  # they travel in a header, which gRPC bounds
_GREATEST_PORT = 65_535
_STATES = frozenset(pb.ScorerState.values()) - {pb.SCORER_STATE_UNSPECIFIED}
ReportT = TypeVar("ReportT", pb.ReportScorersRequest, pb.ReportRouterRequest)
_A_NAME = f"1 to {LONGEST_NAME} printable characters"


def checked_scorers_report(message: pb.ReportScorersRequest) -> pb.ReportScorersRequest:
    """Return the report as it may be published: sound, its error texts short and printable.

    Raises:
        InvalidInputError: with all that is wrong, up to a bound.
    """
    _raise_any(_scorers_faults(message))
    report = _known_part(message)
    for process in report.processes:
        process.last_error = _shown_text(process.last_error)
    return report


def checked_router_report(message: pb.ReportRouterRequest) -> pb.ReportRouterRequest:
    """Return the report as it may be shown.

    Raises:
        InvalidInputError: with all that is wrong, up to a bound.
    """
    _raise_any(_router_faults(message))
    report = _known_part(message)
    for state in report.models:
        state.withheld[:] = [_shown_text(why) for why in state.withheld]
    return report


def _known_part(message: ReportT) -> ReportT:
    report = type(message)()
    report.CopyFrom(message)
    report.DiscardUnknownFields()
    return report


def _scorers_faults(message: pb.ReportScorersRequest) -> Iterator[Fault]:
    if not _is_name(message.host_id):
        yield Fault("host_id", _shown(message.host_id), _A_NAME)
    if len(message.processes) > MOST_PROCESSES:
        yield Fault("processes", str(len(message.processes)), f"at most {MOST_PROCESSES}")
        return
    for index, process in enumerate(message.processes):
        yield from _process_faults(process, f"processes[{index}]")


def _process_faults(process: pb.ScorerProcess, path: str) -> Iterator[Fault]:
    yield from _model_faults(process.ref.model, f"{path}.ref.model")
    if process.ref.number < 1:
        yield Fault(f"{path}.ref.number", str(process.ref.number), "a version number from 1")
    if process.state not in _STATES:
        yield Fault(f"{path}.state", str(process.state), "a known state")
    if not _is_address(process.address):
        accepted = f"unix:/PATH or HOST:PORT, at most {_LONGEST_ADDRESS} characters"
        yield Fault(f"{path}.address", _shown(process.address), accepted)
    if process.host_id and not _is_name(process.host_id):
        yield Fault(f"{path}.host_id", _shown(process.host_id), _A_NAME)


def _router_faults(message: pb.ReportRouterRequest) -> Iterator[Fault]:
    if not _is_name(message.router_id):
        yield Fault("router_id", _shown(message.router_id), _A_NAME)
    if len(message.models) > MOST_PROCESSES:
        yield Fault("models", str(len(message.models)), f"at most {MOST_PROCESSES}")
        return
    for index, state in enumerate(message.models):
        yield from _model_faults(state.model, f"models[{index}].model")
        for field, count in (
            ("effective", len(state.effective)),
            ("withheld", len(state.withheld)),
        ):
            if count > _MOST_SHARES:
                yield Fault(f"models[{index}].{field}", str(count), f"at most {_MOST_SHARES}")


def _model_faults(name: str, path: str) -> Iterable[Fault]:
    try:
        checked_model_name(name, path)
    except InvalidInputError as error:
        return error.faults
    return ()


def _is_name(text: str) -> bool:
    return 1 <= len(text) <= LONGEST_NAME and text.isprintable()


def _is_address(text: str) -> bool:
    if len(text) > _LONGEST_ADDRESS or not text.isprintable() or " " in text:
        return False
    if text.startswith("unix:"):
        return text.startswith("unix:/")
    host, separator, port = text.rpartition(":")
    # "dns:///host:1" and the like would let a report choose how routers resolve names.
    if not (separator and host) or "/" in host or not (port.isascii() and port.isdigit()):
        return False
    bracketed = host.startswith("[") and host.endswith("]")
    return (":" not in host or bracketed) and 1 <= int(port) <= _GREATEST_PORT


def _shown_text(text: str) -> str:
    cut = text[:_LONGEST_TEXT]
    return "".join(c if c.isprintable() or c == "\n" else "?" for c in cut)


def _shown(text: str) -> str:
    return repr(text[:80])


def _raise_any(found: Iterator[Fault]) -> None:
    faults = [fault for fault, _ in zip(found, range(_MOST_FAULTS_TOLD), strict=False)]
    if faults:
        raise InvalidInputError(faults)
