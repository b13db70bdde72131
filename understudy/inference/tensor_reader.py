"""Conversion of the tensors of a request to arrays."""

import struct
from math import prod
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from understudy.artifact.signature import CONTENTS_FIELD, DTYPE_OF
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


class TensorReader:
    """Reads one input. Faults name tensor, field, the value read and the values accepted."""

    def __init__(
        self, spec: TensorSpec, *, max_rows: int | None, refuses_non_finite: bool = False
    ) -> None:
        """`max_rows`: None if axis 0 does not count rows."""
        self.name = spec.name
        self._spec = spec
        self._max_rows = max_rows
        self._dtype = DTYPE_OF[spec.datatype]
        self._is_text = spec.datatype == "BYTES"
        self._checks_finite = refuses_non_finite and self._dtype.kind == "f"
        self._elements_of: dict[tuple[int, ...], int] = {}

    def read(
        self, tensor: pb.ModelInferRequest.InferInputTensor, raw: bytes | None
    ) -> NDArray[Any]:
        """Return the values of `tensor`, in its shape.

        Args:
            tensor: datatype, shape, and the values unless they are in `raw`.
            raw: the values row by row, little-endian; None if they are in the tensor.

        Raises:
            InvalidInputError: they do not fit the declaration.
        """
        if tensor.datatype != self._spec.datatype:
            self._refuse("datatype", tensor.datatype, self._spec.datatype)
        if tensor.parameters:
            check_parameters(f"input {self.name!r}", tensor.parameters)
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
            if end > len(raw):
                break  # a slice would copy the rest, which is refused
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


def check_parameters(where: str, parameters: Any) -> None:
    """Refuse extensions that change the meaning of a tensor.

    Raises:
        InvalidInputError: there is one.
    """
    refused = sorted(_EXTENSIONS.intersection(parameters))
    if refused:
        raise InvalidInputError.of(
            f"{where} parameters", read=refused, accepted="none of Triton's extensions"
        )
