"""A call: on arrival, and once it is admitted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from typing import Final, Protocol

from router.calls.progress import Progress
from router.decisions.assignment import ArmWeight
from router.decisions.priority import Priority
from understudy.domain.deployments import Deployment
from understudy.domain.errors import Fault
from understudy.domain.features import FeatureScalar
from understudy.domain.spans import span_id_of
from understudy.domain.trace_context import TraceContext

RequestFeatures = Mapping[str, FeatureScalar] | None


class Live(Protocol):
    """The parts of a call's revision that it needs."""

    @property
    def deployment(self) -> Deployment: ...
    @property
    def seats(self) -> Sequence[ArmWeight]: ...
    def submit(self, call: Call) -> None: ...


class Answer(Protocol):
    """The destination of a call's answer; set once. An `asyncio.Future` is one."""

    def done(self) -> bool:
        """Return whether it is set, or no longer awaited."""
        ...

    def set_result(self, result: bytes, /) -> None: ...
    def set_exception(self, exception: Exception, /) -> None: ...


@dataclass(slots=True, eq=False)
class Arrival:
    """A call on arrival, before any of it is read."""

    answer: Answer
    priority: Priority
    arrived_s: float  # monotonic
    remaining_s: float | None  # until the caller's deadline; None if there is none
    _: KW_ONLY
    trace: TraceContext | None = None  # of the caller


@dataclass(
    slots=True, eq=False
)  # `Final` instead of frozen, whose creation takes three times as long
class Call:
    """An admitted call as requested: a single unit, or the candidates of one ScoreBatch.

    Only its progress changes.
    """

    live: Final[Live]  # the revision it was admitted under and is answered under
    request_id: Final[str]
    unit_key: Final[str]
    seat: Final[int]  # index into the declared split: the arm to which the unit key is assigned
    entities: Final[Mapping[str, str]]
    arrived_s: Final[float]  # monotonic
    answer_by_s: Final[float]  # monotonic
    priority: Final[Priority]
    answer: Final[Answer]
    rows: Final[int] = 1
    features: Final[RequestFeatures] = None
    threshold: Final[float | None] = None
    outputs: Final[tuple[str, ...]] = ()
    include_digests: Final[bool] = False
    candidates: Final[Candidates | None] = None  # set for a ScoreBatch
    part: Final[int | None] = None  # its place among those of a split call; None: a whole call
    trace: Final[TraceContext | None] = None  # of the caller
    admitted_s: Final[float] = 0.0  # monotonic; measured for calls with a trace
    progress: Final[Progress] = field(default_factory=Progress)


@dataclass(frozen=True, slots=True)
class Candidates:
    """The rows of a ScoreBatch. Faulty candidates are answered with their faults, and not scored."""

    entity: str
    ids: Sequence[str]  # of the rows to score
    indices: Sequence[int]  # their indices in the request
    features: Sequence[RequestFeatures] | None  # per row; None if no candidate has any
    refused: Mapping[int, tuple[str, Fault]]  # index in the request -> (id, fault)
    top_k: int | None  # None to keep all
    is_sorted: bool


def give_up(calls: Sequence[Call]) -> list[Call]:
    """Release one holder of `calls`; return those neither answered nor held by another."""
    return [call for call in calls if call.progress.let_go() and not call.answer.done()]


def span_id_of_call(call: Call, trace: TraceContext) -> str:
    """Return the id of the span of `call`, whose caller sent `trace`."""
    facts = (trace.trace_id, trace.parent_id, call.request_id, call.arrived_s, call.part)
    return span_id_of(*facts)
