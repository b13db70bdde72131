"""From scikit-learn to an artifact: ONNX with float32 input, plus golden vectors.

Every classifier is converted alike: one input `features` of shape (n, width), outputs `label`
and `probabilities` of shape (n, classes), no ZipMap (it would make a dictionary per row).
HistGradientBoosting is not converted by the locked skl2onnx; use GradientBoosting, or export
the trees by another tool.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType

from domain.versions import GOLDEN_FILE, MODEL_FILE

INPUT = "features"
PROBABILITIES = "probabilities"
_OPSET = {"": 21, "ai.onnx.ml": 3}


@dataclass(frozen=True, slots=True)
class Parity:
    """How far the converted model is from the original, over the rows compared."""

    rows: int
    largest_difference: float  # of probabilities, absolute


def convert(model: Any, *, width: int) -> bytes:
    """Return the ONNX bytes of a fitted scikit-learn classifier of `width` features."""
    converted = to_onnx(
        model,
        initial_types=[(INPUT, FloatTensorType([None, width]))],
        target_opset=_OPSET,
        options={"zipmap": False},
    )
    content: bytes = converted.SerializeToString()
    return content


def measure_parity(model: Any, onnx_bytes: bytes, rows: NDArray[np.float32]) -> Parity:
    """Compare the probabilities of the original and of the converted model on `rows`."""
    converted = _run(onnx_bytes, rows)[PROBABILITIES]
    difference = np.abs(model.predict_proba(rows) - converted)
    return Parity(len(rows), float(difference.max()))


def write_artifact(folder: Path, onnx_bytes: bytes, *, golden_rows: NDArray[np.float32]) -> None:
    """Write model and golden vectors: `golden_rows` and what the model answers to them."""
    folder.mkdir(parents=True, exist_ok=True)
    outputs = _run(onnx_bytes, golden_rows)
    (folder / MODEL_FILE).write_bytes(onnx_bytes)
    vectors: dict[str, Any] = {f"in:{INPUT}": golden_rows}
    vectors.update({f"out:{name}": values for name, values in outputs.items()})
    np.savez(folder / GOLDEN_FILE, **vectors)


def _run(onnx_bytes: bytes, rows: NDArray[np.float32]) -> dict[str, NDArray[Any]]:
    session = ort.InferenceSession(onnx_bytes, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    answers = session.run(names, {INPUT: rows})
    return dict(zip(names, answers, strict=True))
