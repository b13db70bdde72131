"""An author's rows as named columns, and back in the form in which the original reads them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from understudy.domain.errors import InvalidInputError
from understudy.domain.features import Feature, FeatureDtype
from understudy.features.decisions.arrow_columns import plain, shown
from understudy.features.decisions.column_values import column_values

Columns = tuple[NDArray[Any], ...]  # one per feature: float64 with NaN, or str with ""; shape (n,)

_MATRIX = 2  # dimensions of rows and columns
_LARGEST_WHOLE = 2**53  # all integers up to it are doubles
_OF_NAMED_COLUMNS = ("__dataframe__", "__arrow_c_stream__", "__arrow_c_array__", "keys")
_WHOLE = "a whole number of at most 2^53 in size, because parity is measured in doubles"
_TEXTS = "texts, as the served model gets them, e.g. by astype(str)"


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
        InvalidInputError: columns are missing or duplicated, there are no rows, or a column has a
            value that no store and no request can hold.
    """
    names = [feature.name for feature in features]
    _check_form(x, names, field)
    if hasattr(x, "iloc"):
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


def _check_form(x: Any, names: Sequence[str], field: str) -> None:
    """Refuse named columns that are not a data frame of pandas: numpy would read them by position."""
    if hasattr(x, "iloc") and hasattr(x, "columns"):
        there = list(x.columns)
        if absent := [name for name in names if name not in there]:
            raise InvalidInputError.of(
                field, read=f"columns {there}", accepted=f"also {', '.join(absent)}"
            )
        if twice := [name for name in names if there.count(name) > 1]:
            read = f"more than one column {', '.join(twice)}"
            raise InvalidInputError.of(field, read=read, accepted="each column once")
    elif any(hasattr(x, each) for each in _OF_NAMED_COLUMNS) or np.ma.isMaskedArray(x):
        accepted = "a data frame of pandas, or an array with NaN for missing values"
        raise InvalidInputError.of(field, read=type(x).__name__, accepted=accepted)


def _column(values: NDArray[Any], feature: Feature, field: str) -> NDArray[Any]:
    """Return a column by the rules of loading: what no store and no request can hold is refused."""
    named = f"{field}: {feature.name}"
    if values.dtype.kind == "f":
        values = values.astype(np.float64)  # of any width: the original reads it as it is
    try:
        column = plain(pa.array(values, from_pandas=True))
    except (pa.ArrowException, TypeError, ValueError) as error:
        raise InvalidInputError.of(
            named, read=error, accepted=f"values of a {feature.dtype.value}"
        ) from error
    found = column_values(feature, column)
    unusable, accepted = found.unusable, found.accepted
    if feature.dtype is FeatureDtype.STRING and not pa.types.is_string(column.type):
        # A store makes texts of integers, but the original was fitted on integers.
        unusable, accepted = column.is_valid().to_numpy(zero_copy_only=False), _TEXTS
    elif feature.dtype is FeatureDtype.INT64:
        integers = np.asarray(found.values)
        unusable = unusable | (integers > _LARGEST_WHOLE) | (integers < -_LARGEST_WHOLE)
        accepted = _WHOLE
    if unusable.any():
        first = int(np.argmax(unusable))
        count = np.count_nonzero(unusable)
        read = f"{count} unusable, the first in row {first}: {shown(column, first)}"
        raise InvalidInputError.of(named, read=read, accepted=accepted)
    if feature.dtype is FeatureDtype.STRING:
        texts = [
            text.decode() for text in found.values
        ]  # a missing one is "", as a router sends it
        return np.array(texts, dtype=np.object_)
    return np.where(found.present, np.asarray(found.values, dtype=np.float64), np.nan)
