"""Any ModelInfer request is read, or refused with faults that name its fields."""

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.edge.infer_requests import MOST_ROWS, MOST_VALUES, InferReader
from router.revision.request_names import request_names
from tests.router.infer_requests import infer_request
from tests.router.samples import CONTRACT
from understudy.artifact.signature import CONTENTS_FIELD, DTYPE_OF
from understudy.domain.errors import InvalidInputError
from understudy.oip import inference_pb2 as oip

READER = InferReader(request_names(CONTRACT))
names = st.sampled_from(["user", "amount", "count", "nope", ""])
datatypes = st.sampled_from([*DTYPE_OF, "FP8", ""])
shapes = st.lists(
    st.one_of(st.integers(0, 3), st.sampled_from([-1, 2**31, 2**62, -(2**63), 1_001])), max_size=3
)
raws = st.lists(
    st.one_of(
        st.binary(max_size=24), st.sampled_from([b"\x02\x00\x00\x00ab", b"\xff\xff\xff\xff", b""])
    ),
    max_size=4,
)
choices = st.one_of(
    st.builds(oip.InferParameter, bool_param=st.booleans()),
    st.builds(oip.InferParameter, int64_param=st.integers(-(2**63), 2**63 - 1)),
    st.builds(oip.InferParameter, double_param=st.floats()),
    st.builds(oip.InferParameter, string_param=st.text(max_size=4)),
    st.just(oip.InferParameter()),
)
parameters = st.dictionaries(
    st.sampled_from(["unit_key", "decision_threshold", "timeout", "priority", "other"]), choices
)


@st.composite
def tensors(draw: Any) -> oip.ModelInferRequest.InferInputTensor:
    tensor = oip.ModelInferRequest.InferInputTensor(
        name=draw(names), datatype=draw(datatypes), shape=draw(shapes)
    )
    if draw(st.booleans()):
        field = draw(st.sampled_from([*dict.fromkeys(CONTENTS_FIELD.values())]))
        values: list[Any] = [b"ab", b"\xff"] if field == "bytes_contents" else [1, 0]
        getattr(tensor.contents, field).extend(draw(st.lists(st.sampled_from(values), max_size=3)))
    return tensor


@given(
    st.lists(tensors(), max_size=4),
    raws,
    parameters,
    st.lists(st.sampled_from(["score", "decision", "nope"]), max_size=3),
)
def test_a_request_is_read_or_refused_by_its_fields(
    inputs: list[oip.ModelInferRequest.InferInputTensor],
    raw: list[bytes],
    options: dict[str, oip.InferParameter],
    outputs: list[str],
) -> None:
    request = oip.ModelInferRequest(model_name="fraud", inputs=inputs, raw_input_contents=raw)
    for name, parameter in options.items():
        request.parameters[name].CopyFrom(parameter)
    for name in outputs:
        request.outputs.add(name=name)

    with suppress(InvalidInputError):
        asked = READER.read(request)

        assert 1 <= len(asked.rows) <= MOST_ROWS
        assert all(type(value) is str for row in asked.rows for value in row.entities.values())
        values = (value for row in asked.rows for value in row.features.values())
        assert all(type(value) in (str, bool, int, float) for value in values)


def test_values_are_bounded_before_they_are_read() -> None:
    rows = MOST_VALUES // 2 + 1
    request = infer_request({"user": ("BYTES", ["u"]), "amount": ("FP32", [1.0])})
    for tensor in request.inputs:
        tensor.shape[:] = [rows, 1]

    with pytest.raises(InvalidInputError, match="at most 20000 values"):
        READER.read(request)
