"""Checks of the reports of hosts and routers on arrival, because they reach every router and host."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import chain

from understudy.domain.belief import WatcherBelief
from understudy.domain.errors import Fault, InvalidInputError, raise_any
from understudy.domain.placement import placement_faults
from understudy.domain.reports import RouterReport, ScorersReport, WithheldPart
from understudy.domain.snapshots import ScorerProcess
from understudy.domain.versions import checked_model_name

LONGEST_NAME = 200
_GREATEST_REVISION = (1 << 53) - 1  # exact in JSON too
_LONGEST_ADDRESS = 300
_LONGEST_TEXT = 1_000
_GREATEST_PORT = 65_535
_A_NAME = f"1 to {LONGEST_NAME} printable characters"


def checked_scorers_report(
    report: ScorersReport, already_found: Iterable[Fault] = ()
) -> ScorersReport:
    """Return the report as it may be published: sound, its error texts short and printable.

    Raises:
        InvalidInputError: with all faults, up to a limit.
    """
    raise_any(chain(already_found, _scorers_faults(report)))
    shown = (_shown_process(each) for each in report.processes)
    return replace(
        report,
        processes=tuple(replace(each, host_id=report.host_id) for each in shown),
        belief=_shown_belief(report.belief),
    )


def checked_router_report(
    report: RouterReport, already_found: Iterable[Fault] = ()
) -> RouterReport:
    """Return the report as it may be shown.

    Raises:
        InvalidInputError: with all faults, up to a limit.
    """
    raise_any(chain(already_found, _router_faults(report)))
    models = tuple(
        replace(
            each,
            withheld=_shown_parts(each.withheld),
            unservable=tuple(replace(e, why=_shown_text(e.why)) for e in each.unservable),
        )
        for each in report.models
    )
    return replace(report, models=models, belief=_shown_belief(report.belief))


def checked_name(text: str, field: str) -> str:
    """Return `text` if it can name a router, a host or a lineage.

    Raises:
        InvalidInputError: it is empty, too long, or not printable.
    """
    if not _is_name(text):
        raise InvalidInputError.of(field, read=text, accepted=_A_NAME)
    return text


def _shown_belief(belief: WatcherBelief | None) -> WatcherBelief | None:
    if belief is None or belief.refusal is None:
        return belief
    return replace(belief, refusal=replace(belief.refusal, why=_shown_text(belief.refusal.why)))


def _shown_parts(parts: tuple[WithheldPart, ...]) -> tuple[WithheldPart, ...]:
    return tuple(replace(each, why=_shown_text(each.why)) if each.why else each for each in parts)


def _shown_process(process: ScorerProcess) -> ScorerProcess:
    if process.last_error is None:
        return process
    return replace(process, last_error=_shown_text(process.last_error))


def _scorers_faults(report: ScorersReport) -> Iterator[Fault]:
    if not _is_name(report.host_id):
        yield Fault("host_id", _shown(report.host_id), _A_NAME)
    yield from _belief_faults(report.belief)
    for fault in placement_faults(report.placement):
        yield replace(fault, field=f"placement.{fault.field}")
    for index, process in enumerate(report.processes):
        path = f"processes[{index}]"
        yield from _process_faults(process, path)
        if process.host_id not in {"", report.host_id}:
            yield Fault(
                f"{path}.host_id", _shown(process.host_id), "the name of the reporting host"
            )


def _process_faults(process: ScorerProcess, path: str) -> Iterator[Fault]:
    yield from _model_faults(process.ref.model, f"{path}.ref.model")
    if process.ref.number < 1:
        yield Fault(f"{path}.ref.number", str(process.ref.number), "a version number from 1")
    if not _is_address(process.address):
        accepted = f"unix:/PATH or HOST:PORT, at most {_LONGEST_ADDRESS} characters"
        yield Fault(f"{path}.address", _shown(process.address), accepted)


def _router_faults(report: RouterReport) -> Iterator[Fault]:
    if not _is_name(report.router_id):
        yield Fault("router_id", _shown(report.router_id), _A_NAME)
    yield from _belief_faults(report.belief)
    for index, state in enumerate(report.models):
        yield from _model_faults(state.model, f"models[{index}].model")
        if state.revision > _GREATEST_REVISION:
            accepted = f"at most {_GREATEST_REVISION}"
            yield Fault(f"models[{index}].revision", str(state.revision), accepted)


def _belief_faults(belief: WatcherBelief | None) -> Iterator[Fault]:
    if belief is None:
        return
    if belief.lineage is not None and not _is_name(belief.lineage):
        yield Fault("belief.lineage", _shown(belief.lineage), _A_NAME)
    if belief.refusal is not None and not _is_name(belief.refusal.lineage):
        yield Fault("belief.refusal.lineage", _shown(belief.refusal.lineage), _A_NAME)


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
    strange = {ord(c): "?" for c in set(cut) if not c.isprintable() and c != "\n"}
    return cut.translate(strange) if strange else cut


def _shown(text: str) -> str:
    return repr(text[:80])
