"""The protocol's RPCs over real gRPC: answers, and the status and text of each refusal."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest

from router.adapters.oip_scorer import OipScorer
from tests.scorer.fakes import DoublingRunner, Gate, WideRunner
from tests.scorer.serving import IN_WORKER_S, LIMITS, array_of, infer_request, open_service
from understudy.artifact.artifact import describe_artifact
from understudy.domain.errors import CorruptedError
from understudy.domain.versions import VersionRef, artifact_digest
from understudy.oip import inference_pb2 as pb

Code = grpc.StatusCode
ROWS = np.arange(6, dtype=np.float32).reshape(2, 3)
WITHIN_S = 60.0
Edit = Callable[[pb.ModelInferRequest], Any]


async def test_the_answer_is_raw_and_names_model_version_and_id(
    doubler: Path, tmp_path: Path
) -> None:
    async with open_service(doubler, tmp_path) as served:
        response = await served.call("ModelInfer", infer_request(ROWS, request_id="é1"))

    assert (array_of(response) == ROWS * 2).all()
    assert (response.model_name, response.model_version, response.id) == ("doubler", "1", "é1")
    assert not response.outputs[0].HasField("contents")


async def test_a_typed_answer_is_given_on_request(doubler: Path, tmp_path: Path) -> None:
    request = infer_request(ROWS)
    request.parameters["binary_data_output"].bool_param = False

    async with open_service(doubler, tmp_path) as served:
        response = await served.call("ModelInfer", request)

    assert list(response.outputs[0].contents.fp32_contents) == (ROWS * 2).ravel().tolist()
    assert not response.raw_output_contents


def other_datatype(request: pb.ModelInferRequest) -> None:
    request.inputs[0].datatype = "FP64"


def other_width(request: pb.ModelInferRequest) -> None:
    del request.inputs[0].shape[:]
    request.inputs[0].shape.extend((3, 2))


def other_rank(request: pb.ModelInferRequest) -> None:
    request.inputs[0].shape.append(1)


def negative_size(request: pb.ModelInferRequest) -> None:
    request.inputs[0].shape[0] = -2


def no_rows(request: pb.ModelInferRequest) -> None:
    request.inputs[0].shape[0] = 0
    request.raw_input_contents[0] = b""


def too_many_rows(request: pb.ModelInferRequest) -> None:
    request.CopyFrom(infer_request(np.zeros((129, 3), np.float32)))


def short_raw(request: pb.ModelInferRequest) -> None:
    request.raw_input_contents[0] = b"1234"


def too_many_raw(request: pb.ModelInferRequest) -> None:
    request.raw_input_contents.append(b"")


def raw_and_contents(request: pb.ModelInferRequest) -> None:
    request.inputs[0].contents.fp32_contents.append(1.0)


def contents_of_another_type(request: pb.ModelInferRequest) -> None:
    del request.raw_input_contents[:]
    request.inputs[0].contents.fp64_contents.extend([1.0] * 6)


def too_few_contents(request: pb.ModelInferRequest) -> None:
    del request.raw_input_contents[:]
    request.inputs[0].contents.fp32_contents.extend([1.0] * 5)


def unknown_input(request: pb.ModelInferRequest) -> None:
    request.inputs[0].name = "Z"


def input_twice(request: pb.ModelInferRequest) -> None:
    request.inputs.append(request.inputs[0])
    request.raw_input_contents.append(request.raw_input_contents[0])


def no_input(request: pb.ModelInferRequest) -> None:
    del request.inputs[:]


def unknown_output(request: pb.ModelInferRequest) -> None:
    request.outputs.add(name="Q")


def output_twice(request: pb.ModelInferRequest) -> None:
    request.outputs.add(name="Y")
    request.outputs.add(name="Y")


def shared_memory(request: pb.ModelInferRequest) -> None:
    request.inputs[0].parameters["shared_memory_region"].string_param = "r"


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (other_datatype, ("input 'X' datatype", "FP64", "FP32")),
        (other_width, ("input 'X' shape", "[3, 2]", "[-1, 3]")),
        (other_rank, ("input 'X' shape", "[2, 3, 1]", "[-1, 3]")),
        (negative_size, ("input 'X' shape", "[-2, 3]", "[-1, 3]")),
        (no_rows, ("input 'X' shape", "[0, 3]", "1 to 128 rows")),
        (too_many_rows, ("input 'X' shape", "[129, 3]", "1 to 128 rows")),
        (short_raw, ("input 'X' raw_input_contents", "4 bytes", "24 bytes")),
        (too_many_raw, ("raw_input_contents", "2 entries", "one per input")),
        (raw_and_contents, ("input 'X' contents", "together with raw_input_contents")),
        (contents_of_another_type, ("input 'X' contents", "fp64_contents", "fp32_contents")),
        (too_few_contents, ("input 'X' contents.fp32_contents", "5 values", "6 values")),
        (unknown_input, ("inputs", "['Z']", "X")),
        (input_twice, ("inputs", "['X', 'X']", "X")),
        (no_input, ("inputs", "[]", "X")),
        (unknown_output, ("outputs", "'Q'", "Y")),
        (output_twice, ("outputs", "'Y'", "each once")),
        (shared_memory, ("input 'X' parameters", "shared_memory_region")),
    ],
)
async def test_bad_input_is_refused_by_name(
    edit: Edit, words: tuple[str, ...], doubler: Path, tmp_path: Path
) -> None:
    request = infer_request(ROWS)
    edit(request)

    async with open_service(doubler, tmp_path) as served:
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await served.call("ModelInfer", request)

    assert refused.value.code() is Code.INVALID_ARGUMENT
    for word in words:
        assert word in (refused.value.details() or "")
    assert served.counted("failures_total", status="INVALID_ARGUMENT") == 1


async def test_nan_is_refused_only_if_the_policy_says_so(doubler: Path, tmp_path: Path) -> None:
    request = infer_request(np.array([[1, np.nan, 3]], np.float32))

    async with open_service(doubler, tmp_path) as served:
        assert np.isnan(array_of(await served.call("ModelInfer", request))[0, 1])
    async with open_service(doubler, tmp_path, refuse_non_finite=True) as served:
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await served.call("ModelInfer", request)

    assert refused.value.code() is Code.INVALID_ARGUMENT
    assert "NaN" in (refused.value.details() or "")


@pytest.mark.parametrize(("name", "version"), [("nobody", ""), ("doubler", "2"), ("", "")])
async def test_an_unknown_model_or_version_is_not_found(
    name: str, version: str, doubler: Path, tmp_path: Path
) -> None:
    request = infer_request(ROWS)
    request.model_name, request.model_version = name, version

    async with open_service(doubler, tmp_path) as served:
        for rpc, question in (
            ("ModelInfer", request),
            ("ModelReady", pb.ModelReadyRequest(name=name, version=version)),
            ("ModelMetadata", pb.ModelMetadataRequest(name=name, version=version)),
        ):
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await served.call(rpc, question)
            assert refused.value.code() is Code.NOT_FOUND


async def test_the_metadata_names_the_artifact_that_was_loaded(
    doubler: Path, tmp_path: Path
) -> None:
    _, files = describe_artifact(doubler)

    async with open_service(doubler, tmp_path) as served:
        told = await served.call("ModelMetadata", pb.ModelMetadataRequest(name="doubler"))

    assert dict(told.properties) == {"artifact_digest": artifact_digest(files), "frames": "1"}


async def test_a_router_refuses_a_scorer_that_loaded_another_artifact(
    doubler: Path, tmp_path: Path
) -> None:
    _, files = describe_artifact(doubler)
    ref = VersionRef("doubler", 1)

    async with open_service(doubler, tmp_path):
        scorer = OipScorer(f"unix:{tmp_path}/t.sock")
        await scorer.require_ready(ref, artifact_digest(files), timeout_s=WITHIN_S)
        with pytest.raises(CorruptedError, match=artifact_digest(files)):
            await scorer.require_ready(ref, "f" * 64, timeout_s=WITHIN_S)
        await scorer.close()


async def test_before_the_model_is_loaded_calls_are_unavailable(
    doubler: Path, tmp_path: Path
) -> None:
    async with open_service(doubler, tmp_path, ready=False) as served:
        ready = await served.call("ModelReady", pb.ModelReadyRequest(name="doubler"))
        live = await served.call("ServerLive", pb.ServerLiveRequest())
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await served.call("ModelInfer", infer_request(ROWS))

    assert (live.live, ready.ready) == (True, False)
    assert refused.value.code() is Code.UNAVAILABLE


async def test_an_unknown_rpc_is_unimplemented(doubler: Path, tmp_path: Path) -> None:
    async with open_service(doubler, tmp_path) as served:
        call: Any = served.channel.unary_unary("/inference.GRPCInferenceService/RepositoryIndex")
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await call(b"")

    assert refused.value.code() is Code.UNIMPLEMENTED


async def test_bytes_that_are_not_a_message_are_the_callers_fault(
    doubler: Path, tmp_path: Path
) -> None:
    async with open_service(doubler, tmp_path) as served:
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await served.send(b"\xff\xff\xff")

    assert refused.value.code() is Code.INVALID_ARGUMENT


async def test_an_answer_above_the_largest_message_is_refused_and_the_next_one_served(
    doubler: Path, tmp_path: Path
) -> None:
    async with open_service(doubler, tmp_path, runner=WideRunner()) as served:
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await served.call("ModelInfer", infer_request(ROWS))
        response = await served.call("ModelInfer", infer_request(ROWS[:1]))

    assert refused.value.code() is Code.RESOURCE_EXHAUSTED
    assert "Sent message larger" in (
        refused.value.details() or ""
    )  # the server's limit, not the client's
    assert array_of(response).shape == (1, 4)


async def test_a_lone_caller_never_waits(doubler: Path, tmp_path: Path) -> None:
    async with open_service(doubler, tmp_path) as served:
        for _ in range(20):
            await served.call("ModelInfer", infer_request(ROWS))

    assert served.counted("queue_seconds_count") == 20
    assert served.counted("queue_seconds_sum") == 0


@pytest.mark.parametrize("name", ["sequence_id", "sequence_start", "sequence_end"])
async def test_a_request_of_a_sequence_is_refused_and_not_run_without_its_state(
    doubler: Path, tmp_path: Path, name: str
) -> None:
    request = infer_request(ROWS)
    request.parameters[name].int64_param = 7

    async with open_service(doubler, tmp_path) as served:
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await served.call("ModelInfer", request)

    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert f"parameters[{name}]" in str(refused.value.details())


async def test_other_rpcs_are_answered_while_a_long_run_is_in_progress(
    doubler: Path, tmp_path: Path
) -> None:
    gate = Gate()
    runner = DoublingRunner(before=gate)

    async with open_service(doubler, tmp_path, runner=runner, inline_run_s=IN_WORKER_S) as served:
        call = served.call("ModelInfer", infer_request(ROWS))
        await asyncio.wait_for(gate.entered.wait(), WITHIN_S)
        live = await served.call("ServerLive", pb.ServerLiveRequest(), timeout=WITHIN_S)
        assert not call.done()
        gate.open()
        answer = await call

    assert live.live
    assert (array_of(answer) == ROWS * 2).all()


async def test_many_callers_each_get_their_own_rows(doubler: Path, tmp_path: Path) -> None:
    batches = [np.full((1 + at % 5, 3), 1_000 + at, np.float32) for at in range(200)]
    limits = replace(LIMITS, max_queue_rows=sum(len(batch) for batch in batches))
    gate = Gate()
    runner = DoublingRunner(before=gate)

    async with open_service(
        doubler, tmp_path, limits=limits, runner=runner, inline_run_s=IN_WORKER_S
    ) as served:
        calls = [served.call("ModelInfer", infer_request(batch)) for batch in batches]
        await asyncio.wait_for(gate.entered.wait(), WITHIN_S)
        # On a busy machine calls may arrive one by one: they gather while the first run is blocked.
        await served.call("ServerLive", pb.ServerLiveRequest(), timeout=WITHIN_S)
        gate.open()
        answers = await asyncio.gather(*calls)
        runs = served.counted("run_seconds_count")

    for batch, answer in zip(batches, answers, strict=True):
        assert (array_of(answer) == batch * 2).all()
    assert runs < len(batches), "no two calls ever shared a run"
    assert served.counted("rows_total") == sum(len(batch) for batch in batches)
