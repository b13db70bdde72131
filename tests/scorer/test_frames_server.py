"""Requests in frames over a real socket: the answers of ModelStreamInfer, bounds, and the end."""

import asyncio
import tempfile
from dataclasses import replace
from pathlib import Path

import grpc
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.artifact.models import doubling_model
from tests.scorer.fakes import DoublingRunner, Gate, WideRunner
from tests.scorer.frames_client import FramesClient, frames_client
from tests.scorer.serving import (
    IN_WORKER_S,
    LIMITS,
    REF,
    STREAMS,
    array_of,
    infer_request,
    open_service,
)
from tests.scorer.test_service import ROWS
from understudy.inference.frames import FRAMES_PROPERTY, GREETING, frame
from understudy.oip import inference_pb2 as pb
from understudy.runtime.front.grpc_server import MAX_MESSAGE_BYTES

Code = grpc.StatusCode
WITHIN_S = 60.0


def status_of(answer: pb.ModelStreamInferResponse) -> int:
    return int(answer.infer_response.parameters["grpc_status"].int64_param)


async def test_many_requests_are_answered_with_their_ids(doubler: Path, tmp_path: Path) -> None:
    sent = {f"r{at}": np.full((1 + at % 3, 3), at, np.float32) for at in range(100)}
    async with (
        open_service(doubler, tmp_path) as served,
        frames_client(served.frames_path) as client,
        asyncio.timeout(WITHIN_S),
    ):
        loaded = await client.message()
        client.send(*(infer_request(rows, request_id=each) for each, rows in sent.items()))
        answers = [await client.answer() for _ in sent]
        metadata = await served.call("ModelMetadata", pb.ModelMetadataRequest(name=REF.model))

    assert loaded == metadata.properties["artifact_digest"].encode()
    assert metadata.properties[FRAMES_PROPERTY] == "1"
    found = {answer.infer_response.id: answer for answer in answers}
    assert found.keys() == sent.keys()
    for each, rows in sent.items():
        assert (array_of(found[each].infer_response) == rows * 2).all()
    assert served.counted("requests_total") == 100


async def test_a_failed_request_gets_the_reason_and_the_connection_continues(
    doubler: Path, tmp_path: Path
) -> None:
    wrong = infer_request(ROWS, name="Z", request_id="wrong")
    unknown = infer_request(ROWS, request_id="unknown")
    unknown.model_name = "nobody"
    async with (
        open_service(doubler, tmp_path) as served,
        frames_client(served.frames_path) as client,
        asyncio.timeout(WITHIN_S),
    ):
        await client.message()
        client.send(wrong, unknown, b"\xff\xff", b"", infer_request(ROWS))
        told = [await client.answer() for _ in range(5)]

    assert [(answer.infer_response.id, status_of(answer)) for answer in told[:4]] == [
        ("wrong", Code.INVALID_ARGUMENT.value[0]),
        ("unknown", Code.NOT_FOUND.value[0]),
        ("", Code.INVALID_ARGUMENT.value[0]),
        ("", Code.NOT_FOUND.value[0]),
    ]
    assert (array_of(told[4].infer_response) == ROWS * 2).all()


async def test_answers_overtake_one_that_waits_for_a_run(doubler: Path, tmp_path: Path) -> None:
    gate = Gate()
    runner = DoublingRunner(before=gate)
    async with (
        open_service(doubler, tmp_path, runner=runner, inline_run_s=IN_WORKER_S) as served,
        frames_client(served.frames_path) as client,
        asyncio.timeout(WITHIN_S),
    ):
        await client.message()
        client.send(infer_request(ROWS, request_id="slow"))
        await gate.entered.wait()
        client.send(infer_request(ROWS, name="Z", request_id="fast"))
        first = await client.answer()
        gate.open()
        second = await client.answer()

    assert [first.infer_response.id, second.infer_response.id] == ["fast", "slow"]


async def test_requests_that_wait_share_a_run(doubler: Path, tmp_path: Path) -> None:
    gate = Gate()
    runner = DoublingRunner(before=gate)
    async with (
        open_service(doubler, tmp_path, runner=runner, inline_run_s=IN_WORKER_S) as served,
        frames_client(served.frames_path) as client,
        asyncio.timeout(WITHIN_S),
    ):
        await client.message()
        client.send(infer_request(ROWS))
        await gate.entered.wait()
        client.send(*(infer_request(ROWS[:1]) for _ in range(3)), infer_request(ROWS, name="Z"))
        await client.answer()  # of the last one, behind the three, which are therefore queued
        gate.open()
        for _ in range(4):
            assert not (await client.answer()).error_message

    assert [len(rows) for rows in runner.ran] == [2, 3]


async def test_a_request_whose_time_has_passed_is_not_run(doubler: Path, tmp_path: Path) -> None:
    gate = Gate()
    runner = DoublingRunner(before=gate)
    hurried = infer_request(ROWS, request_id="hurried")
    hurried.parameters["timeout"].int64_param = 1
    async with (
        open_service(doubler, tmp_path, runner=runner, inline_run_s=IN_WORKER_S) as served,
        frames_client(served.frames_path) as client,
        asyncio.timeout(WITHIN_S),
    ):
        await client.message()
        client.send(infer_request(ROWS))
        await gate.entered.wait()
        client.send(hurried, infer_request(ROWS, name="Z"))
        await client.answer()  # of the last one: the hurried one is queued
        gate.open()
        answers = [await client.answer() for _ in range(2)]

    assert [status_of(answer) for answer in answers] == [0, Code.DEADLINE_EXCEEDED.value[0]]
    assert len(runner.ran) == 1


async def test_a_full_queue_refuses_with_the_time_to_retry(doubler: Path, tmp_path: Path) -> None:
    gate = Gate()
    runner = DoublingRunner(before=gate)
    limits = replace(LIMITS, max_queue_rows=2)
    async with (
        open_service(
            doubler, tmp_path, runner=runner, limits=limits, inline_run_s=IN_WORKER_S
        ) as served,
        frames_client(served.frames_path) as client,
        asyncio.timeout(WITHIN_S),
    ):
        await client.message()
        client.send(infer_request(ROWS, request_id="runs"))
        await gate.entered.wait()
        client.send(infer_request(ROWS), infer_request(ROWS, request_id="third"))
        refused = await client.answer()
        gate.open()

    assert refused.infer_response.id == "third"
    assert status_of(refused) == Code.RESOURCE_EXHAUSTED.value[0]
    assert refused.infer_response.parameters["retry_after_ms"].int64_param >= 1


async def test_an_answer_above_the_largest_message_does_not_end_the_connection(
    doubler: Path, tmp_path: Path
) -> None:
    async with (
        open_service(doubler, tmp_path, runner=WideRunner()) as served,
        frames_client(served.frames_path) as client,
        asyncio.timeout(WITHIN_S),
    ):
        await client.message()
        client.send(infer_request(ROWS), infer_request(ROWS[:1]))
        refused, answer = await client.answer(), await client.answer()

    assert "fewer rows" in refused.error_message
    assert array_of(answer.infer_response).shape == (1, 4)


@pytest.mark.parametrize(
    "begin",
    [
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        GREETING + (MAX_MESSAGE_BYTES + 1).to_bytes(4, "big"),
        GREETING + b"\xff\xff\xff\xff",
    ],
)
async def test_a_wrong_greeting_or_a_long_frame_ends_its_connection_alone(
    begin: bytes, doubler: Path, tmp_path: Path
) -> None:
    async with (
        open_service(doubler, tmp_path) as served,
        frames_client(served.frames_path) as client,
        asyncio.timeout(WITHIN_S),
    ):
        await client.message()
        async with frames_client(served.frames_path, begin=begin) as wrong:
            await wrong.ended()
        client.send(infer_request(ROWS))

        assert not (await client.answer()).error_message


async def test_connections_beyond_the_limit_are_closed(doubler: Path, tmp_path: Path) -> None:
    limits = replace(STREAMS, most=1)
    async with (
        open_service(doubler, tmp_path, streams=limits) as served,
        frames_client(served.frames_path) as first,
        asyncio.timeout(WITHIN_S),
    ):
        await first.message()
        async with frames_client(served.frames_path) as second:
            await second.ended()
        first.send(infer_request(ROWS))

        assert not (await first.answer()).error_message


async def test_requests_that_wait_for_their_turns_hold_their_sender_back(
    doubler: Path, tmp_path: Path
) -> None:
    """One is taken in each turn of the loop, so small ones would arrive faster than they leave."""
    flood = frame(b"\xff") * (4 << 20)
    async with (
        open_service(doubler, tmp_path) as served,
        frames_client(served.frames_path) as client,
        asyncio.timeout(WITHIN_S),
    ):
        await client.message()
        client.writer.write(flood)
        for _ in range(200):
            await client.answer()
        unsent = client.writer.transport.get_write_buffer_size()

    assert unsent > len(flood) / 2


PIECES = st.lists(
    st.binary(max_size=64)
    | st.builds(frame, st.binary(max_size=32))
    | st.just(frame(infer_request(ROWS).SerializeToString()))
    | st.just(GREETING),
    max_size=8,
)


@settings(max_examples=25)
@given(connections=st.lists(PIECES, min_size=1, max_size=6))
def test_no_bytes_end_the_server_or_leave_anything_open(connections: list[list[bytes]]) -> None:
    asyncio.run(send_all(connections))


async def send_all(connections: list[list[bytes]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        source = doubling_model(Path(folder) / "model.onnx")
        async with open_service(source, Path(folder)) as served, asyncio.timeout(WITHIN_S):
            assert served.frames is not None
            for at, pieces in enumerate(connections):
                begin = GREETING if at % 2 else b""
                async with frames_client(served.frames_path, begin=begin) as client:
                    for piece in pieces:
                        client.writer.write(piece)
                    await drained(client)
            await served.frames.until_none_is_open()
            async with frames_client(served.frames_path) as client:
                await client.message()
                client.send(infer_request(ROWS))
                assert not (await client.answer()).error_message
            assert not served.counted("failures_total", status="INTERNAL")


async def drained(client: FramesClient) -> None:
    client.writer.write_eof()
    await client.ended()
