"""Conversion of a file's column to the values of a feature, with the rows that are unusable."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from understudy.domain.features import FLOAT32_BELOW, Feature, FeatureDtype
from understudy.features.decisions.arrow_columns import plain
from understudy.features.decisions.number_texts import Numbers, exact_int64, numbers_of_texts

# From these bounds on, neighbouring integers share a float, so it may be another number, rounded.
_INEXACT_FROM = {pa.float16(): 2.0**11, pa.float32(): 2.0**24}
_DOUBLE_INEXACT_FROM = 2.0**53


@dataclass(frozen=True, slots=True, eq=False)
class ColumnValues:
    """The values of one feature in n rows."""

    values: npt.NDArray[Any] | list[bytes]  # UTF-8 bytes for strings
    present: npt.NDArray[np.bool_]
    unusable: npt.NDArray[np.bool_]  # rows to reject
    accepted: str  # description of a usable value


def column_values(feature: Feature, column: pa.Array) -> ColumnValues:
    """Return the values of `feature` in `column`. NULL and NaN count as absent, not as unusable.

    The result for a value depends only on the value and the column's type, never on other rows. An
    int64 is exact or unusable.
    """
    column = plain(column)
    if feature.dtype is FeatureDtype.STRING:
        return _texts(column)
    if feature.dtype is FeatureDtype.INT64 and pa.types.is_string(column.type):
        is_nan = pc.equal(pc.utf8_lower(pc.utf8_trim(column, " ")), "nan")  # as among floats
        column = pc.if_else(is_nan, None, column)
    valid = column.is_valid().to_numpy(zero_copy_only=False)
    numbers, readable = _numbers(column, feature.dtype)
    present = valid & ~np.isnan(numbers) if numbers.dtype.kind == "f" else valid
    inexact_from = _INEXACT_FROM.get(column.type, _DOUBLE_INEXACT_FROM)
    values, accepted, fits = _fitted(feature.dtype, numbers, inexact_from)
    unusable = valid & ~(readable & (fits | ~present))
    return ColumnValues(values, present & ~unusable, unusable, accepted)


def _texts(column: pa.Array) -> ColumnValues:
    valid = column.is_valid().to_numpy(zero_copy_only=False)
    nothing = np.zeros(len(column), dtype=np.bool_)
    accepted = "text without NUL"  # clients of some stores truncate at NUL
    if not pa.types.is_string(column.type) and not pa.types.is_integer(column.type):
        return ColumnValues([b""] * len(column), nothing, valid, accepted)
    texts = column.cast(pa.string())
    cut = (
        pc.match_substring(texts, "\0")
        .fill_null(pa.scalar(value=False))
        .to_numpy(zero_copy_only=False)
    )
    contents = texts.cast(pa.binary()).fill_null(b"").to_pylist()
    return ColumnValues(contents, valid & ~cut, cut, accepted)


def _numbers(column: pa.Array, dtype: FeatureDtype) -> Numbers:
    """Return the column as numbers, 0 where NULL or unreadable, and a mask of readable rows."""
    readable = np.ones(len(column), dtype=np.bool_)
    kind = column.type
    if isinstance(kind, pa.BaseExtensionType):
        return np.zeros(len(column)), ~readable
    if pa.types.is_string(kind):
        return numbers_of_texts(column, dtype)
    if pa.types.is_boolean(kind) or pa.types.is_integer(kind):
        return _whole_numbers(column, dtype)
    if pa.types.is_floating(kind):
        return column.cast(pa.float64()).fill_null(0).to_numpy(), readable
    if pa.types.is_decimal(kind):
        return _decimals(column, dtype)
    return np.zeros(len(column)), ~readable


def _whole_numbers(column: pa.Array, dtype: FeatureDtype) -> Numbers:
    if not pa.types.is_uint64(column.type):
        numbers = column.cast(pa.int64()).fill_null(0).to_numpy()
        readable = np.ones(len(column), dtype=np.bool_)
    else:  # a cast would wrap numbers beyond int64 to negative ones
        numbers = column.fill_null(0).to_numpy(zero_copy_only=False)
        readable = numbers < 2**63 if dtype is FeatureDtype.INT64 else numbers >= 0
    # Through float64 in every case, so that an integer and its text round to the same float32.
    element = np.int64 if dtype is FeatureDtype.INT64 else np.float64
    return numbers.astype(element), readable


def _decimals(column: pa.Array, dtype: FeatureDtype) -> Numbers:
    given = column.to_pylist()
    if dtype is not FeatureDtype.INT64:
        floats = [0.0 if each is None else float(each) for each in given]
        return np.array(floats, dtype=np.float64), np.ones(len(column), dtype=np.bool_)
    whole = [0 if each is None else exact_int64(each) for each in given]
    readable = np.array([each is not None for each in whole], dtype=np.bool_)
    return np.array([each or 0 for each in whole], dtype=np.int64), readable


def _fitted(
    dtype: FeatureDtype, numbers: npt.NDArray[Any], inexact_from: float
) -> tuple[npt.NDArray[Any], str, npt.NDArray[np.bool_]]:
    is_float = numbers.dtype.kind == "f"
    match dtype:
        case FeatureDtype.BOOL:
            fits = (numbers == 0) | (numbers == 1)
            accepted = "true, false, 1 or 0"
        case FeatureDtype.INT64:
            fits = np.ones(len(numbers), dtype=np.bool_)
            accepted = "a 64-bit integer"
            if is_float:
                fits = (np.abs(numbers) < inexact_from) & (np.floor(numbers) == numbers)
                accepted += f"; as a float, below {inexact_from:.0f}"
        case FeatureDtype.FLOAT32:
            fits = np.abs(numbers) < FLOAT32_BELOW
            accepted = "a finite float32 number"
        case _:
            fits = np.isfinite(numbers)
            accepted = "a finite float64 number"
    usable = np.where(fits, numbers, 0)
    element = {"bool": "u1", "int64": "i8", "float32": "f4"}.get(dtype.value, "f8")
    return usable.astype(element), accepted, fits
