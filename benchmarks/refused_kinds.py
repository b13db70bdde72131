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
from understudy.oip import inference_pb2 as oip
from understudy.runtime.protobuf_bytes import varint
from understudy.scoring.v1 import scoring_pb2 as pb

SCORING = "/understudy.scoring.v1.ScoringService/"
MIB = 1 << 20
_LARGE_BYTES = 64 << 10
_INFER_METHOD = "/inference.GRPCInferenceService/ModelInfer"
NO_MESSAGE = b"\x0a\x05abc"


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
    messages: int = 1  # in one call; the cost is that of each

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
class StreamMessages(Kind):
    """A kind of message of a ScoreStream, many on one stream, which goes on after each refusal."""

    async def call(self, channel: grpc.aio.Channel, *, timeout_s: float) -> bool:
        """Send the messages; return True if each answer is a refusal, False if a server has read none."""
        stream: Any = channel.stream_stream(self.path)
        call = stream(iter((self.body,) * self.messages), timeout=timeout_s)
        answers = [pb.ScoreStreamResponse.FromString(each) async for each in call]
        return len(answers) == self.messages and all(each.HasField("error") for each in answers)


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
    empty = b"\x3a\x00" * (2 * MIB - 8)
    no_outcome = pb.Outcome(model=MODEL, request_id="r")  # without a label
    outcomes = pb.RecordOutcomesRequest(outcomes=[no_outcome] * 10_000).SerializeToString()
    batch = batch_of(unknown)
    long_name = pb.ScoreRequest(model=MODEL, outputs=["x" * (4 * MIB - 64)]).SerializeToString()
    return (
        Kind("ScoreBatch, 10,000 x 20 unknown features", SCORING + "ScoreBatch", batch),
        Kind("Score, 2 M empty outputs", SCORE_METHOD, empty),
        Kind("Score, an output with a name of 4 MB", SCORE_METHOD, long_name),
        Kind("ScoreBatch, 2 M empty candidates", SCORING + "ScoreBatch", empty),
        Kind("RecordOutcomes, 10,000 without a label", SCORING + "RecordOutcomes", outcomes),
        Kind("Score, an unknown field of 4 MB", SCORE_METHOD, unknown_field(4 * MIB - 64)),
        Kind("Score, no message", SCORE_METHOD, NO_MESSAGE),
        Kind("health, no message", "/grpc.health.v1.Health/Check", NO_MESSAGE),
        Kind(
            "reflection, no message",
            "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
            NO_MESSAGE,
            Shape.STREAM,
        ),
        *_refused_messages(unknown),
        *_refused_tensors(),
    )


def _refused_tensors() -> Sequence[Kind]:
    numbers = oip.InferTensorContents(int64_contents=[1] * (4 * MIB - 256))
    flood = oip.ModelInferRequest.InferInputTensor(datatype="INT64", shape=[1], contents=numbers)
    texts = oip.ModelInferRequest.InferInputTensor(name=ENTITY, datatype="BYTES", shape=[1])
    lying = b"\xff\xff\xff\x7f" + b"x" * (4 * MIB - 256)  # a length of 2 GiB, and a text
    requests = (
        ("4 M packed numbers", oip.ModelInferRequest(model_name=MODEL, inputs=[flood])),
        (
            "a text of 4 MB that ends too early",
            oip.ModelInferRequest(model_name=MODEL, inputs=[texts], raw_input_contents=[lying]),
        ),
    )
    return [
        Kind(f"ModelInfer, {name}", _INFER_METHOD, request.SerializeToString())
        for name, request in requests
    ]


def _refused_messages(unknown: Mapping[str, pb.FeatureValue]) -> Sequence[Kind]:
    request = pb.ScoreRequest(model=MODEL, entities={ENTITY: "u1"}, features=unknown)
    empty = b"\x3a\x00" * (MIB // 2)
    bodies = (
        ("20 unknown features", pb.ScoreStreamRequest(request=request).SerializeToString(), 100),
        ("0.5 M empty outputs", b"\x0a" + varint(len(empty)) + empty, 8),
    )
    return [
        StreamMessages(
            *(f"ScoreStream, message with {name}", SCORING + "ScoreStream", body, Shape.STREAM),
            messages=messages,
        )
        for name, body, messages in bodies
    ]


def unknown_field(size: int) -> bytes:
    """Return a message whose only field no kind of message has, of these bytes."""
    return b"\xc2\x3e" + varint(size) + bytes(size)


def batch_of(features: Mapping[str, pb.FeatureValue], *, sort: bool = False) -> bytes:
    """Return a ScoreBatch of 10,000 candidates with these features each."""
    candidates = [pb.Candidate(id=f"u{place}", features=features) for place in range(10_000)]
    request = pb.ScoreBatchRequest(
        model=MODEL, candidate_entity=ENTITY, candidates=candidates, sort=sort
    )
    return request.SerializeToString()
