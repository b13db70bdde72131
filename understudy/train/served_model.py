"""A model as a router and a scorer would use it: columns laid out, the score taken from its output."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from understudy.artifact.onnx_model import open_model
from understudy.artifact.row_by_row import RowByRow, ServableModel
from understudy.artifact.session_options import SessionOptions
from understudy.domain.features import Feature, FeatureDtype, FeatureRef
from understudy.domain.versions import ScoreOutput
from understudy.features.decisions.tensor_columns import (
    ARRAY_DTYPES,
    TensorColumns,
    lay_out,
    values_when_absent,
)
from understudy.train.rows import Columns

_BATCH_ROWS = 8_192  # rows of one run, so that 200,000 rows need no more memory than these


class ServedModel:
    """A converted model over its feature set."""

    def __init__(
        self,
        model_file: Path,
        refs: Sequence[FeatureRef],
        features: Sequence[Feature],
        *,
        column_inputs: Sequence[str] = (),
        joins_rows: bool = True,
    ) -> None:
        """Open the model.

        Raises:
            InvalidInputError: it cannot be opened, or its inputs do not fit the feature set.
        """
        opened = open_model(model_file, SessionOptions())
        self._model: ServableModel = opened if joins_rows else RowByRow(opened)
        self.inputs, self.outputs = opened.inputs, opened.outputs
        self._features = tuple(features)
        self._tensors = lay_out(opened.inputs, refs, features, column_inputs)

    def tensors(self, columns: Columns) -> dict[str, NDArray[Any]]:
        """Return the inputs, by name, of rows whose missing values stay missing."""
        arrays = (_tensor(tensor, columns, self._features) for tensor in self._tensors)
        return dict(zip((spec.name for spec in self.inputs), arrays, strict=True))

    def with_defaults(self, columns: Columns) -> Columns:
        """Return the rows in which defaults replace missing values, as a router reads them."""
        return tuple(map(_defaulted, columns, self._features))

    def output(self, name: str, columns: Columns) -> NDArray[np.float64]:
        """Return a numeric output for rows, a batch at a time; shape (n,) or (n, k).

        Raises:
            InvalidInputError: the model cannot compute the rows.
        """
        place = [spec.name for spec in self.outputs].index(name)
        parts = []
        for start in range(0, len(columns[0]), _BATCH_ROWS):
            some = tuple(column[start : start + _BATCH_ROWS] for column in columns)
            (answers,) = self._model.run([*self.tensors(some).values()], (place,))
            parts.append(answers.astype(np.float64))
        return np.concatenate(parts)

    def scores(self, score: ScoreOutput, columns: Columns) -> NDArray[np.float64]:
        """Return the scores of rows, shape (n,).

        Raises:
            InvalidInputError: the model cannot compute the rows.
        """
        answers = self.output(score.output, columns)
        return answers if answers.ndim == 1 else answers[:, score.column]


def _tensor(tensor: TensorColumns, columns: Columns, features: Sequence[Feature]) -> NDArray[Any]:
    dtype = ARRAY_DTYPES[tensor.datatype]
    defaults = values_when_absent(tensor, features)
    array = np.empty((len(columns[0]), len(tensor.places)), dtype)
    with np.errstate(over="ignore", invalid="ignore"):
        for at, place in enumerate(tensor.places):
            values = columns[place]
            if dtype.kind not in "fO":  # it holds no NaN, so each of its features has a default
                values = np.where(np.isnan(values), defaults[at], values)
            array[:, at] = values
    return array.reshape(-1) if tensor.is_flat else array


def _defaulted(column: NDArray[Any], feature: Feature) -> NDArray[Any]:
    if feature.default is None:
        return column
    if feature.dtype is FeatureDtype.STRING:
        return np.where(column == "", feature.default, column).astype(np.object_)
    return np.where(np.isnan(column), np.float64(feature.default), column)
