"""A model that is run on one row at a time, because its answers may depend on the other rows."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from understudy.artifact.onnx_model import OnnxModel


class RowByRow:
    """Runs each row of a batch alone, so that callers may be joined as for any other model."""

    def __init__(self, model: OnnxModel) -> None:
        self.inputs = model.inputs
        self.outputs = model.outputs
        self.every_output = model.every_output
        self._model = model

    def run(self, inputs: Sequence[NDArray[Any]], outputs: tuple[int, ...]) -> list[NDArray[Any]]:
        """Return the arrays of `outputs` for `inputs`; see `OnnxModel.run`.

        Raises:
            InvalidInputError: the model cannot compute one of the rows, or gives it another number
                of answers.
            OverloadedError: there is not enough memory for a run.
        """
        rows = len(inputs[0])
        if rows <= 1:
            return self._model.run(inputs, outputs)
        alone = [
            self._model.run([array[row : row + 1] for array in inputs], outputs)
            for row in range(rows)
        ]
        return [np.concatenate(answers) for answers in zip(*alone, strict=True)]


ServableModel = OnnxModel | RowByRow
