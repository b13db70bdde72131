"""One call: as it came, and once it is admitted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

from router.calls.progress import Progress
from router.decisions.assignment import ArmWeight
from router.decisions.priority import Priority
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


@dataclass(slots=True, eq=False)  # `Final` instead of frozen, which is made three times as slowly
class Call:
    """One admitted call, as it was asked: a single unit, or the candidates of one ScoreBatch.

    Nothing of it changes but its progress.
    """

    live: Final[Live]  # the revision it was admitted under and is answered under
    request_id: Final[str]
    unit_key: Final[str]
    seat: Final[int]  # index into the declared split: the arm that the unit key is assigned to
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
    is_later_part: Final[bool] = False  # of a split call: it waits for its own siblings, too
    progress: Final[Progress] = field(default_factory=Progress)


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
    return [call for call in calls if call.progress.let_go() and not call.answer.done()]
