"""Reading of a feature set back from the tensors that a plan has assembled."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from understudy.features.decisions.column_moves import Target
from understudy.features.decisions.tensor_columns import TensorColumns


class TensorReader:
    """Finds features in a model's tensors, whatever their division and shapes."""

    def __init__(self, targets: Sequence[Target], tensors: Sequence[TensorColumns]) -> None:
        self._targets = tuple(targets)
        self._texts = tuple(tensor.datatype == "BYTES" for tensor in tensors)
        self._has_texts = any(self._texts)
        starts = np.cumsum([0, *(len(tensor.places) for tensor in tensors)])
        order = np.array([starts[each.tensor] + each.column for each in targets], dtype=np.intp)
        # None if the tensors side by side have the order of the feature set.
        self._order = None if (order == np.arange(len(order))).all() else order

    def column(self, tensors: Sequence[NDArray[np.generic]], place: int) -> NDArray[np.generic]:
        """Return the values of the feature at `place` of the feature set, shape (n,)."""
        target = self._targets[place]
        tensor = tensors[target.tensor]
        return tensor if tensor.ndim == 1 else tensor[:, target.column]

    def matrix(self, tensors: Sequence[NDArray[np.generic]]) -> NDArray[np.float32]:
        """Return the values in the order of the feature set, shape (n, width); NaN for texts."""
        if self._has_texts:
            tensors = [
                np.full(tensor.shape, np.nan, dtype=np.float32) if is_text else tensor
                for tensor, is_text in zip(tensors, self._texts, strict=True)
            ]
        if len(tensors) == 1 and tensors[0].ndim > 1:
            return tensors[0].astype(np.float32, copy=False)
        side_by_side = np.concatenate(
            [tensor.reshape(len(tensor), -1) for tensor in tensors], axis=1, dtype=np.float32
        )
        return side_by_side if self._order is None else side_by_side[:, self._order]
