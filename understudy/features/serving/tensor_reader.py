"""Reading of a feature set back from the tensors that a plan has assembled."""

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from understudy.domain.logged_features import FeatureList, ListedFeatures, Part
from understudy.features.decisions.column_moves import Target
from understudy.features.decisions.tensor_columns import ARRAY_DTYPES, TensorColumns


class TensorReader:
    """Finds features in a model's tensors, whatever their division and shapes."""

    def __init__(
        self,
        targets: Sequence[Target],
        tensors: Sequence[TensorColumns],
        names: tuple[str, ...],
        views: Iterable[str],
    ) -> None:
        self._targets = tuple(targets)
        self.listed = listed_features(tensors, names, views)  # for the log

    def column(self, tensors: Sequence[NDArray[np.generic]], place: int) -> NDArray[np.generic]:
        """Return the values of the feature at `place` of the feature set, shape (n,)."""
        target = self._targets[place]
        tensor = tensors[target.tensor]
        return tensor if tensor.ndim == 1 else tensor[:, target.column]


def listed_features(
    tensors: Sequence[TensorColumns], names: tuple[str, ...], views: Iterable[str]
) -> ListedFeatures:
    """Return the lists of a log in which the columns of these tensors are.

    Args:
        tensors: of a model.
        names: of its feature set.
        views: whose records are read, in their order.
    """
    lists: list[tuple[FeatureList, tuple[str, ...]]] = []
    parts: list[tuple[Part, ...]] = []
    for each in FeatureList:
        chosen = [n for n, tensor in enumerate(tensors) if _list_of(tensor.datatype) is each]
        places = [place for number in chosen for place in tensors[number].places]
        if places:
            lists.append((each, tuple(names[place] for place in places)))
            parts.append(tuple(Part(number) for number in chosen))
    return ListedFeatures(names, tuple(lists), tuple(parts), tuple(views))


def _list_of(datatype: str) -> FeatureList:
    """Return the list that holds every value of a tensor's datatype."""
    match ARRAY_DTYPES[datatype].kind:
        case "O":
            return FeatureList.TEXTS
        case "f":
            return FeatureList.DOUBLES if datatype == "FP64" else FeatureList.FLOATS
        case _:
            return FeatureList.INT64S  # UINT64 is read for booleans only
