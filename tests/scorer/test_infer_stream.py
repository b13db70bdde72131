"""ModelStreamInfer: order, flow control, what one request's failure does, and how a stream ends."""

import asyncio
import signal
from collections.abc import AsyncIterator, Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest

from scorer.infer_stream import InferStream
from scorer.service import SERVICE
from tests.scorer.conftest import StartScorer
from tests.scorer.fakes import DoublingRunner, Gate
from tests.scorer.models import doubling_model
from tests.scorer.serving import array_of, infer_request, open_service
from tests.scorer.test_service import IN_WORKER_S, ROWS, WideRunner
from understudy.oip import inference_pb2 as pb

Code = grpc.StatusCode
WITHIN_S = 10.0


@pytest.fixture
def doubler(tmp_path: Path) -> Path:
    return doubling_model(tmp_path / "model.onnx")


@dataclass
class Caller:
    """The far end of a stream without a socket: it half-closes after `to_send`, unless it stays."""

    to_send: int
    stays: bool = False
    reads: bool = True
    taken: int = 0
    answers: list[bytes] = field(default_factory=list)

    async def requests(self) -> AsyncIterator[bytes]:
        for at in range(self.to_send):
            self.taken += 1
            yield b"%d" % at
        if self.stays:
            await asyncio.Event().wait()

    async def write(self, message: bytes) -> None:
        if not self.reads:
            await asyncio.Event().wait()
        self.answers.append(message)


async def turns(count: int = 200) -> None:
    """Let everybody go on who can."""
    for _ in range(count):
        await asyncio.sleep(0)


async def test_answers_come_in_the_order_of_requests_whoever_is_done_first() -> None:
    release = [asyncio.Event() for _ in range(5)]

    async def answer(received: bytes) -> bytes:
        await release[int(received)].wait()
        return received

    caller = Caller(to_send=5)
    async with asyncio.timeout(WITHIN_S), asyncio.TaskGroup() as tasks:
        running = tasks.create_task(InferStream(answer).run(caller.requests(), caller.write))
        for at in (4, 2, 3, 1):
            release[at].set()
        await turns()
        assert caller.answers == []
        release[0].set()
        await running

    assert caller.answers == [b"0", b"1", b"2", b"3", b"4"]


async def test_a_caller_that_does_not_read_is_not_read_from() -> None:
    async def answer(received: bytes) -> bytes:
        return received

    caller = Caller(to_send=100, reads=False)
    stream = InferStream(answer, most_open=8)
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(stream.run(caller.requests(), caller.write))
        await turns()
        assert caller.taken == 8
        running.cancel()


async def test_all_are_answered_beyond_the_bound_of_open_requests() -> None:
    async def answer(received: bytes) -> bytes:
        await asyncio.sleep(0)
        return received

    caller = Caller(to_send=100)
    async with asyncio.timeout(WITHIN_S):
        await InferStream(answer, most_open=3).run(caller.requests(), caller.write)

    assert caller.answers == [b"%d" % at for at in range(100)]


async def test_a_caller_that_goes_takes_its_unanswered_requests_along() -> None:
    cancelled = 0

    async def answer(_received: bytes) -> bytes:
        nonlocal cancelled
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled += 1
            raise
        raise AssertionError

    caller = Caller(to_send=5, stays=True)
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(InferStream(answer).run(caller.requests(), caller.write))
        await turns()
        running.cancel()

    assert cancelled == 5


async def test_a_stream_that_stops_reading_answers_what_it_took_and_ends() -> None:
    release = asyncio.Event()

    async def answer(received: bytes) -> bytes:
        await release.wait()
        return received

    caller = Caller(to_send=3, stays=True)
    stream = InferStream(answer)
    async with asyncio.timeout(WITHIN_S), asyncio.TaskGroup() as tasks:
        running = tasks.create_task(stream.run(caller.requests(), caller.write))
        await turns()
        stream.stop_reading()
        await turns()
        assert not running.done()
        release.set()
        await running

    assert caller.answers == [b"0", b"1", b"2"]


async def test_what_is_answered_at_once_waits_for_what_came_before_it() -> None:
    release = asyncio.Event()

    async def later(received: bytes) -> bytes:
        await release.wait()
        return received

    def answer(received: bytes) -> bytes | Coroutine[Any, Any, bytes]:
        return later(received) if received == b"1" else received

    caller = Caller(to_send=4)
    async with asyncio.timeout(WITHIN_S), asyncio.TaskGroup() as tasks:
        running = tasks.create_task(InferStream(answer).run(caller.requests(), caller.write))
        await turns()
        assert caller.answers == [b"0"]
        release.set()
        await running

    assert caller.answers == [b"0", b"1", b"2", b"3"]


async def test_a_stream_told_to_end_while_it_writes_writes_that_answer_first() -> None:
    reads = asyncio.Event()
    answers: list[bytes] = []

    async def write(message: bytes) -> None:
        await reads.wait()
        answers.append(message)

    caller = Caller(to_send=5, stays=True)
    stream = InferStream(lambda received: received)
    async with asyncio.timeout(WITHIN_S), asyncio.TaskGroup() as tasks:
        running = tasks.create_task(stream.run(caller.requests(), write))
        await turns()
        assert caller.taken == 1  # nothing is read while nobody reads the answer
        stream.stop_reading()
        await turns()
        assert not running.done()
        reads.set()
        await running

    assert answers == [b"0"]


async def test_many_requests_of_a_stream_are_answered_with_their_ids(
    doubler: Path, tmp_path: Path
) -> None:
    sent = [np.full((1 + at % 3, 3), at, np.float32) for at in range(100)]
    async with open_service(doubler, tmp_path) as served, asyncio.timeout(WITHIN_S):
        call = served.stream()
        for at, rows in enumerate(sent):
            await call.write(infer_request(rows, request_id=f"r{at}"))
        await call.done_writing()
        answers = [answer async for answer in ReadBy(call)]
        assert await call.code() is Code.OK

    assert [answer.infer_response.id for answer in answers] == [f"r{at}" for at in range(100)]
    for rows, answer in zip(sent, answers, strict=True):
        assert not answer.error_message
        assert (array_of(answer.infer_response) == rows * 2).all()
    assert served.counted("requests_total") == 100


class ReadBy:
    """The answers of a call that is written to by hand: gRPC wants it read by hand, too."""

    def __init__(self, call: Any) -> None:
        self._call = call

    async def __aiter__(self) -> AsyncIterator[pb.ModelStreamInferResponse]:
        while (answer := await self._call.read()) is not grpc.aio.EOF:
            yield answer


async def test_a_request_that_fails_is_told_why_and_the_stream_goes_on(
    doubler: Path, tmp_path: Path
) -> None:
    wrong = infer_request(ROWS, name="Z", request_id="wrong")
    unknown = infer_request(ROWS, request_id="unknown")
    unknown.model_name = "nobody"
    typed_timeout = infer_request(ROWS, request_id="odd")
    typed_timeout.parameters["timeout"].string_param = "soon"
    async with open_service(doubler, tmp_path) as served, asyncio.timeout(WITHIN_S):
        call = served.stream()
        told = []
        for request in (wrong, unknown, typed_timeout, b"\xff\xff"):
            await call.write(request)
            told.append(await call.read())
        await call.write(infer_request(ROWS))
        last = await call.read()

    assert [
        (
            answer.infer_response.id,
            answer.infer_response.parameters["grpc_status"].int64_param,
        )
        for answer in told
    ] == [
        ("wrong", Code.INVALID_ARGUMENT.value[0]),
        ("unknown", Code.NOT_FOUND.value[0]),
        ("odd", Code.INVALID_ARGUMENT.value[0]),
        ("", Code.INVALID_ARGUMENT.value[0]),
    ]
    for answer, words in zip(
        told, (("'Z'", "X"), ("nobody",), ("timeout", "soon"), ("2 bytes",)), strict=True
    ):
        for word in words:
            assert word in answer.error_message
    assert (array_of(last.infer_response) == ROWS * 2).all()
    assert served.counted("failures_total", status="INVALID_ARGUMENT") == 3


class BrokenRunner(DoublingRunner):
    def run(self, inputs: Any, outputs: tuple[int, ...]) -> Any:
        raise ZeroDivisionError("secret")


async def test_a_bug_has_no_text(doubler: Path, tmp_path: Path) -> None:
    async with open_service(doubler, tmp_path, runner=BrokenRunner()) as served:
        call = served.stream()
        await call.write(infer_request(ROWS))
        answer = await call.read()

    assert answer.error_message == "internal error"
    assert answer.infer_response.parameters["grpc_status"].int64_param == Code.INTERNAL.value[0]


async def test_an_answer_above_the_largest_message_spares_the_stream(
    doubler: Path, tmp_path: Path
) -> None:
    async with open_service(doubler, tmp_path, runner=WideRunner()) as served:
        call = served.stream()
        await call.write(infer_request(ROWS))
        refused = await call.read()
        await call.write(infer_request(ROWS[:1]))
        answer = await call.read()

    assert "fewer rows" in refused.error_message
    assert array_of(answer.infer_response).shape == (1, 4)


@pytest.mark.parametrize("streams", [True, False])
async def test_a_request_that_has_waited_for_its_timeout_is_not_run(
    streams: bool, doubler: Path, tmp_path: Path
) -> None:
    """Triton's parameter, in microseconds: what waits for a run behind another one is late."""
    gate = Gate()
    runner = DoublingRunner(before=gate)
    hurried = infer_request(ROWS)
    hurried.parameters["timeout"].int64_param = 1
    async with (
        open_service(doubler, tmp_path, runner=runner, inline_run_s=IN_WORKER_S) as served,
        asyncio.timeout(WITHIN_S),
    ):
        first = served.call("ModelInfer", infer_request(ROWS))
        await gate.entered.wait()
        code = asyncio.ensure_future(code_of(served, hurried, streams=streams))
        await served.call("ServerLive", pb.ServerLiveRequest())  # it has come, too
        gate.open()
        await first
        assert await code == Code.DEADLINE_EXCEEDED.value[0]

    assert len(runner.ran) == 1
    assert served.counted("expired_total") == 1


async def code_of(served: Any, request: pb.ModelInferRequest, *, streams: bool) -> int:
    if not streams:
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await served.call("ModelInfer", request)
        return int(refused.value.code().value[0])
    call = served.stream()
    await call.write(request)
    answer = await call.read()
    return int(answer.infer_response.parameters["grpc_status"].int64_param)


async def test_the_deadline_of_the_call_counts_too(doubler: Path, tmp_path: Path) -> None:
    gate = Gate()
    runner = DoublingRunner(before=gate)
    async with (
        open_service(doubler, tmp_path, runner=runner, inline_run_s=IN_WORKER_S) as served,
        asyncio.timeout(WITHIN_S),
    ):
        first = served.call("ModelInfer", infer_request(ROWS))
        await gate.entered.wait()
        call = served.stream(timeout=0.05)
        await call.write(infer_request(ROWS))
        with pytest.raises(grpc.aio.AioRpcError) as ended:
            await call.read()
        gate.open()
        await first

    assert ended.value.code() is Code.DEADLINE_EXCEEDED
    assert len(runner.ran) == 1


@pytest.mark.fault
async def test_a_scorer_with_open_streams_drains_at_once_and_ends_them_with_ok(
    start_scorer: StartScorer, artifact: Path
) -> None:
    scorer = await start_scorer(artifact, SCORER_DRAIN_GRACE_S="60")
    async with grpc.aio.insecure_channel(scorer.address) as channel:
        call: Any = channel.stream_stream(f"/{SERVICE}/ModelStreamInfer")()
        await call.write(infer_request(ROWS).SerializeToString())
        answered = pb.ModelStreamInferResponse.FromString(await call.read())

        assert await scorer.end(signal.SIGTERM) == 0  # within 20 s, where the grace is 60

        assert await call.read() is grpc.aio.EOF
        assert await call.code() is Code.OK
    assert (array_of(answered.infer_response) == ROWS * 2).all()
