"""ModelInfer requests of the tests, as a client of the protocol sends them."""

import struct
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tests.router.samples import MODEL
from understudy.oip import inference_pb2 as oip

_NUMPY = {"FP32": "<f4", "FP64": "<f8", "INT64": "<i8", "BOOL": "?"}


def infer_request(
    tensors: Mapping[str, tuple[str, Sequence[Any]]],
    *,
    request_id: str = "",
    outputs: Sequence[str] = (),
    **parameters: oip.InferParameter,
) -> oip.ModelInferRequest:
    """Return a request; `tensors`: datatype and the value of each row, by name."""
    request = oip.ModelInferRequest(model_name=MODEL, id=request_id)
    for name, (datatype, values) in tensors.items():
        request.inputs.add(name=name, datatype=datatype, shape=[len(values), 1])
        request.raw_input_contents.append(raw_of(datatype, values))
    for name in outputs:
        request.outputs.add(name=name)
    for name, parameter in parameters.items():
        request.parameters[name].CopyFrom(parameter)
    return request


def raw_of(datatype: str, values: Sequence[Any]) -> bytes:
    if datatype == "BYTES":
        encoded = [str(each).encode() for each in values]
        return b"".join(struct.pack("<I", len(each)) + each for each in encoded)
    return np.array(values, _NUMPY[datatype]).tobytes()


def columns_of(answer: oip.ModelInferResponse) -> dict[str, list[Any]]:
    """Return the values of each tensor of an answer, flattened."""
    return {
        tensor.name: _values(tensor.datatype, raw)
        for tensor, raw in zip(answer.outputs, answer.raw_output_contents, strict=True)
    }


def parameters_of(answer: oip.ModelInferResponse) -> dict[str, Any]:
    return {
        name: getattr(value, str(value.WhichOneof("parameter_choice")))
        for name, value in answer.parameters.items()
    }


def _values(datatype: str, raw: bytes) -> list[Any]:
    if datatype != "BYTES":
        values: list[Any] = np.frombuffer(raw, _NUMPY[datatype]).tolist()
        return values
    texts, at = [], 0
    while at < len(raw):
        (size,) = struct.unpack_from("<I", raw, at)
        texts.append(raw[at + 4 : at + 4 + size].decode())
        at += 4 + size
    return texts
