"""Opening of models: refusals, and settings that take effect."""

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from tests.artifact.checked import SESSION, check
from tests.artifact.models import doubling_model, save_model, tensor
from understudy.artifact.onnx_model import open_model
from understudy.domain.errors import InvalidInputError
from understudy.runtime.threads import threads_of


def test_a_model_without_inputs_is_refused(tmp_path: Path) -> None:
    """It would have no rows, so no request could be made."""
    one = numpy_helper.from_array(np.ones((1, 1), np.float32))
    path = save_model(
        tmp_path / "m.onnx",
        [helper.make_node("Constant", [], ["Y"], value=one)],
        [],
        [tensor("Y", TensorProto.FLOAT, (1, 1))],
    )

    with pytest.raises(InvalidInputError, match=r"model inputs: read none; accepted: one or more"):
        check(path)


@pytest.mark.parametrize(("inter_op_threads", "more"), [(1, 0), (3, 2)])
def test_operators_run_in_parallel_on_the_configured_number_of_threads(
    inter_op_threads: int, more: int, tmp_path: Path
) -> None:
    path = doubling_model(tmp_path / "m.onnx")
    before = threads_of(os.getpid())

    model = open_model(path, replace(SESSION, inter_op_threads=inter_op_threads))

    assert len(threads_of(os.getpid()) - before) == more
    rows = np.ones((2, 3), np.float32)
    assert (model.run([rows], model.every_output)[0] == 2 * rows).all()
