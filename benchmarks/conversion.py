"""Conversion from scikit-learn to an artifact: ONNX with float32 input, plus golden vectors.

Every classifier is converted in the same way: one input `features` of shape (n, width), outputs
`label` and `probabilities` of shape (n, classes), no ZipMap (it would create a dictionary per row).
The locked skl2onnx does not convert HistGradientBoosting; use GradientBoosting, or export
the trees with another tool.
"""

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType

from understudy.domain.versions import MODEL_FILE
from understudy.provenance.capture import write_golden

INPUT = "features"
PROBABILITIES = "probabilities"
GOLDEN_TOLERANCE = 1e-5  # a replay in another build of ONNX Runtime may differ in the last digits
_OPSET = {"": 21, "ai.onnx.ml": 3}


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


def write_artifact(folder: Path, onnx_bytes: bytes, *, golden_rows: NDArray[np.float32]) -> None:
    """Write the model and golden vectors: `golden_rows` and the model's answers to them."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / MODEL_FILE).write_bytes(onnx_bytes)
    write_golden(folder, {INPUT: golden_rows})


def converted_scores(onnx_bytes: bytes, rows: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the converted model's probability of class 1 for `rows`, shape (n,)."""
    session = ort.InferenceSession(onnx_bytes, providers=["CPUExecutionProvider"])
    (probabilities,) = session.run([PROBABILITIES], {INPUT: rows})
    scores: NDArray[np.float64] = probabilities[:, 1].astype(np.float64)
    return scores
