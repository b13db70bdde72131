"""Reading of a feature set back from the tensors that a plan has assembled."""

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from understudy.domain.features import LogPolicy
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
        policies: Sequence[LogPolicy],
    ) -> None:
        self._targets = tuple(targets)
        self.listed = listed_features(tensors, names, views, policies)  # for the log

    def column(self, tensors: Sequence[NDArray[np.generic]], place: int) -> NDArray[np.generic]:
        """Return the values of the feature at `place` of the feature set, shape (n,)."""
        target = self._targets[place]
        tensor = tensors[target.tensor]
        return tensor if tensor.ndim == 1 else tensor[:, target.column]


def listed_features(
    tensors: Sequence[TensorColumns],
    names: tuple[str, ...],
    views: Iterable[str],
    policies: Sequence[LogPolicy],
) -> ListedFeatures:
    """Return the lists of a log in which the columns of these tensors are.

    Args:
        tensors: of a model.
        names: of its feature set.
        views: whose records are read, in their order.
        policies: of the features, in the order of the feature set.
    """
    lists: list[tuple[FeatureList, tuple[str, ...]]] = []
    parts: list[tuple[Part, ...]] = []
    for each in FeatureList:
        policy = LogPolicy.HASH if each is FeatureList.DIGESTS else LogPolicy.VALUE
        found = [
            (number, _columns_with(policy, tensor, policies))
            for number, tensor in enumerate(tensors)
            if policy is LogPolicy.HASH or _list_of(tensor.datatype) is each
        ]
        chosen = [(number, columns) for number, columns in found if columns]
        if chosen:
            in_order = [
                names[tensors[number].places[column]]
                for number, columns in chosen
                for column in columns
            ]
            lists.append((each, tuple(in_order)))
            parts.append(
                tuple(_part(number, columns, tensors[number]) for number, columns in chosen)
            )
    return ListedFeatures(names, tuple(lists), tuple(parts), tuple(views))


def _columns_with(
    policy: LogPolicy, tensor: TensorColumns, policies: Sequence[LogPolicy]
) -> tuple[int, ...]:
    places = enumerate(tensor.places)
    return tuple(column for column, place in places if policies[place] is policy)


def _part(number: int, columns: tuple[int, ...], tensor: TensorColumns) -> Part:
    return Part(number, None if len(columns) == len(tensor.places) else columns)


def _list_of(datatype: str) -> FeatureList:
    """Return the list that holds every value of a tensor's datatype."""
    match ARRAY_DTYPES[datatype].kind:
        case "O":
            return FeatureList.TEXTS
        case "f":
            return FeatureList.DOUBLES if datatype == "FP64" else FeatureList.FLOATS
        case _:
            return FeatureList.INT64S  # UINT64 is read for booleans only
