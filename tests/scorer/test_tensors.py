"""Every datatype, raw and typed, through ONNX Runtime and back."""

import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from google.protobuf.message import Message
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_np
from numpy.typing import NDArray
from onnx import TensorProto

from scorer.server.request_reader import RequestLimits, RequestReader
from scorer.server.response_writer import ResponseWriter
from scorer.settings import ScorerSettings
from tests.artifact.checked import SESSION
from tests.artifact.models import identity_model
from understudy.artifact.onnx_model import OnnxModel, open_model
from understudy.artifact.signature import CONTENTS_FIELD, DTYPE_OF, Signature
from understudy.domain.errors import InvalidInputError
from understudy.domain.versions import DYNAMIC, TensorSpec, VersionRef
from understudy.oip import inference_pb2 as pb

ONNX_TYPE = {
    "BOOL": TensorProto.BOOL,
    "INT8": TensorProto.INT8,
    "INT16": TensorProto.INT16,
    "INT32": TensorProto.INT32,
    "INT64": TensorProto.INT64,
    "UINT8": TensorProto.UINT8,
    "UINT16": TensorProto.UINT16,
    "UINT32": TensorProto.UINT32,
    "UINT64": TensorProto.UINT64,
    "FP16": TensorProto.FLOAT16,
    "FP32": TensorProto.FLOAT,
    "FP64": TensorProto.DOUBLE,
    "BYTES": TensorProto.STRING,
}
LIMITS = RequestLimits(max_request_rows=100, refuse_non_finite=False)


def signature_of(datatype: str, shape: tuple[int, ...] = (DYNAMIC, 2)) -> Signature:
    spec = TensorSpec("X", datatype, shape)
    return Signature(VersionRef("m", 1), (spec,), (spec,), joins_rows=True)


def reader_of(datatype: str, shape: tuple[int, ...] = (DYNAMIC, 2)) -> RequestReader:
    return RequestReader(signature_of(datatype, shape), LIMITS)


def encoded(array: NDArray[Any]) -> bytes:
    """Return the raw form, encoded independently of the code under test."""
    if array.dtype.kind != "O":
        return array.tobytes()
    texts = [text.encode() for text in array.ravel()]
    return b"".join(struct.pack("<I", len(text)) + text for text in texts)


def request_of(datatype: str, array: NDArray[Any], *, raw: bool) -> pb.ModelInferRequest:
    request = pb.ModelInferRequest(model_name="m")
    tensor = request.inputs.add(name="X", datatype=datatype, shape=array.shape)
    if raw:
        request.raw_input_contents.append(encoded(array))
    else:
        values = array.ravel().tolist()
        if datatype == "BYTES":
            values = [text.encode() for text in values]
        getattr(tensor.contents, CONTENTS_FIELD[datatype]).extend(values)
    return request


def extreme_rows(datatype: str) -> NDArray[Any]:
    dtype = DTYPE_OF[datatype]
    if datatype == "BYTES":
        return np.array([["", "é"], ["a" * 300, "\0"]], dtype=np.object_)
    if datatype == "BOOL":
        return np.array([[True, False], [False, True]])
    bounds = np.finfo(dtype) if dtype.kind == "f" else np.iinfo(dtype)
    return np.array([[bounds.min, bounds.max], [0, 1]], dtype=dtype)


def run(model: OnnxModel, request: pb.ModelInferRequest, datatype: str) -> pb.ModelInferResponse:
    read = reader_of(datatype).read(request)
    outputs = model.run(read.inputs, read.outputs)
    raw = ResponseWriter(signature_of(datatype)).write("id", read.outputs, outputs)
    return pb.ModelInferResponse.FromString(raw)


@pytest.mark.parametrize(
    ("datatype", "raw"),
    [*((name, True) for name in DTYPE_OF), *((name, False) for name in CONTENTS_FIELD)],
)
def test_every_datatype_survives_the_model(datatype: str, raw: bool, tmp_path: Path) -> None:
    model = open_model(identity_model(tmp_path / "m.onnx", ONNX_TYPE[datatype]), SESSION)
    rows = extreme_rows(datatype)

    response = run(model, request_of(datatype, rows, raw=raw), datatype)

    assert response.outputs[0].datatype == datatype
    assert tuple(response.outputs[0].shape) == rows.shape
    assert response.raw_output_contents[0] == encoded(rows)
    assert response.id == "id"


@pytest.mark.parametrize("datatype", CONTENTS_FIELD)
def test_a_typed_answer_holds_the_same_values(datatype: str) -> None:
    rows = extreme_rows(datatype)
    writer = ResponseWriter(signature_of(datatype))

    response = pb.ModelInferResponse.FromString(writer.write_typed("id", (0,), [rows]))

    values = list(getattr(response.outputs[0].contents, CONTENTS_FIELD[datatype]))
    if datatype == "BYTES":
        assert values == [text.encode() for text in rows.ravel()]
    else:
        assert np.array(values, rows.dtype).tolist() == rows.ravel().tolist()


def test_fp16_is_sent_raw_only() -> None:
    rows = extreme_rows("FP16")
    request = pb.ModelInferRequest()
    request.inputs.add(name="X", datatype="FP16", shape=[2, 2]).contents.fp32_contents.extend(
        [1.0] * 4
    )

    with pytest.raises(InvalidInputError, match="raw_input_contents"):
        reader_of("FP16").read(request)
    with pytest.raises(InvalidInputError, match="raw answers only"):
        ResponseWriter(signature_of("FP16")).write_typed("", (0,), [rows])


@pytest.mark.parametrize(
    ("datatype", "value"), [("INT8", 128), ("INT16", -32_769), ("UINT8", 256), ("UINT16", 65_536)]
)
def test_a_typed_value_beyond_the_datatype_is_refused(datatype: str, value: int) -> None:
    request = pb.ModelInferRequest()
    tensor = request.inputs.add(name="X", datatype=datatype, shape=[1, 2])
    getattr(tensor.contents, CONTENTS_FIELD[datatype]).extend([0, value])

    with pytest.raises(InvalidInputError, match=str(value)):
        reader_of(datatype).read(request)


def test_a_bool_byte_that_is_neither_0_nor_1_is_refused() -> None:
    request = request_of("BOOL", extreme_rows("BOOL"), raw=True)
    request.raw_input_contents[0] = b"\x00\x01\x02\x00"

    with pytest.raises(InvalidInputError, match="above 1"):
        reader_of("BOOL").read(request)


@pytest.mark.parametrize(
    "raw",
    [
        b"\x01\x00\x00\x00a",  # one element too few
        b"\x01\x00\x00\x00a\x01\x00\x00\x00b\x00",  # a byte too many
        b"\x01\x00\x00\x00a\xff\x00\x00\x00b",  # a length beyond the end
        b"\x01\x00\x00\x00a\x01\x00",  # a length cut off
        b"\x01\x00\x00\x00a\x01\x00\x00\x00\xff",  # not UTF-8
        b"\x00\x00\x00\x00" * 3,  # one element too many
    ],
)
def test_malformed_raw_strings_are_refused(raw: bytes) -> None:
    request = pb.ModelInferRequest(raw_input_contents=[raw])
    request.inputs.add(name="X", datatype="BYTES", shape=[1, 2])

    with pytest.raises(InvalidInputError, match="'X'"):
        reader_of("BYTES").read(request)


@pytest.mark.parametrize("shape", [(0, 2**62, 2**62), (2**31, 2, 1), (2**63 - 1, 1, 1)])
def test_impossible_sizes_are_refused(shape: tuple[int, ...]) -> None:
    request = pb.ModelInferRequest(raw_input_contents=[b""])
    request.inputs.add(name="X", datatype="FP32", shape=shape)

    with pytest.raises(InvalidInputError, match="elements"):
        reader_of("FP32", (DYNAMIC, DYNAMIC, DYNAMIC)).read(request)


def test_inputs_may_come_in_any_order() -> None:
    specs = (TensorSpec("A", "FP32", (DYNAMIC, 1)), TensorSpec("B", "INT64", (DYNAMIC, 1)))
    reader = RequestReader(Signature(VersionRef("m", 1), specs, specs[:1], True), LIMITS)
    request = pb.ModelInferRequest()
    request.inputs.add(name="B", datatype="INT64", shape=[1, 1])
    request.inputs.add(name="A", datatype="FP32", shape=[1, 1])
    request.raw_input_contents.append(np.array([7], np.int64).tobytes())
    request.raw_input_contents.append(np.array([0.5], np.float32).tobytes())

    read = reader.read(request)

    assert [array.tolist() for array in read.inputs] == [[[0.5]], [[7]]]


def test_inputs_with_different_row_counts_are_refused() -> None:
    specs = (TensorSpec("A", "FP32", (DYNAMIC, 1)), TensorSpec("B", "FP32", (DYNAMIC, 1)))
    reader = RequestReader(Signature(VersionRef("m", 1), specs, specs[:1], True), LIMITS)
    request = pb.ModelInferRequest()
    for name, rows in (("A", 1), ("B", 2)):
        request.inputs.add(name=name, datatype="FP32", shape=[rows, 1])
        request.raw_input_contents.append(bytes(4 * rows))

    with pytest.raises(InvalidInputError, match=r"'B' shape.*1 rows, as input 'A'"):
        reader.read(request)


def test_cached_heads_and_shapes_stay_bounded() -> None:
    reader, writer = reader_of("FP32"), ResponseWriter(signature_of("FP32"))

    for rows in range(1, 101):
        array = np.zeros((rows, 2), np.float32)
        read = reader.read(request_of("FP32", array, raw=True))
        response = pb.ModelInferResponse.FromString(writer.write("", read.outputs, [array]))
        assert list(response.outputs[0].shape) == [rows, 2]


@given(
    array=st_np.arrays(
        np.float32, st.tuples(st.integers(1, 5), st.just(2)), elements=st.floats(width=32)
    ),
    request_id=st.text(max_size=300),
)
@settings(max_examples=100)
def test_written_responses_can_be_read_by_protobuf(
    array: NDArray[np.float32], request_id: str
) -> None:
    raw = ResponseWriter(signature_of("FP32")).write(request_id, (0,), [array])

    response = pb.ModelInferResponse.FromString(raw)
    assert response.id == request_id
    assert response.raw_output_contents[0] == array.tobytes()
    expected = pb.ModelInferResponse(model_name="m", model_version="1", id=request_id)
    expected.outputs.add(name="X", datatype="FP32", shape=array.shape)
    expected.raw_output_contents.append(array.tobytes())
    assert _as_text(response) == _as_text(expected)


def _as_text(message: Message) -> str:
    return str(message)


@pytest.mark.parametrize("rows", [0, 101])
def test_too_many_rows_are_refused_before_any_value_is_read(rows: int) -> None:
    """The refusal does not name values that are also wrong, because they are not read."""
    request = pb.ModelInferRequest(model_name="m")
    request.inputs.add(name="X", datatype="BYTES", shape=[rows, 2])
    request.raw_input_contents.append(b"\xff" * 5)

    with pytest.raises(InvalidInputError, match=r"input 'X' shape.*1 to 100 rows"):
        reader_of("BYTES").read(request)


def test_a_request_with_the_most_candidates_of_a_router_fits() -> None:
    assert ScorerSettings().max_request_rows >= 10_000
