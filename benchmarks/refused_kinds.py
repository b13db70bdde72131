"""One call of each kind that once cost more than it should, and is refused."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass
from enum import Enum
from typing import Any, assert_never

import grpc
import psutil

from benchmarks.model import ENTITY, MODEL
from benchmarks.request_path import SCORE_METHOD
from understudy.control.identity import ACTOR_KEY
from understudy.registry.v1 import registry_pb2
from understudy.scoring.v1 import scoring_pb2 as pb

SCORING = "/understudy.scoring.v1.ScoringService/"
REGISTRY = "/understudy.registry.v1.RegistryService/"
_MIB = 1 << 20
_LARGE_BYTES = 64 << 10
_NO_MESSAGE = b"\x0a\x05abc"


class Shape(Enum):
    """The shape of a method, by its name in grpc."""

    UNARY = "unary_unary"
    ANSWERED_BY_STREAM = "unary_stream"
    UPLOAD = "stream_unary"
    STREAM = "stream_stream"


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of call."""

    name: str
    path: str
    body: bytes
    shape: Shape = Shape.UNARY
    status: grpc.StatusCode = grpc.StatusCode.INVALID_ARGUMENT

    async def call(self, channel: grpc.aio.Channel, *, timeout_s: float) -> bool:
        """Make the call; return True if it is refused as expected, False if it is answered.

        Raises:
            AioRpcError: it ended with another status.
        """
        method: Any = getattr(channel, self.shape.value)(self.path)
        call = method(*self._requests(), timeout=timeout_s, metadata=((ACTOR_KEY, "benchmark"),))
        try:
            if self.shape in {Shape.ANSWERED_BY_STREAM, Shape.STREAM}:
                async for _ in call:
                    pass
            else:
                await call
        except grpc.aio.AioRpcError as error:
            if error.code() is not self.status:
                raise
            return True
        return False

    def _requests(self) -> tuple[Any, ...]:
        """Return the argument of a call; an upload without bytes sends no message.

        A message that it sends while it is refused would end it with a status of the client's own.
        """
        match self.shape:
            case Shape.UNARY | Shape.ANSWERED_BY_STREAM:
                return (self.body,)
            case Shape.UPLOAD | Shape.STREAM:
                return (iter((self.body,)),) if self.body else ()
            case _:
                assert_never(self.shape)

    @property
    def is_large(self) -> bool:
        """True if its bytes are most of its cost."""
        return len(self.body) > _LARGE_BYTES


@dataclass(frozen=True, slots=True)
class Target:
    """A server, its process, and a channel to it."""

    name: str
    process: psutil.Process
    channel: grpc.aio.Channel


Hold = Callable[[], AbstractAsyncContextManager[object]]


@dataclass(frozen=True, slots=True)
class Case:
    """A kind of call, the server that refuses it, and the state that it is held in for that."""

    kind: Kind
    target: Target
    hold: Hold = nullcontext


def cpu_s(process: psutil.Process) -> float:
    """Return the CPU time of a process and its descendants."""
    times = [each.cpu_times() for each in with_children(process)]
    return sum(each.user + each.system for each in times)


def with_children(process: psutil.Process) -> list[psutil.Process]:
    return [process, *process.children(recursive=True)]


def refused_by_router() -> Sequence[Kind]:
    unknown = {f"x{place:02}": pb.FeatureValue(flag=True) for place in range(20)}
    empty = b"\x3a\x00" * (2 * _MIB - 8)
    no_outcome = pb.Outcome(model=MODEL, request_id="r")  # without a label
    outcomes = pb.RecordOutcomesRequest(outcomes=[no_outcome] * 10_000).SerializeToString()
    batch = batch_of(unknown)
    return (
        Kind("ScoreBatch, 10,000 x 20 unknown features", SCORING + "ScoreBatch", batch),
        Kind("Score, 2 M empty outputs", SCORE_METHOD, empty),
        Kind("ScoreBatch, 2 M empty candidates", SCORING + "ScoreBatch", empty),
        Kind("RecordOutcomes, 10,000 without a label", SCORING + "RecordOutcomes", outcomes),
        Kind("Score, no message", SCORE_METHOD, _NO_MESSAGE),
        Kind("health, no message", "/grpc.health.v1.Health/Check", _NO_MESSAGE),
        Kind(
            "reflection, no message",
            "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
            _NO_MESSAGE,
            Shape.STREAM,
        ),
    )


def refused_by_registry() -> Sequence[Kind]:
    processes = [registry_pb2.ScorerProcess() for _ in range(10_001)]
    report = registry_pb2.ReportScorersRequest(host_id="h", processes=processes)
    sound = registry_pb2.ScorerProcess(
        ref=registry_pb2.VersionRef(model=MODEL, number=1),
        address="unix:/run/scorer.sock",
        state=registry_pb2.SCORER_STATE_READY,
        last_error="x" * 1000,
    )
    no_address = registry_pb2.ScorerProcess(state=registry_pb2.SCORER_STATE_READY)
    faulty = registry_pb2.ReportScorersRequest(host_id="h", processes=[sound] * 255 + [no_address])
    served = registry_pb2.RouterModelState(
        model=MODEL,
        revision=1,
        champion=1,
        effective=[registry_pb2.Challenger(version=2, weight_bp=1_000)],
    )
    states = [served] * 999 + [registry_pb2.RouterModelState(revision=1)]
    return (
        Kind(
            "registry: ReportScorers, 10,001 scorers",
            REGISTRY + "ReportScorers",
            report.SerializeToString(),
        ),
        Kind(
            "registry: ReportScorers, 256 scorers, the last without an address",
            REGISTRY + "ReportScorers",
            faulty.SerializeToString(),
        ),
        Kind(
            "registry: ReportRouter, 1,000 models, the last without a name",
            REGISTRY + "ReportRouter",
            registry_pb2.ReportRouterRequest(router_id="r", models=states).SerializeToString(),
        ),
        Kind("registry: ChangeDeployment, no message", REGISTRY + "ChangeDeployment", _NO_MESSAGE),
        Kind("registry: GetStatus, no message", REGISTRY + "GetStatus", _NO_MESSAGE),
    )


def batch_of(features: Mapping[str, pb.FeatureValue], *, sort: bool = False) -> bytes:
    """Return a ScoreBatch of 10,000 candidates with these features each."""
    candidates = [pb.Candidate(id=f"u{place}", features=features) for place in range(10_000)]
    request = pb.ScoreBatchRequest(
        model=MODEL, candidate_entity=ENTITY, candidates=candidates, sort=sort
    )
    return request.SerializeToString()
