"""A model's inputs and outputs, in terms of the Open Inference Protocol and of numpy."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from understudy.domain.versions import DYNAMIC, TensorSpec, VersionRef

Arrays = Sequence[NDArray[Any]]  # one per input or output, in the model's order

DTYPE_OF: dict[str, np.dtype[Any]] = {
    "BOOL": np.dtype(np.bool_),
    "INT8": np.dtype(np.int8),
    "INT16": np.dtype(np.int16),
    "INT32": np.dtype(np.int32),
    "INT64": np.dtype(np.int64),
    "UINT8": np.dtype(np.uint8),
    "UINT16": np.dtype(np.uint16),
    "UINT32": np.dtype(np.uint32),
    "UINT64": np.dtype(np.uint64),
    "FP16": np.dtype(np.float16),
    "FP32": np.dtype(np.float32),
    "FP64": np.dtype(np.float64),
    "BYTES": np.dtype(np.object_),  # elements are str: ONNX strings are UTF-8
}

# FP16 has no typed field: it is sent raw only.
CONTENTS_FIELD: dict[str, str] = {
    "BOOL": "bool_contents",
    "INT8": "int_contents",
    "INT16": "int_contents",
    "INT32": "int_contents",
    "INT64": "int64_contents",
    "UINT8": "uint_contents",
    "UINT16": "uint_contents",
    "UINT32": "uint_contents",
    "UINT64": "uint64_contents",
    "FP32": "fp32_contents",
    "FP64": "fp64_contents",
    "BYTES": "bytes_contents",
}

DATATYPE_OF_ONNX: dict[str, str] = {
    "tensor(bool)": "BOOL",
    "tensor(int8)": "INT8",
    "tensor(int16)": "INT16",
    "tensor(int32)": "INT32",
    "tensor(int64)": "INT64",
    "tensor(uint8)": "UINT8",
    "tensor(uint16)": "UINT16",
    "tensor(uint32)": "UINT32",
    "tensor(uint64)": "UINT64",
    "tensor(float16)": "FP16",
    "tensor(float)": "FP32",
    "tensor(double)": "FP64",
    "tensor(string)": "BYTES",
}


@dataclass(frozen=True, slots=True)
class Signature:
    """One version's inputs and outputs, in the model's order.

    `joins_rows` is true if axis 0 of every tensor counts independent rows, so that requests can
    be joined into one run and its outputs split again.
    """

    ref: VersionRef
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    joins_rows: bool


def has_row_axis(tensors: tuple[TensorSpec, ...]) -> bool:
    """Return whether axis 0 of each tensor is dynamic."""
    return all(tensor.shape and tensor.shape[0] == DYNAMIC for tensor in tensors)
