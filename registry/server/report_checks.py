"""Checks of the reports of hosts and routers on arrival, because they reach every router and host."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import chain
from typing import Protocol

from understudy.domain.belief import WatcherBelief
from understudy.domain.errors import Fault, InvalidInputError, raise_any
from understudy.domain.placement import Placement, placement_faults
from understudy.domain.reports import RouterReport, ScorersReport, WithheldPart
from understudy.domain.snapshots import ScorerProcess
from understudy.domain.versions import checked_model_name, is_model_name

LONGEST_NAME = 200
_GREATEST_REVISION = (1 << 53) - 1  # exact in JSON too
_LONGEST_ADDRESS = 300
_LONGEST_TEXT = 1_000
_GREATEST_PORT = 65_535
_A_NAME = f"1 to {LONGEST_NAME} printable characters"


class ReportedScorer(Protocol):
    """The facts of a scorer process that are checked, of a value as of a message."""

    @property
    def ref(self) -> "_Ref": ...
    @property
    def address(self) -> str: ...
    @property
    def host_id(self) -> str: ...


class ReportedModel(Protocol):
    """The facts of one model in a router that are checked, of a value as of a message."""

    @property
    def model(self) -> str: ...
    @property
    def revision(self) -> int: ...


class _Ref(Protocol):
    @property
    def model(self) -> str: ...
    @property
    def number(self) -> int: ...


def checked_scorers_report(report: ScorersReport) -> ScorersReport:
    """Return the report as it may be published: sound, its error texts short and printable.

    Raises:
        InvalidInputError: with all faults, up to a limit.
    """
    scorers = (
        scorer_faults(each, f"processes[{index}]", report.host_id)
        for index, each in enumerate(report.processes)
    )
    about_host = host_faults(report.host_id, report.belief, report.placement)
    raise_any(chain(about_host, chain.from_iterable(scorers)))
    return shown_scorers_report(report)


def shown_scorers_report(report: ScorersReport) -> ScorersReport:
    """Return a sound report with short and printable error texts, its processes under its host."""
    shown = (_shown_process(each) for each in report.processes)
    return replace(
        report,
        processes=tuple(replace(each, host_id=report.host_id) for each in shown),
        belief=_shown_belief(report.belief),
    )


def shown_router_report(report: RouterReport) -> RouterReport:
    """Return a sound report with short and printable texts."""
    models = tuple(
        replace(
            each,
            withheld=_shown_parts(each.withheld),
            unservable=tuple(replace(e, why=_shown_text(e.why)) for e in each.unservable),
        )
        for each in report.models
    )
    return replace(report, models=models, belief=_shown_belief(report.belief))


def host_faults(
    host_id: str, belief: WatcherBelief | None, placement: Placement
) -> Iterator[Fault]:
    """Yield the faults of a report about its host."""
    yield from name_faults(host_id, "host_id")
    yield from belief_faults(belief)
    for fault in placement_faults(placement):
        yield replace(fault, field=f"placement.{fault.field}")


def scorer_faults(scorer: ReportedScorer, path: str, host_id: str) -> Iterator[Fault]:
    """Yield the faults of one scorer process in a report of the host `host_id`."""
    ref = scorer.ref
    if not is_model_name(ref.model):
        yield from _model_faults(ref.model, f"{path}.ref.model")
    if ref.number < 1:
        yield Fault(f"{path}.ref.number", str(ref.number), "a version number from 1")
    if not _is_address(scorer.address):
        accepted = f"unix:/PATH or HOST:PORT, at most {_LONGEST_ADDRESS} characters"
        yield Fault(f"{path}.address", _shown(scorer.address), accepted)
    if scorer.host_id not in {"", host_id}:
        yield Fault(f"{path}.host_id", _shown(scorer.host_id), "the name of the reporting host")


def model_state_faults(state: ReportedModel, index: int) -> Iterator[Fault]:
    """Yield the faults of one model in a report of a router."""
    if not is_model_name(name := state.model):
        yield from _model_faults(name, f"models[{index}].model")
    if state.revision > _GREATEST_REVISION:
        accepted = f"at most {_GREATEST_REVISION}"
        yield Fault(f"models[{index}].revision", str(state.revision), accepted)


def belief_faults(belief: WatcherBelief | None) -> Iterator[Fault]:
    """Yield the faults of a watcher's report on the states that it was sent."""
    if belief is None:
        return
    if belief.lineage is not None:
        yield from name_faults(belief.lineage, "belief.lineage")
    if belief.refusal is not None:
        yield from name_faults(belief.refusal.lineage, "belief.refusal.lineage")


def name_faults(text: str, field: str) -> Iterator[Fault]:
    """Yield the fault of a text that cannot name a router, a host or a lineage."""
    if not _is_name(text):
        yield Fault(field, _shown(text), _A_NAME)


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
