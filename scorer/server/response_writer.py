"""Conversion of arrays to ModelInfer responses, serialised once and raw by default.

A response consists of its head (names, datatypes and shapes, which have few distinct values and are
cached), its id, and its raw contents. Protobuf fields may come in any order, so these are joined.
"""

import struct
from collections.abc import Sequence
from typing import Any

from numpy.typing import NDArray

from understudy.artifact.signature import CONTENTS_FIELD, Signature
from understudy.domain.errors import InvalidInputError
from understudy.oip import inference_pb2 as pb
from understudy.runtime.protobuf_bytes import length_delimited

_REMEMBERED_HEADS = 1024
_FIELDS = pb.ModelInferResponse.DESCRIPTOR.fields_by_name
_ID_FIELD = _FIELDS["id"].number
_RAW_FIELD = _FIELDS["raw_output_contents"].number
_LENGTH = struct.Struct("<I")


class ResponseWriter:
    """Writes responses; compiled once per model."""

    def __init__(self, signature: Signature) -> None:
        self._signature = signature
        self._heads: dict[tuple[object, ...], bytes] = {}

    def write(self, request_id: str, outputs: tuple[int, ...], arrays: Sequence[Any]) -> bytes:
        """Return the serialised response; `arrays` correspond to `outputs`, in order."""
        key = (outputs, *(array.shape for array in arrays))
        head = self._heads.get(key)
        if head is None:
            head = self._head(outputs, arrays).SerializeToString()
            if len(self._heads) < _REMEMBERED_HEADS:
                self._heads[key] = head
        parts = [head]
        if request_id:
            encoded = request_id.encode()
            parts += (length_delimited(_ID_FIELD, len(encoded)), encoded)
        for array in arrays:
            raw = array.tobytes() if array.dtype.kind != "O" else _raw_texts(array)
            parts += (length_delimited(_RAW_FIELD, len(raw)), raw)
        return b"".join(parts)

    def write_typed(
        self, request_id: str, outputs: tuple[int, ...], arrays: Sequence[NDArray[Any]]
    ) -> bytes:
        """Return the response with `contents` instead of raw bytes.

        Raises:
            InvalidInputError: an output's datatype has no typed contents.
        """
        response = self._head(outputs, arrays)
        response.id = request_id
        for tensor, array in zip(response.outputs, arrays, strict=True):
            field = CONTENTS_FIELD.get(tensor.datatype)
            if field is None:
                raise InvalidInputError.of(
                    f"output {tensor.name!r}", read=tensor.datatype, accepted="raw answers only"
                )
            values = [t.encode() for t in array.flat] if array.dtype.kind == "O" else array.ravel()
            getattr(tensor.contents, field).extend(values)
        return response.SerializeToString()

    def _head(self, outputs: tuple[int, ...], arrays: Sequence[Any]) -> pb.ModelInferResponse:
        ref = self._signature.ref
        response = pb.ModelInferResponse(model_name=ref.model, model_version=str(ref.number))
        for at, array in zip(outputs, arrays, strict=True):
            spec = self._signature.outputs[at]
            response.outputs.add(name=spec.name, datatype=spec.datatype, shape=array.shape)
        return response


def _raw_texts(array: NDArray[Any]) -> bytes:
    parts: list[bytes] = []
    for text in array.flat:
        encoded = text.encode()
        parts += (_LENGTH.pack(len(encoded)), encoded)
    return b"".join(parts)
