"""The values of a feature set for n rows, one column per feature in its own dtype."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from understudy.domain.features import EMPTY_STATUSES, FeatureDtype, FeatureRef, FeatureView
from understudy.domain.versions import DYNAMIC, TensorSpec
from understudy.features.decisions.feature_columns import column_names, columns_of
from understudy.features.serving.stored_columns import Assembled

_DATATYPES = {
    FeatureDtype.FLOAT32: "FP32",
    FeatureDtype.FLOAT64: "FP64",
    FeatureDtype.INT64: "INT64",
    FeatureDtype.BOOL: "BOOL",
    FeatureDtype.STRING: "BYTES",
}


@dataclass(frozen=True, slots=True, eq=False)
class FeatureValues:
    """The values of a feature set for n rows, in the order of the rows."""

    names: tuple[str, ...]
    columns: tuple[npt.NDArray[Any], ...]  # shape (n,) each; objects of bytes for strings
    statuses: npt.NDArray[np.uint8]  # FeatureStatus, shape (n, features)

    def table(self, rows: pa.Table) -> pa.Table:
        """Return `rows` with a column added per feature; NULL where there is no value."""
        for place, name in enumerate(self.names):
            missing = np.isin(self.statuses[:, place], list(EMPTY_STATUSES))
            values: Any = self.columns[place]
            if values.dtype.kind == "O":
                values = [value.decode() for value in values.tolist()]
            column = pa.array(values, mask=missing)
            if name in rows.column_names:
                rows = rows.drop_columns(name)
            rows = rows.append_column(name, column)
        return rows


def column_specs(
    feature_set: Sequence[FeatureRef], views: Sequence[FeatureView]
) -> list[TensorSpec]:
    """Return one input per feature, of its own dtype.

    Raises:
        InvalidInputError: the feature set does not fit `views`.
    """
    columns = columns_of(feature_set, views)
    return [
        TensorSpec(name, _DATATYPES[column.feature.dtype], (DYNAMIC, 1))
        for name, column in zip(column_names(feature_set), columns, strict=True)
    ]


def values_of(names: tuple[str, ...], assembled: Assembled, rows: int) -> FeatureValues:
    """Return the values that a plan over `column_specs` has assembled."""
    statuses = assembled.statuses
    if statuses is None:
        statuses = np.zeros((rows, len(names)), dtype=np.uint8)
    return FeatureValues(
        names, tuple(tensor.reshape(rows) for tensor in assembled.tensors), statuses
    )
