"""Arbitrary bytes to ModelInfer, as calls or on streams: no crash, no INTERNAL, no UNKNOWN."""

import asyncio
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.message import DecodeError
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper

from scorer.server.request_reader import RequestLimits, RequestReader
from tests.artifact.models import save_model, tensor
from tests.scorer.serving import load, open_service
from understudy.artifact.signature import Signature
from understudy.domain.errors import InvalidInputError
from understudy.oip import inference_pb2 as pb

EXPECTED = {
    grpc.StatusCode.OK,
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.NOT_FOUND,
    grpc.StatusCode.RESOURCE_EXHAUSTED,
    grpc.StatusCode.DEADLINE_EXCEEDED,  # because of the request's own `timeout`
}


def mixed_model(path: Path) -> Path:
    """Build a model with three inputs of different types, passed through."""
    kinds = {"X": TensorProto.FLOAT, "I": TensorProto.INT8, "S": TensorProto.STRING}
    return save_model(
        path,
        [helper.make_node("Identity", [name], [f"{name}_out"]) for name in kinds],
        [tensor(name, kind, ("N", 2)) for name, kind in kinds.items()],
        [tensor(f"{name}_out", kind, ("N", 2)) for name, kind in kinds.items()],
    )


def valid_request() -> pb.ModelInferRequest:
    request = pb.ModelInferRequest(model_name="doubler", id="i")
    for name, datatype, raw in (
        ("X", "FP32", bytes(8)),
        ("I", "INT8", b"\x01\x02"),
        ("S", "BYTES", b"\x01\x00\x00\x00a\x00\x00\x00\x00"),
    ):
        request.inputs.add(name=name, datatype=datatype, shape=[1, 2])
        request.raw_input_contents.append(raw)
    return request


VALID = valid_request().SerializeToString()
NAMES = st.sampled_from(["X", "I", "S", "X_out", "", "Z"])
SHAPES = st.lists(st.integers(-(2**63), 2**63 - 1) | st.integers(-1, 3), max_size=4)
CONTENTS = st.builds(
    pb.InferTensorContents,
    bool_contents=st.lists(st.booleans(), max_size=2),
    int_contents=st.lists(st.integers(-(2**31), 2**31 - 1), max_size=3),
    fp32_contents=st.lists(st.floats(width=32), max_size=3),
    bytes_contents=st.lists(st.binary(max_size=3), max_size=3),
)
PARAMETERS = st.dictionaries(
    st.sampled_from(
        ["shared_memory_region", "classification", "binary_data_output", "timeout", "x"]
    ),
    st.builds(pb.InferParameter, bool_param=st.booleans())
    | st.builds(pb.InferParameter, int64_param=st.integers(-(2**63), 2**63 - 1)),
    max_size=2,
)
INPUTS = st.builds(
    pb.ModelInferRequest.InferInputTensor,
    name=NAMES,
    datatype=st.sampled_from(["FP32", "INT8", "BYTES", "FP16", "BF16", ""]),
    shape=SHAPES,
    contents=st.none() | CONTENTS,
    parameters=PARAMETERS,
)
OUTPUTS = st.builds(
    pb.ModelInferRequest.InferRequestedOutputTensor, name=NAMES, parameters=PARAMETERS
)
REQUESTS = st.builds(
    pb.ModelInferRequest,
    model_name=st.sampled_from(["doubler", "", "nobody"]),
    model_version=st.sampled_from(["", "1", "2", "one"]),
    id=st.text(max_size=5),
    inputs=st.lists(INPUTS, max_size=4),
    outputs=st.lists(OUTPUTS, max_size=2),
    raw_input_contents=st.lists(st.binary(max_size=20), max_size=4),
    parameters=PARAMETERS,
)


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """Draw a valid request with some bytes changed, removed or inserted."""
    content = bytearray(VALID)
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(content) - 1))
        match draw(st.sampled_from(["change", "cut", "insert", "truncate"])):
            case "change":
                content[at] = draw(st.integers(0, 255))
            case "cut":
                del content[at : at + draw(st.integers(1, 8))]
            case "insert":
                content[at:at] = draw(st.binary(min_size=1, max_size=8))
            case _:
                del content[at + 1 :]
        if not content:
            return b""
    return bytes(content)


MESSAGES = (
    st.binary(max_size=200)
    | damaged()
    | st.builds(pb.ModelInferRequest.SerializeToString, REQUESTS)
)


def signature() -> Signature:
    with tempfile.TemporaryDirectory() as folder:
        return load(mixed_model(Path(folder) / "m.onnx")).signature


READER = RequestReader(signature(), RequestLimits(64, refuse_non_finite=False))


def assert_read_or_refused_by_name(content: bytes) -> None:
    try:
        read = READER.read(pb.ModelInferRequest.FromString(content))
    except (DecodeError, InvalidInputError):
        return
    assert [array.shape for array in read.inputs] == [(read.rows, 2)] * 3


@given(MESSAGES)
@settings(max_examples=300)
def test_any_bytes_are_read_or_refused_by_name(content: bytes) -> None:
    assert_read_or_refused_by_name(content)


@pytest.mark.long
@given(MESSAGES)
@settings(max_examples=100_000)
def test_a_hundred_thousand_messages_are_read_or_refused_by_name(content: bytes) -> None:
    assert_read_or_refused_by_name(content)


def test_the_valid_request_is_valid() -> None:
    assert READER.read(valid_request()).rows == 1


async def codes_of(messages: Sequence[bytes], folder: Path) -> list[grpc.StatusCode]:
    async with open_service(mixed_model(folder / "m.onnx"), folder) as served:

        async def code_of(content: bytes) -> grpc.StatusCode:
            try:
                await served.send(content)
            except grpc.aio.AioRpcError as error:
                return error.code()
            return grpc.StatusCode.OK

        return [
            *await asyncio.gather(*map(code_of, messages), code_of(VALID)),
            *await streamed_codes_of((*messages, VALID), served.stream()),
        ]


async def streamed_codes_of(messages: Sequence[bytes], call: Any) -> list[grpc.StatusCode]:
    codes = {code.value[0]: code for code in grpc.StatusCode}
    told = []
    for content in messages:
        await call.write(content)
        parameters = (await call.read()).infer_response.parameters
        told.append(
            codes[parameters["grpc_status"].int64_param]
            if "grpc_status" in parameters
            else grpc.StatusCode.OK
        )
    return told


def assert_expected_and_good_calls_pass(messages: list[bytes]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        codes = asyncio.run(codes_of(messages, Path(folder)))

    assert set(codes) <= EXPECTED
    assert codes[len(messages)] is codes[-1] is grpc.StatusCode.OK


@given(st.lists(MESSAGES, min_size=20, max_size=60))
@settings(max_examples=15)
def test_over_grpc_no_bytes_get_internal_and_valid_calls_still_pass(messages: list[bytes]) -> None:
    assert_expected_and_good_calls_pass(messages)


@pytest.mark.long
@given(st.lists(MESSAGES, min_size=20, max_size=200))
@settings(max_examples=200)
def test_over_grpc_none_of_many_messages_gets_internal(messages: list[bytes]) -> None:
    assert_expected_and_good_calls_pass(messages)
