"""An author's rows as named columns, and back in the form in which the original reads them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from understudy.domain.errors import InvalidInputError
from understudy.domain.features import Feature, FeatureDtype

Columns = tuple[NDArray[Any], ...]  # one per feature: float64 with NaN, or str with ""; shape (n,)

_MATRIX = 2  # dimensions of rows and columns


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows of a feature set.

    Numbers of a float32 feature are rounded to float32, because a store and a request hold no more:
    the original and the served model then read the same values.
    """

    features: tuple[Feature, ...]
    columns: Columns
    given: Any  # as the author has them: shape (n, features), or a data frame

    def __len__(self) -> int:
        return len(self.columns[0])

    def taken(self, places: NDArray[np.intp]) -> "Rows":
        return self.with_columns(tuple(column[places] for column in self.columns))

    def with_columns(self, columns: Columns) -> "Rows":
        return Rows(self.features, columns, self.given)

    def as_given(self) -> Any:
        """Return the rows in the form and datatypes of `given`, for the original's predict function.

        Whole numbers become floating-point numbers where a value is missing.
        """
        if hasattr(self.given, "iloc"):
            return self._as_frame()
        dtype = self.given.dtype
        if dtype.kind == "O" or any(column.dtype.kind == "O" for column in self.columns):
            return np.array(self.columns, dtype=np.object_).T
        matrix = np.column_stack(self.columns)
        is_whole = dtype.kind in "iub" and bool(np.isfinite(matrix).all())
        return matrix.astype(dtype) if is_whole or dtype.kind == "f" else matrix

    def _as_frame(self) -> Any:
        names = [feature.name for feature in self.features]
        frame = type(self.given)(dict(zip(names, self.columns, strict=True)))
        for name, column in zip(names, self.columns, strict=True):
            dtype = self.given[name].dtype
            is_whole = getattr(dtype, "kind", "O") in "iub"
            if not is_whole or bool(np.isfinite(column).all()):
                frame[name] = frame[name].astype(dtype)
        return frame


def read_rows(x: Any, features: Sequence[Feature], field: str) -> Rows:
    """Return the rows of `x`.

    Args:
        x: a data frame with a column of the name of each feature, in any order and beside others;
            or an array of shape (n, features), whose columns are the features in their order.
        features: of the model, in the order of its feature set.
        field: name of `x` in errors.

    Raises:
        InvalidInputError: columns are missing, there are no rows, or a column holds other values
            than its feature has.
    """
    names = [feature.name for feature in features]
    if hasattr(x, "iloc"):
        absent = [name for name in names if name not in set(x.columns)]
        if absent:
            raise InvalidInputError.of(
                field, read=f"columns {list(x.columns)}", accepted=f"also {', '.join(absent)}"
            )
        x = x[names]
        raw = [x[name].to_numpy() for name in names]
    else:
        x = np.asarray(x)
        if x.ndim != _MATRIX or x.shape[1] != len(names):
            accepted = f"(n, {len(names)}), a column per feature: {', '.join(names[:12])}"
            raise InvalidInputError.of(field, read=f"shape {x.shape}", accepted=accepted)
        raw = list(x.T)
    if not len(raw[0]):
        raise InvalidInputError.of(field, read="0 rows", accepted="1 row or more")
    columns = (_column(*each, field) for each in zip(raw, features, strict=True))
    return Rows(tuple(features), tuple(columns), x)


def _column(values: NDArray[Any], feature: Feature, field: str) -> NDArray[Any]:
    if feature.dtype is FeatureDtype.STRING:
        return _texts(values)
    try:
        numbers = values.astype(np.float64)
    except (TypeError, ValueError) as error:
        raise InvalidInputError.of(
            f"{field}: {feature.name}", read=error, accepted=f"values of a {feature.dtype.value}"
        ) from error
    if feature.dtype is not FeatureDtype.FLOAT32:
        return numbers
    with np.errstate(over="ignore"):
        return numbers.astype(np.float32).astype(np.float64)


def _texts(values: NDArray[Any]) -> NDArray[Any]:
    """Return texts; a missing one is "", as a router sends it."""
    texts = np.empty(len(values), dtype=np.object_)
    for place, value in enumerate(values.tolist()):
        is_absent = value is None or value != value  # noqa: PLR0124 - NaN is not equal to itself
        texts[place] = "" if is_absent else str(value)
    return texts
