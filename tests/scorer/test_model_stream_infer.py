"""ModelStreamInfer over real gRPC: answers, failures of single requests, and its end."""

import asyncio
import logging
import signal
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from time import monotonic
from typing import Any

import grpc
import numpy as np
import pytest

from scorer.server.request_reader import RequestLimits, RequestReader
from scorer.server.served_model import ServedModel
from scorer.server.service import SERVICE
from tests.scorer.conftest import StartScorer
from tests.scorer.fakes import DoublingRunner, Gate, WideRunner
from tests.scorer.serving import (
    IN_WORKER_S,
    LIMITS,
    STREAMS,
    array_of,
    infer_request,
    load,
    open_service,
)
from tests.scorer.test_service import ROWS
from understudy.oip import inference_pb2 as pb
from understudy.runtime.front.grpc_server import MAX_MESSAGE_BYTES

Code = grpc.StatusCode
WITHIN_S = 60.0


async def until(holds: Callable[[], object]) -> None:
    """Let the loop turn until `holds()`; the test's own time limit ends a futile wait."""
    while not holds():  # noqa: ASYNC110 - the code under test has no event for this
        await asyncio.sleep(0)


async def test_many_requests_of_a_stream_are_answered_with_their_ids(
    doubler: Path, tmp_path: Path
) -> None:
    sent = [np.full((1 + at % 3, 3), at, np.float32) for at in range(100)]
    async with open_service(doubler, tmp_path) as served, asyncio.timeout(WITHIN_S):
        call = served.stream()
        for at, rows in enumerate(sent):
            await call.write(infer_request(rows, request_id=f"r{at}"))
        await call.done_writing()
        answers = [await call.read() for _ in sent]
        assert await call.read() is grpc.aio.EOF
        assert await call.code() is Code.OK

    assert [answer.infer_response.id for answer in answers] == [f"r{at}" for at in range(100)]
    for rows, answer in zip(sent, answers, strict=True):
        assert not answer.error_message
        assert (array_of(answer.infer_response) == rows * 2).all()
    assert served.counted("requests_total") == 100


async def test_a_failed_request_gets_the_reason_and_the_stream_continues(
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


async def test_a_bug_reveals_no_text(doubler: Path, tmp_path: Path) -> None:
    async with open_service(doubler, tmp_path, runner=BrokenRunner()) as served:
        call = served.stream()
        await call.write(infer_request(ROWS))
        answer = await call.read()

    assert answer.error_message == "internal error"
    assert answer.infer_response.parameters["grpc_status"].int64_param == Code.INTERNAL.value[0]


async def test_an_answer_above_the_largest_message_does_not_end_the_stream(
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
    """Triton's parameter, in microseconds: a request that waits for a run behind another is late."""
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
        await served.call(
            "ServerLive", pb.ServerLiveRequest()
        )  # so the earlier request has arrived too
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


async def test_a_full_queue_gives_the_time_to_retry(doubler: Path, tmp_path: Path) -> None:
    gate = Gate()
    runner = DoublingRunner(before=gate)
    limits = replace(LIMITS, max_queue_rows=2)
    async with (
        open_service(
            doubler, tmp_path, runner=runner, limits=limits, inline_run_s=IN_WORKER_S
        ) as served,
        asyncio.timeout(WITHIN_S),
    ):
        call = served.stream()
        for at in range(3):  # one runs, one fills the queue, one is refused
            await call.write(infer_request(ROWS, request_id=f"r{at}"))
            await gate.entered.wait()
        await until(lambda: served.counted("failures_total", status="RESOURCE_EXHAUSTED") == 1)
        gate.open()
        answers = [await call.read() for _ in range(3)]

    *answered, refused = answers
    assert not any(answer.error_message for answer in answered)
    parameters = refused.infer_response.parameters
    assert parameters["grpc_status"].int64_param == Code.RESOURCE_EXHAUSTED.value[0]
    assert parameters["retry_after_ms"].int64_param >= 1


async def test_while_the_model_loads_each_request_is_answered_unavailable(
    doubler: Path, tmp_path: Path
) -> None:
    async with open_service(doubler, tmp_path, ready=False) as served:
        assert await code_of(served, infer_request(ROWS), streams=True) == Code.UNAVAILABLE.value[0]


async def test_requests_of_a_stream_share_a_run_of_the_worker(
    doubler: Path, tmp_path: Path
) -> None:
    gate = Gate()
    runner = DoublingRunner(before=gate)
    async with (
        open_service(doubler, tmp_path, runner=runner, inline_run_s=IN_WORKER_S) as served,
        asyncio.timeout(WITHIN_S),
    ):
        first = served.call("ModelInfer", infer_request(ROWS))
        await gate.entered.wait()
        call = served.stream()
        for _ in range(3):
            await call.write(infer_request(ROWS[:1]))
        # Answered at once, behind those three, which are therefore in the queue.
        await call.write(infer_request(ROWS, name="Z"))
        await until(lambda: served.counted("failures_total", status="INVALID_ARGUMENT") == 1)
        gate.open()
        await first
        for _ in range(3):
            assert not (await call.read()).error_message

    assert [len(rows) for rows in runner.ran] == [2, 3]


async def test_an_id_that_is_too_long_is_refused_and_not_sent_back(
    doubler: Path, tmp_path: Path
) -> None:
    async with open_service(doubler, tmp_path) as served:
        call = served.stream()
        await call.write(infer_request(ROWS, request_id="x" * 257))
        refused = await call.read()
        await call.write(infer_request(ROWS, request_id="x" * 256))
        answer = await call.read()

    assert refused.error_message == "id: read 257 characters; accepted: at most 256"
    assert not refused.infer_response.id
    assert len(answer.infer_response.id) == 256


async def test_streams_beyond_the_limit_are_refused(doubler: Path, tmp_path: Path) -> None:
    limits = replace(STREAMS, most=1, most_per_caller=1)
    async with open_service(doubler, tmp_path, streams=limits) as served:
        first = served.stream()
        await first.write(infer_request(ROWS, request_id="1"))
        await first.read()
        second = served.stream()
        code = await second.code()
        first.cancel()

    assert code is Code.RESOURCE_EXHAUSTED


async def test_a_request_above_the_largest_message_ends_the_stream(
    doubler: Path, tmp_path: Path
) -> None:
    async with open_service(doubler, tmp_path) as served:
        call = served.stream()
        await call.write(bytes(MAX_MESSAGE_BYTES + 1))
        with pytest.raises(grpc.aio.AioRpcError) as ended:
            await call.read()

    assert ended.value.code() is Code.RESOURCE_EXHAUSTED


async def test_a_stream_that_begins_during_the_drain_ends_with_ok(
    doubler: Path, tmp_path: Path
) -> None:
    async with open_service(doubler, tmp_path) as served:
        served.service.end_streams()
        call = served.stream()
        assert await call.read() is grpc.aio.EOF
        assert await call.code() is Code.OK


@pytest.mark.parametrize(
    ("timeout_us", "remaining_s", "due_s"),
    [
        (None, None, None),
        (0, None, None),
        (0, 5.0, 5.0),
        (2_000_000, None, 2.0),
        (2_000_000, 5.0, 2.0),
        (9_000_000, 5.0, 5.0),
    ],
)
@pytest.mark.parametrize("kind", ["int64_param", "uint64_param"])
def test_the_earlier_of_timeout_and_deadline_applies(
    timeout_us: int | None, remaining_s: float | None, due_s: float | None, kind: str, doubler: Path
) -> None:
    signature = load(doubler).signature
    reader = RequestReader(signature, RequestLimits(128, refuse_non_finite=False))
    no_batcher: Any = None  # no run takes place
    request = infer_request(ROWS)
    if timeout_us is not None:
        setattr(request.parameters["timeout"], kind, timeout_us)

    before_s = monotonic()
    model = ServedModel(signature, "d" * 64, reader, no_batcher)
    deadline_s = model.read(request, remaining_s).deadline_s
    after_s = monotonic()

    if due_s is None:
        assert deadline_s is None
    else:
        assert deadline_s is not None
        assert before_s + due_s <= deadline_s <= after_s + due_s


async def test_a_caller_that_disconnects_during_its_answer_leaves_no_log_line(
    doubler: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: Any
) -> None:
    """The scorer notices when it writes; no one is at fault, and it happens in every overload."""
    running, is_gone = threading.Event(), threading.Event()

    def go_away(address: str) -> None:
        with grpc.insecure_channel(address) as channel:
            request = infer_request(ROWS).SerializeToString()
            stream: Any = channel.stream_stream(f"/{SERVICE}/ModelStreamInfer")
            call = stream(iter([request]))
            assert running.wait(WITHIN_S)
            call.cancel()
        is_gone.set()

    def hold() -> None:
        running.set()
        assert is_gone.wait(WITHIN_S)  # blocks the event loop, so that nothing is received

    async with open_service(doubler, tmp_path, runner=DoublingRunner(before=hold)) as served:
        await asyncio.to_thread(go_away, f"unix:{tmp_path}/t.sock")
        await served.call("ServerLive", pb.ServerLiveRequest(), timeout=WITHIN_S)

    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []
    assert "Traceback" not in capfd.readouterr().err


@pytest.mark.fault
async def test_a_scorer_with_open_streams_drains_at_once_and_ends_them_with_ok(
    start_scorer: StartScorer, artifact: Path
) -> None:
    scorer = await start_scorer(artifact, SCORER_DRAIN_GRACE_S="600")
    async with grpc.aio.insecure_channel(scorer.address) as channel:
        call: Any = channel.stream_stream(f"/{SERVICE}/ModelStreamInfer")()
        await call.write(infer_request(ROWS).SerializeToString())
        answered = pb.ModelStreamInferResponse.FromString(await call.read())

        assert await scorer.end(signal.SIGTERM) == 0

        assert await call.read() is grpc.aio.EOF
        assert await call.code() is Code.OK
    assert (array_of(answered.infer_response) == ROWS * 2).all()
