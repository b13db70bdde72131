"""Small ONNX models for tests, built node by node."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

_OPSET = 17
_IR_VERSION = 9


def save_model(
    path: Path,
    nodes: Sequence[Any],
    inputs: Sequence[Any],
    outputs: Sequence[Any],
    initializers: Sequence[Any] = (),
) -> Path:
    graph = helper.make_graph(list(nodes), "graph", list(inputs), list(outputs), list(initializers))
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=_IR_VERSION
    )
    onnx.checker.check_model(model)
    onnx.save(model, str(path))
    return path


def tensor(name: str, kind: int = TensorProto.FLOAT, shape: Sequence[Any] = ("N", 3)) -> Any:
    return helper.make_tensor_value_info(name, kind, list(shape))


def doubling_model(path: Path, *, width: int = 3, rows: Any = "N") -> Path:
    """Build a model with Y = X + X, row by row."""
    return save_model(
        path,
        [helper.make_node("Add", ["X", "X"], ["Y"])],
        [tensor("X", shape=(rows, width))],
        [tensor("Y", shape=(rows, width))],
    )


def identity_model(path: Path, kind: int, shape: Sequence[Any] = ("N", 2)) -> Path:
    """Build a model with Y = X for any type."""
    return save_model(
        path,
        [helper.make_node("Identity", ["X"], ["Y"])],
        [tensor("X", kind, shape)],
        [tensor("Y", kind, shape)],
    )


def endless_model(path: Path) -> Path:
    """Build a model whose run never ends: it copies its input 2^62 times."""
    return save_model(
        path,
        [copying("turns")],
        [tensor("X")],
        [tensor("Y")],
        [numpy_helper.from_array(np.array(2**62), "turns")],
    )


def patient_model(path: Path) -> Path:
    """Build a model that copies its one row as often as its largest value, then returns it."""
    return save_model(
        path,
        [
            helper.make_node("ReduceMax", ["X"], ["largest"], keepdims=0),
            helper.make_node("Cast", ["largest"], ["turns"], to=TensorProto.INT64),
            copying("turns"),
        ],
        [tensor("X", shape=(1, 3))],
        [tensor("Y", shape=(1, 3))],
    )


def copying(turns: str) -> Any:
    """Return a node that copies X to Y, `turns` times."""
    body = helper.make_graph(
        [
            helper.make_node("Identity", ["more"], ["still_more"]),
            helper.make_node("Identity", ["row"], ["copied"]),
        ],
        "body",
        [
            tensor("turn", TensorProto.INT64, ()),
            tensor("more", TensorProto.BOOL, ()),
            tensor("row", shape=("N", 3)),
        ],
        [tensor("still_more", TensorProto.BOOL, ()), tensor("copied", shape=("N", 3))],
    )
    return helper.make_node("Loop", [turns, "", "X"], ["Y"], body=body)


def save_golden(folder: Path, **arrays: NDArray[Any]) -> None:
    """Write golden vectors; the argument `in_X` is the array `in:X`."""
    named = {name.replace("_", ":", 1): array for name, array in arrays.items()}
    np.savez(folder / "golden.npz", **named)  # type: ignore[arg-type]  # keywords are names of arrays


def doubling_artifact(folder: Path, *, width: int = 3) -> Path:
    """Create a folder with a doubling model and its golden vectors."""
    folder.mkdir(parents=True, exist_ok=True)
    doubling_model(folder / "model.onnx", width=width)
    rows = np.arange(4 * width, dtype=np.float32).reshape(4, width)
    save_golden(folder, in_X=rows, out_Y=rows * 2)
    return folder
