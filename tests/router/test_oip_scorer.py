"""The adapter to a scorer, over real gRPC: streams are kept, and failures become our errors."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace

import grpc
import numpy as np
import pytest
from google.protobuf.message import DecodeError

from router.adapters.oip_scorer import OipScorer
from router.ports import OtherArtifactError
from tests.router.samples import spec
from tests.router.scorer_stream import Context, answering_each, serving_streams
from tests.virtual_time import skip, turns
from understudy.domain.errors import (
    CorruptedError,
    DeadlinePassedError,
    InvalidInputError,
    UnavailableError,
)
from understudy.domain.trace_context import TraceContext
from understudy.inference.request_parameters import trace_of_parameters
from understudy.oip import inference_pb2 as oip
from understudy.runtime.front.grpc_server import open_server, started
from understudy.runtime.transport.transport import LOCAL

ROWS = (np.ones((3, 2), np.float32),)
LONG_S = 60.0
pytestmark = pytest.mark.stopped_clock


@asynccontextmanager
async def scorer_of(handler: grpc.GenericRpcHandler) -> AsyncIterator[OipScorer]:
    async with open_server() as server:
        server.add_generic_rpc_handlers((handler,))
        port = LOCAL.bind(server, "127.0.0.1:0")
        scorer = OipScorer(f"127.0.0.1:{port}")
        async with started(server):
            try:
                yield scorer
            finally:
                await scorer.close()


def always(answer: bytes) -> Callable[[bytes], Awaitable[bytes]]:
    async def answers(request: bytes) -> bytes:
        return with_id_of(request, answer)

    return answers


def with_id_of(request: bytes, answer: bytes) -> bytes:
    """Return the answer with the request's id; bytes that are not a message stay unchanged."""
    try:
        message = oip.ModelStreamInferResponse.FromString(answer)
    except DecodeError:
        return answer
    message.infer_response.id = oip.ModelInferRequest.FromString(request).id
    return message.SerializeToString()


def answer_of(values: list[float], *, name: str = "score", shape: list[int] | None = None) -> bytes:
    tensor = oip.ModelInferResponse.InferOutputTensor(
        name=name, datatype="FP32", shape=shape or [len(values), 1]
    )
    raw = np.array(values, np.float32).tobytes()
    return wrapped(oip.ModelInferResponse(outputs=[tensor], raw_output_contents=[raw]))


def wrapped(response: oip.ModelInferResponse) -> bytes:
    return oip.ModelStreamInferResponse(infer_response=response).SerializeToString()


def failure(status: grpc.StatusCode) -> bytes:
    told = oip.ModelStreamInferResponse(error_message="x: shape")
    told.infer_response.parameters["grpc_status"].int64_param = status.value[0]
    return told.SerializeToString()


GOOD = answer_of([0.25, 0.5, 0.75])


async def until(holds: Callable[[], object]) -> None:
    """Let the loop turn until `holds()`, without any time passing."""
    while not holds():  # noqa: ASYNC110 - the code under test has no event for this
        await asyncio.sleep(0)


class Counted:
    """A scorer that counts its streams and answers as configured."""

    def __init__(self) -> None:
        self.streams = 0
        self.requests: list[oip.ModelInferRequest] = []
        self.ended = 0
        self.answer = GOOD
        self.hold = asyncio.Event()
        self.hold.set()

    async def serve(self, requests: AsyncIterator[bytes], context: Context) -> None:
        self.streams += 1
        try:
            async for body in requests:
                self.requests.append(oip.ModelInferRequest.FromString(body))
                await self.hold.wait()
                await context.write(with_id_of(body, self.answer))
        finally:
            self.ended += 1


async def test_scores_are_returned_in_order() -> None:
    async with scorer_of(answering_each(always(GOOD))) as scorer:
        inferred = await scorer.infer(spec(1), ROWS, timeout_s=LONG_S)

    assert inferred.scores.tolist() == [0.25, 0.5, 0.75]


async def test_one_stream_serves_one_request_after_the_other() -> None:
    counted = Counted()
    async with scorer_of(serving_streams(counted.serve)) as scorer:
        for _ in range(50):
            await scorer.infer(spec(1), ROWS, timeout_s=LONG_S)

    assert counted.streams == 1
    assert len(counted.requests) == 50


async def test_each_request_carries_its_time_limit() -> None:
    counted = Counted()
    async with scorer_of(serving_streams(counted.serve)) as scorer:
        await scorer.infer(spec(1), ROWS, timeout_s=10.0)
        await scorer.infer(spec(1), ROWS, timeout_s=5.5)

    timeouts = [request.parameters["timeout"].int64_param for request in counted.requests]
    assert timeouts == [10_000_000, 5_500_000]


async def test_a_request_names_the_trace_of_a_caller() -> None:
    counted = Counted()
    trace = TraceContext("1" * 32, "2" * 16, 1, "vendor=a")
    async with scorer_of(serving_streams(counted.serve)) as scorer:
        await scorer.infer(spec(1), ROWS, timeout_s=LONG_S, trace=trace)
        await scorer.infer(spec(1), ROWS, timeout_s=LONG_S, trace=replace(trace, state=""))
        await scorer.infer(spec(1), ROWS, timeout_s=LONG_S)

    read = [trace_of_parameters(request) for request in counted.requests]
    assert read == [trace, replace(trace, state=""), None]


async def test_concurrent_requests_have_separate_streams_and_few_are_kept() -> None:
    counted = Counted()
    counted.hold.clear()
    async with scorer_of(serving_streams(counted.serve)) as scorer, asyncio.TaskGroup() as tasks:
        for _ in range(20):
            tasks.create_task(scorer.infer(spec(1), ROWS, timeout_s=LONG_S))
        await until(lambda: len(counted.requests) == 20)
        counted.hold.set()
        await until(lambda: counted.ended == 12)  # eight are kept
    assert counted.streams == 20


async def test_a_request_that_is_given_up_ends_only_its_own_stream() -> None:
    counted = Counted()
    async with scorer_of(serving_streams(counted.serve)) as scorer:
        await scorer.infer(spec(1), ROWS, timeout_s=LONG_S)
        counted.hold.clear()
        late = asyncio.ensure_future(scorer.infer(spec(1), ROWS, timeout_s=0.5))
        await until(lambda: len(counted.requests) == 2)
        skip(0.5)
        with pytest.raises(DeadlinePassedError):
            await late
        hedged = asyncio.ensure_future(scorer.infer(spec(1), ROWS, timeout_s=LONG_S))
        await until(lambda: len(counted.requests) == 3)
        hedged.cancel()
        with pytest.raises(asyncio.CancelledError):
            await hedged
        await until(lambda: counted.ended == 2)  # the scorer has noticed both
        counted.answer = answer_of([1.0, 1.0, 1.0])
        counted.hold.set()
        inferred = await scorer.infer(spec(1), ROWS, timeout_s=LONG_S)

    assert inferred.scores.tolist() == [1.0, 1.0, 1.0], "an answer of a request given up"
    assert counted.streams == 3


async def test_a_stream_that_ended_while_idle_is_replaced() -> None:
    """As after a restart of the scorer: no call fails because of it."""
    counted = Counted()
    end = asyncio.Event()

    async def serve(requests: AsyncIterator[bytes], context: Context) -> None:
        serving = asyncio.ensure_future(counted.serve(requests, context))
        ending = asyncio.ensure_future(end.wait())
        try:
            await asyncio.wait({serving, ending}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            serving.cancel()
            ending.cancel()

    async with scorer_of(serving_streams(serve)) as scorer:
        await scorer.infer(spec(1), ROWS, timeout_s=LONG_S)
        ((kept, _),) = scorer._kept  # only the stream knows when it has noticed the end
        end.set()
        await until(kept.done)
        end.clear()
        await scorer.infer(spec(1), ROWS, timeout_s=LONG_S)

    assert counted.streams == 2


@pytest.mark.fault
async def test_a_process_exchanged_behind_an_answered_address_gets_no_request() -> None:
    counted, loaded = Counted(), spec(1).artifact_digest
    served = serving_streams(counted.serve, loaded=lambda: loaded)
    async with scorer_of(served) as scorer:
        await scorer.infer(spec(1), ROWS, timeout_s=LONG_S)
        loaded = "f" * 64  # of the next stream, as after a new connection
        for stream, _ in scorer._kept:
            stream.cancel()

        for _ in range(3):
            with pytest.raises(OtherArtifactError, match="it loaded ffff"):
                await scorer.infer(spec(1), ROWS, timeout_s=LONG_S)

        loaded = spec(1).artifact_digest
        await scorer.infer(spec(1), ROWS, timeout_s=LONG_S)

    assert len(counted.requests) == 2


@pytest.mark.fault
async def test_a_stream_that_proved_one_version_carries_no_request_of_another() -> None:
    counted = Counted()
    async with scorer_of(serving_streams(counted.serve)) as scorer:
        await scorer.infer(spec(1), ROWS, timeout_s=LONG_S)

        with pytest.raises(OtherArtifactError):
            await scorer.infer(spec(2), ROWS, timeout_s=LONG_S)

    assert len(counted.requests) == 1


async def test_a_kept_stream_that_accepts_nothing_any_more_costs_no_answer() -> None:
    """As with a scorer that drains or was replaced: its end may not have been noticed yet."""
    counted = Counted()
    answered = 0

    async def serve_one(requests: AsyncIterator[bytes], context: Context) -> None:
        nonlocal answered
        counted.streams += 1
        async for body in requests:
            await context.write(with_id_of(body, GOOD))
            answered += 1
            if counted.streams == 1:
                await anext(aiter(requests))  # read by gRPC, never by the scorer
                return

    async with scorer_of(serving_streams(serve_one)) as scorer:
        await scorer.infer(spec(1), ROWS, timeout_s=LONG_S)
        inferred = await scorer.infer(spec(1), ROWS, timeout_s=LONG_S)

    assert inferred.scores.tolist() == [0.25, 0.5, 0.75]
    assert (counted.streams, answered) == (2, 2)


async def test_the_answer_to_another_request_is_corrupted_and_ends_its_stream() -> None:
    counted = Counted()

    async def serve_twice(requests: AsyncIterator[bytes], context: Context) -> None:
        """Answer the first request twice: later answers are one behind."""
        counted.streams += 1
        async for body in requests:
            await context.write(with_id_of(body, GOOD))
            if counted.streams == 1:
                await context.write(with_id_of(body, GOOD))

    async with scorer_of(serving_streams(serve_twice)) as scorer:
        await scorer.infer(spec(1), ROWS, timeout_s=LONG_S)
        with pytest.raises(CorruptedError, match="does not match its request"):
            await scorer.infer(spec(1), ROWS, timeout_s=LONG_S)
        await scorer.infer(spec(1), ROWS, timeout_s=LONG_S)

    assert counted.streams == 2


async def test_an_answer_read_after_the_loop_was_blocked_counts() -> None:
    """The router's own code blocks the loop: the scorer is not to blame."""
    counted = Counted()
    counted.hold.clear()
    async with scorer_of(serving_streams(counted.serve)) as scorer:
        asking = asyncio.ensure_future(scorer.infer(spec(1), ROWS, timeout_s=0.5))
        await until(lambda: counted.requests)
        skip(1.0)  # the loop was blocked beyond the scorer's time
        await turns()  # the timer runs, then the answer is read
        counted.hold.set()

        assert (await asking).scores.tolist() == [0.25, 0.5, 0.75]


async def test_a_stream_that_ends_instead_of_answering_is_an_unavailable_scorer() -> None:
    async def serve(requests: AsyncIterator[bytes], _context: Context) -> None:
        await anext(aiter(requests))

    async with scorer_of(serving_streams(serve)) as scorer:
        with pytest.raises(UnavailableError):
            await scorer.infer(spec(1), ROWS, timeout_s=LONG_S)


@pytest.mark.parametrize(
    "answer",
    [
        answer_of([0.5]),  # fewer rows than were sent
        answer_of([0.5] * 3, name="other"),
        answer_of([0.5] * 3, shape=[2, 1]),
        b"",
        wrapped(oip.ModelInferResponse()),
        wrapped(
            oip.ModelInferResponse(
                outputs=[oip.ModelInferResponse.InferOutputTensor(name="score", datatype="FP32")]
            )
        ),
        b"\xff\xff",
    ],
)
async def test_an_answer_that_does_not_fit_is_corrupted(answer: bytes) -> None:
    async with scorer_of(answering_each(always(answer))) as scorer:
        with pytest.raises(CorruptedError):
            await scorer.infer(spec(1), ROWS, timeout_s=LONG_S)


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (grpc.StatusCode.INVALID_ARGUMENT, InvalidInputError),
        (grpc.StatusCode.DEADLINE_EXCEEDED, DeadlinePassedError),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, UnavailableError),
        (grpc.StatusCode.INTERNAL, UnavailableError),
    ],
)
async def test_a_failed_request_is_named_and_its_stream_continues(
    status: grpc.StatusCode, kind: type[Exception]
) -> None:
    counted = Counted()
    counted.answer = failure(status)
    async with scorer_of(serving_streams(counted.serve)) as scorer:
        with pytest.raises(kind):
            await scorer.infer(spec(1), ROWS, timeout_s=LONG_S)
        counted.answer = GOOD
        await scorer.infer(spec(1), ROWS, timeout_s=LONG_S)

    assert counted.streams == 1


async def test_a_failure_without_a_status_is_reported_with_its_text() -> None:
    """As with Triton's own: it has only the text."""
    told = oip.ModelStreamInferResponse(error_message="out of memory").SerializeToString()

    async with scorer_of(answering_each(always(told))) as scorer:
        with pytest.raises(UnavailableError, match="out of memory"):
            await scorer.infer(spec(1), ROWS, timeout_s=LONG_S)


async def test_an_address_without_a_server_is_an_unavailable_scorer(unused_tcp_port: int) -> None:
    scorer = OipScorer(f"127.0.0.1:{unused_tcp_port}")
    try:
        with pytest.raises(UnavailableError):
            await scorer.infer(spec(1), ROWS, timeout_s=LONG_S)
    finally:
        await scorer.close()


async def test_a_channel_closed_under_a_call_is_an_unavailable_scorer() -> None:
    entered, release = asyncio.Event(), asyncio.Event()

    async def answers(_request: bytes) -> bytes:
        entered.set()
        await release.wait()
        return b""

    async with scorer_of(answering_each(answers)) as scorer, asyncio.timeout(LONG_S):
        calling = asyncio.ensure_future(scorer.infer(spec(1), ROWS, timeout_s=LONG_S))
        await entered.wait()
        await scorer.close()
        with pytest.raises(UnavailableError):
            await calling
        with pytest.raises(UnavailableError):
            await scorer.infer(spec(1), ROWS, timeout_s=LONG_S)
        release.set()
