"""Values that requests supply, written over those of the store in a batch's tensors."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from understudy.domain.features import Feature, FeatureDtype, FeatureScalar, FeatureStatus
from understudy.features.decisions.column_moves import Target
from understudy.features.decisions.statuses import status_when_absent

RequestFeatures = Mapping[str, FeatureScalar]

_NOTHING: RequestFeatures = {}


@dataclass(frozen=True, slots=True, eq=False)
class RequestColumns:
    """The columns of a feature set as requests name them."""

    place_of: Mapping[str, int]  # index of the column of each unambiguous name
    features: Sequence[Feature]  # of the columns
    targets: Sequence[Target]  # of the columns in the tensors
    defaults: Sequence[npt.NDArray[np.generic]]  # per tensor, in its columns

    def override(
        self,
        tensors: Sequence[npt.NDArray[np.generic]],
        statuses: npt.NDArray[np.uint8] | None,
        request_features: Sequence[RequestFeatures | None],
    ) -> npt.NDArray[np.uint8] | None:
        """Write the values of n requests into `tensors`; return the statuses, as `assemble` does."""
        given: dict[str, tuple[list[int], list[FeatureScalar | bytes]]] = {}
        for row, features in enumerate(request_features):
            for name, value in (features or _NOTHING).items():
                rows, values = given.setdefault(name, ([], []))
                rows.append(row)
                values.append(value.encode() if isinstance(value, str) else value)
        for name, (rows, values) in given.items():
            place = self.place_of.get(name)
            if place is None:
                continue
            if statuses is None:
                shape = (len(request_features), len(self.features))
                statuses = np.zeros(shape, dtype=np.uint8)
            target = self.targets[place]
            with np.errstate(over="ignore"):
                tensors[target.tensor][rows, target.column] = values
                lost = np.array(rows)[_beyond_float32(values, self.features[place])]
            statuses[rows, place] = FeatureStatus.FROM_REQUEST
            if lost.size:  # missing, as a value that is not there
                tensors[target.tensor][lost, target.column] = self._default(target)
                statuses[lost, place] = status_when_absent(self.features[place])
        return statuses

    def _default(self, target: Target) -> np.generic:
        default: np.generic = self.defaults[target.tensor][target.column]
        return default


def _beyond_float32(
    values: Sequence[FeatureScalar | bytes], feature: Feature
) -> npt.NDArray[np.bool_]:
    """Mark values of a float32 feature that it cannot hold: the contract may have it as float64."""
    if feature.dtype is not FeatureDtype.FLOAT32:
        return np.zeros(len(values), dtype=np.bool_)
    return np.isinf(np.array(values, dtype=np.float64).astype(np.float32))
