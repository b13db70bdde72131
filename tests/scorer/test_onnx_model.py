"""Opening a model: what cannot be served is refused, and what is set acts."""

from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from domain.errors import InvalidInputError
from tests.scorer.models import save_model, tensor
from tests.scorer.serving import load


def test_a_model_without_inputs_is_refused(tmp_path: Path) -> None:
    """It would have no rows: nothing could be asked of it."""
    one = numpy_helper.from_array(np.ones((1, 1), np.float32))
    path = save_model(
        tmp_path / "m.onnx",
        [helper.make_node("Constant", [], ["Y"], value=one)],
        [],
        [tensor("Y", TensorProto.FLOAT, (1, 1))],
    )

    with pytest.raises(InvalidInputError, match=r"model inputs: read none; accepted: one or more"):
        load(path)
