"""Conversion of ModelInfer requests to arrays; faults name tensor, field, read and accepted."""

import struct
from dataclasses import dataclass
from math import prod
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from understudy.artifact.signature import CONTENTS_FIELD, DTYPE_OF, Signature
from understudy.domain.errors import InvalidInputError
from understudy.domain.versions import DYNAMIC, TensorSpec
from understudy.oip import inference_pb2 as pb

# Triton's extensions that change the meaning of a tensor. Others, such as the binary_data_size
# that kserve's client sends, only repeat what the message shows.
_EXTENSIONS = frozenset(
    {
        "shared_memory_region",
        "shared_memory_offset",
        "shared_memory_byte_size",
        "classification",
    }
)
_MOST_ELEMENTS = 2**31
_REMEMBERED_SHAPES = 256
_LENGTH = struct.Struct("<I")


@dataclass(frozen=True, slots=True)
class RequestLimits:
    max_request_rows: int
    refuse_non_finite: bool  # NaN and infinity in floating point inputs


@dataclass(frozen=True, slots=True)
class ReadRequest:
    """A request that is ready to run: `inputs` in the model's order, C-contiguous."""

    inputs: tuple[NDArray[Any], ...]
    rows: int
    outputs: tuple[int, ...]  # indices of the model's outputs
    join_key: tuple[object, ...]  # requests with equal keys may run together


class RequestReader:
    """Reads requests; compiled once per model."""

    def __init__(self, signature: Signature, limits: RequestLimits) -> None:
        self._joins_rows = signature.joins_rows
        max_rows = limits.max_request_rows if signature.joins_rows else None
        self._inputs = tuple(_InputReader(spec, limits, max_rows) for spec in signature.inputs)
        self._input_at = {spec.name: at for at, spec in enumerate(signature.inputs)}
        self._output_at = {spec.name: at for at, spec in enumerate(signature.outputs)}
        self._all_outputs = tuple(range(len(signature.outputs)))

    def read(self, request: pb.ModelInferRequest) -> ReadRequest:
        """Return the arrays of `request`.

        Raises:
            InvalidInputError: naming tensor, field, the value read and the values accepted.
        """
        inputs = self._read_inputs(request)
        outputs = self._read_outputs(request) if request.outputs else self._all_outputs
        if not self._joins_rows:
            return ReadRequest(inputs, _rows_of(inputs), outputs, ())
        return ReadRequest(
            inputs,
            self._check_rows(inputs),
            outputs,
            (outputs, *(array.shape[1:] for array in inputs)),
        )

    def _read_inputs(self, request: pb.ModelInferRequest) -> tuple[NDArray[Any], ...]:
        tensors = request.inputs
        raw = request.raw_input_contents
        if len(tensors) != len(self._inputs):
            self._refuse_names([tensor.name for tensor in tensors])
        if raw and len(raw) != len(tensors):
            raise InvalidInputError.of(
                "raw_input_contents",
                read=f"{len(raw)} entries",
                accepted=f"one per input in their order, {len(tensors)}; or none",
            )
        arrays: list[NDArray[Any] | None] = [None] * len(tensors)
        for position, tensor in enumerate(tensors):
            at = self._input_at.get(tensor.name)
            if at is None or arrays[at] is not None:
                self._refuse_names([each.name for each in tensors])
            arrays[at] = self._inputs[at].read(tensor, raw[position] if raw else None)
        return tuple(array for array in arrays if array is not None)

    def _read_outputs(self, request: pb.ModelInferRequest) -> tuple[int, ...]:
        chosen: list[int] = []
        for tensor in request.outputs:
            at = self._output_at.get(tensor.name)
            if at is None or at in chosen:
                raise InvalidInputError.of(
                    "outputs",
                    read=tensor.name,
                    accepted=f"each once of {', '.join(self._output_at)}",
                )
            if tensor.parameters:
                _check_parameters(f"output {tensor.name!r}", tensor.parameters)
            chosen.append(at)
        return tuple(chosen)

    def _check_rows(self, inputs: tuple[NDArray[Any], ...]) -> int:
        rows: int = inputs[0].shape[0]
        for reader, array in zip(self._inputs, inputs, strict=True):
            if array.shape[0] != rows:
                raise InvalidInputError.of(
                    f"input {reader.name!r} shape",
                    read=list(array.shape),
                    accepted=f"{rows} rows, as input {self._inputs[0].name!r} has",
                )
        return rows

    def _refuse_names(self, names: list[str]) -> NoReturn:
        raise InvalidInputError.of(
            "inputs", read=names, accepted=f"each once: {', '.join(self._input_at)}"
        )


class _InputReader:
    """Reads one input of the model."""

    def __init__(self, spec: TensorSpec, limits: RequestLimits, max_rows: int | None) -> None:
        self.name = spec.name
        self._spec = spec
        self._max_rows = max_rows  # None if axis 0 does not count rows
        self._dtype = DTYPE_OF[spec.datatype]
        self._is_text = spec.datatype == "BYTES"
        self._checks_finite = limits.refuse_non_finite and self._dtype.kind == "f"
        self._elements_of: dict[tuple[int, ...], int] = {}

    def read(
        self, tensor: pb.ModelInferRequest.InferInputTensor, raw: bytes | None
    ) -> NDArray[Any]:
        if tensor.datatype != self._spec.datatype:
            self._refuse("datatype", tensor.datatype, self._spec.datatype)
        if tensor.parameters:
            _check_parameters(f"input {self.name!r}", tensor.parameters)
        shape = tuple(tensor.shape)
        elements = self._elements_of.get(shape)
        if elements is None:
            elements = self._check_shape(shape)
        if raw is None:
            flat = self._from_contents(tensor.contents, elements)
        elif tensor.HasField("contents"):
            self._refuse("contents", "values together with raw_input_contents", "one of the two")
        elif self._is_text:
            flat = self._texts_from_raw(raw, elements)
        else:
            flat = self._numbers_from_raw(raw, elements)
        if self._checks_finite and not np.isfinite(flat).all():
            self._refuse("values", "NaN or infinity", "finite numbers (SCORER_NAN_POLICY=refuse)")
        return flat.reshape(shape)

    def _check_shape(self, shape: tuple[int, ...]) -> int:
        declared = self._spec.shape
        fits = len(shape) == len(declared) and all(
            size == wanted or (wanted == DYNAMIC and size >= 0)
            for size, wanted in zip(shape, declared, strict=True)
        )
        if not fits:
            self._refuse("shape", list(shape), f"{list(declared)}, -1 for any size")
        if prod(max(size, 1) for size in shape) > _MOST_ELEMENTS:
            # Even if one of the sizes is 0: numpy multiplies the others.
            self._refuse("shape", list(shape), f"at most {_MOST_ELEMENTS} elements")
        if self._max_rows is not None and not 1 <= shape[0] <= self._max_rows:
            # Before any value is read: a refused request must not delay the others.
            self._refuse("shape", list(shape), f"1 to {self._max_rows} rows")
        elements = prod(shape)
        if len(self._elements_of) < _REMEMBERED_SHAPES:
            self._elements_of[shape] = elements
        return elements

    def _numbers_from_raw(self, raw: bytes, elements: int) -> NDArray[Any]:
        expected_bytes = elements * self._dtype.itemsize
        if len(raw) != expected_bytes:
            self._refuse(
                "raw_input_contents",
                f"{len(raw)} bytes",
                f"{expected_bytes} bytes: {elements} elements of {self._spec.datatype}",
            )
        flat = np.frombuffer(raw, self._dtype)
        if self._dtype.kind == "b" and np.frombuffer(raw, np.uint8).max(initial=0) > 1:
            self._refuse("raw_input_contents", "a byte above 1", "0 or 1 for each BOOL")
        return flat

    def _texts_from_raw(self, raw: bytes, elements: int) -> NDArray[Any]:
        texts: list[bytes] = []
        at = 0
        while at + _LENGTH.size <= len(raw) and len(texts) < elements:
            end = at + _LENGTH.size + _LENGTH.unpack_from(raw, at)[0]
            texts.append(raw[at + _LENGTH.size : end])
            at = end
        if at != len(raw) or len(texts) != elements:
            self._refuse(
                "raw_input_contents",
                f"{len(raw)} bytes, in which {len(texts)} elements end at {at}",
                f"{elements} elements, each after its length as 4 bytes little-endian",
            )
        return self._texts(texts)

    def _from_contents(self, contents: pb.InferTensorContents, elements: int) -> NDArray[Any]:
        field = CONTENTS_FIELD.get(self._spec.datatype)
        if field is None:
            self._refuse("contents", self._spec.datatype, "raw_input_contents for this datatype")
        for descriptor, _ in contents.ListFields():
            if descriptor.name != field:
                self._refuse("contents", descriptor.name, field)
        values = getattr(contents, field)
        if len(values) != elements:
            self._refuse(f"contents.{field}", f"{len(values)} values", f"{elements} values")
        if self._is_text:
            return self._texts(values)
        if self._dtype.kind in "iu":
            self._check_range(field, values)
        return np.array(values, dtype=self._dtype)

    def _check_range(self, field: str, values: Any) -> None:
        bounds = np.iinfo(self._dtype)
        for value in (min(values, default=0), max(values, default=0)):
            if not bounds.min <= value <= bounds.max:
                self._refuse(f"contents.{field}", value, f"{bounds.min} to {bounds.max}")

    def _texts(self, encoded: Any) -> NDArray[Any]:
        texts = np.empty(len(encoded), dtype=np.object_)
        try:
            # str, not bytes: ONNX Runtime would take the repr of a bytes object as the string.
            texts[:] = [each.decode() for each in encoded]
        except UnicodeDecodeError as error:
            self._refuse("BYTES", repr(error.object[:40]), "UTF-8")
        return texts

    def _refuse(self, field: str, read: object, accepted: str) -> NoReturn:
        raise InvalidInputError.of(f"input {self.name!r} {field}", read=read, accepted=accepted)


def _rows_of(inputs: tuple[NDArray[Any], ...]) -> int:
    return inputs[0].shape[0] if inputs and inputs[0].ndim else 1


def _check_parameters(where: str, parameters: Any) -> None:
    refused = sorted(_EXTENSIONS.intersection(parameters))
    if refused:
        raise InvalidInputError.of(
            f"{where} parameters", read=refused, accepted="none of Triton's extensions"
        )
