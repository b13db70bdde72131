"""Golden vectors: inputs with the outputs that the model's author saw; and stand-ins for them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from understudy.artifact.onnx_model import OnnxModel
from understudy.artifact.signature import DTYPE_OF
from understudy.domain.errors import Fault, InvalidInputError
from understudy.domain.versions import DYNAMIC, GOLDEN_FILE, TensorSpec

Arrays = Sequence[NDArray[Any]]
_INPUT, _OUTPUT = "in:", "out:"


@dataclass(frozen=True, slots=True)
class Golden:
    inputs: Arrays  # in the model's order
    outputs: dict[str, NDArray[Any]]  # one or more of the model's, by name

    @property
    def rows(self) -> int:
        return len(self.inputs[0])


def read_golden(path: Path, inputs: Sequence[TensorSpec]) -> Golden:
    """Return the vectors in the .npz file at `path`.

    Raises:
        InvalidInputError: it cannot be read, or lacks an array or rows.
    """
    try:
        # Opened here: np.load leaves the file open when it is no archive.
        with path.open("rb") as stream, np.lib.npyio.NpzFile(stream) as stored:
            arrays = {name: stored[name] for name in stored.files}
    except (OSError, ValueError, EOFError, BadZipFile) as error:
        raise InvalidInputError.of(GOLDEN_FILE, read=str(error), accepted="an .npz file") from error
    missing = [spec.name for spec in inputs if f"{_INPUT}{spec.name}" not in arrays]
    outputs = {
        name.removeprefix(_OUTPUT): array
        for name, array in arrays.items()
        if name.startswith(_OUTPUT)
    }
    if missing or not outputs:
        raise InvalidInputError.of(
            GOLDEN_FILE,
            read=f"arrays {sorted(arrays)}",
            accepted="in:NAME for each input, and out:NAME for an output or more",
        )
    golden = Golden([_as_input(spec, arrays[f"{_INPUT}{spec.name}"]) for spec in inputs], outputs)
    if any(array.shape[:1] == (0,) for array in golden.inputs):
        raise InvalidInputError.of(GOLDEN_FILE, read="inputs of 0 rows", accepted="1 row or more")
    return golden


def replay(model: OnnxModel, golden: Golden, tolerance: float) -> None:
    """Run the golden inputs and compare; `tolerance` is the largest absolute difference.

    Texts, integers and flags must be equal.

    Raises:
        InvalidInputError: an output differs, or the model cannot compute them.
    """
    found = dict(
        zip(
            (spec.name for spec in model.outputs),
            model.run(golden.inputs, model.every_output),
            strict=True,
        )
    )
    faults = []
    for name, expected in golden.outputs.items():
        if name not in found:
            faults.append(Fault(f"{GOLDEN_FILE} output {name!r}", "no such output", str([*found])))
        elif why := difference(found[name], expected, tolerance):
            faults.append(Fault(f"{GOLDEN_FILE} output {name!r}", why, f"at most {tolerance:g}"))
    if faults:
        raise InvalidInputError(faults)


def difference(found: NDArray[Any], expected: NDArray[Any], tolerance: float) -> str:
    """Return in words how `found` differs from `expected`; empty when it does not.

    Floating point values may differ by `tolerance`, absolute.
    """
    if found.shape != expected.shape:
        return f"shape {found.shape} in place of {expected.shape}"
    if found.dtype.kind != "f":
        wrong = int((found.astype(expected.dtype) != expected).sum())
        return f"{wrong} other values" if wrong else ""
    here, there = found.astype(np.float64), expected.astype(np.float64)
    same = (here == there) | (np.isnan(here) & np.isnan(there))
    with np.errstate(invalid="ignore"):
        apart = np.where(same, 0.0, np.abs(here - there))
    largest = float(np.max(np.nan_to_num(apart, nan=np.inf), initial=0.0))
    return f"a difference of {largest:.3g}" if largest > tolerance else ""


def blank_inputs(inputs: Sequence[TensorSpec]) -> Arrays:
    """Return one row of zeros and "" for each input; a dimension of any size is 1."""
    return [_blank(spec) for spec in inputs]


def with_rows(sample: Arrays, rows: int) -> Arrays:
    """Return `sample` with its rows repeated, or cut, to `rows`."""
    return [np.ascontiguousarray(np.take(a, np.arange(rows) % len(a), axis=0)) for a in sample]


def _blank(spec: TensorSpec) -> NDArray[Any]:
    shape = [1 if size == DYNAMIC else size for size in spec.shape]
    if spec.datatype == "BYTES":
        return np.full(shape, "", dtype=np.object_)
    return np.zeros(shape, dtype=DTYPE_OF[spec.datatype])


def _as_input(spec: TensorSpec, array: NDArray[Any]) -> NDArray[Any]:
    # Text is stored as numpy unicode: object arrays would need pickle.
    try:
        return np.ascontiguousarray(array.astype(DTYPE_OF[spec.datatype]))
    except (ValueError, TypeError) as error:
        raise InvalidInputError.of(
            f"{GOLDEN_FILE} {_INPUT}{spec.name}", read=array.dtype.name, accepted=spec.datatype
        ) from error
