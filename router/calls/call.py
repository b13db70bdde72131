"""One call: as it came, and once it is admitted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from router.decisions.admission import Priority
from router.decisions.assignment import ArmWeight
from understudy.domain.deployments import Deployment
from understudy.domain.errors import Fault
from understudy.domain.features import FeatureScalar

RequestFeatures = Mapping[str, FeatureScalar] | None


class Live(Protocol):
    """What a call needs of the revision that it belongs to."""

    @property
    def deployment(self) -> Deployment: ...
    @property
    def seats(self) -> Sequence[ArmWeight]: ...
    def submit(self, call: Call) -> None: ...


class Answer(Protocol):
    """Where a call's answer goes; set once. An `asyncio.Future` is one."""

    def done(self) -> bool:
        """Whether it is set, or nobody waits for it any more."""
        ...

    def set_result(self, result: bytes, /) -> None: ...
    def set_exception(self, exception: Exception, /) -> None: ...


@dataclass(slots=True, eq=False)
class Arrival:
    """One call as it came, before anything in it is read."""

    answer: Answer
    priority: Priority
    arrived_s: float  # monotonic
    remaining_s: float | None  # until the caller's deadline; None: it has none


@dataclass(slots=True, eq=False)
class Call:
    """One admitted call: a single unit, or the candidates of one ScoreBatch.

    The only mutable value of the path: `degraded_because` and `tried_fallback` record how far
    down the ladder it has come, `attempts` how often a scorer failed it.
    """

    live: Live  # the revision it was admitted under and is answered under
    request_id: str
    unit_key: str
    seat: int  # index into the declared split: the arm that the unit key is assigned to
    entities: Mapping[str, str]
    arrived_s: float  # monotonic
    answer_by_s: float  # monotonic
    priority: Priority
    answer: Answer
    rows: int = 1
    features: RequestFeatures = None
    threshold: float | None = None
    outputs: tuple[str, ...] = ()
    include_digests: bool = False
    candidates: Candidates | None = None  # set for a ScoreBatch
    attempts: int = 0
    holders: int = 1  # queues and scorers that have it; only the last that fails says so
    is_alone: bool = False  # not to be joined with others: a batch with it was refused
    tried_champion: bool = False  # its challenger could not answer
    tried_fallback: bool = False
    degraded_because: str = ""
    saw_rules: bool = False  # the deployment's rules were asked, and none decided
    is_later_part: bool = False  # of a split call: it waits for its own siblings, too


@dataclass(frozen=True, slots=True)
class Candidates:
    """The rows of a ScoreBatch. Those with faults are answered with them, and not scored."""

    entity: str
    ids: Sequence[str]  # of the rows to score
    indices: Sequence[int]  # their places in the request
    features: Sequence[RequestFeatures] | None  # per row; None: no candidate brings any
    refused: Mapping[int, tuple[str, Fault]]  # place in the request -> (id, fault)
    top_k: int | None  # None: all are kept
    is_sorted: bool


def give_up(calls: Sequence[Call]) -> list[Call]:
    """Let one holder of `calls` go; return those that are neither answered nor held by another."""
    left: list[Call] = []
    for call in calls:
        if call.holders > 1:
            call.holders -= 1
        elif not call.answer.done():
            left.append(call)
    return left
