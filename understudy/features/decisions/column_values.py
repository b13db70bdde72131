"""Conversion of a file's column to the values of a feature, with the rows that are unusable."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from understudy.domain.features import Feature, FeatureDtype

_LARGEST_FLOAT32 = float(np.finfo(np.float32).max)
_INT64_BOUND = 2.0**63
_CLAIMS = {"true": 1.0, "false": 0.0}


@dataclass(frozen=True, slots=True, eq=False)
class ColumnValues:
    """The values of one feature in n rows."""

    values: npt.NDArray[Any] | list[bytes]  # UTF-8 bytes for strings
    present: npt.NDArray[np.bool_]
    unusable: npt.NDArray[np.bool_]  # rows to reject
    accepted: str  # description of a usable value


def column_values(feature: Feature, column: pa.Array) -> ColumnValues:
    """Return the values of `feature` in `column`. NULL and NaN count as absent, not as unusable."""
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if feature.dtype is FeatureDtype.STRING:
        return _texts(column)
    if feature.dtype is FeatureDtype.INT64 and _is_text(column):
        is_nan = pc.equal(pc.utf8_lower(column), "nan")  # as in a column of floats
        column = pc.if_else(is_nan, None, column)
    valid = column.is_valid().to_numpy(zero_copy_only=False)
    numbers, readable = _numbers(column, feature.dtype)
    present = valid & ~np.isnan(numbers) if numbers.dtype.kind == "f" else valid
    values, accepted, fits = _fitted(feature.dtype, numbers)
    unusable = valid & ~(readable & (fits | ~present))
    return ColumnValues(values, present & ~unusable, unusable, accepted)


def _texts(column: pa.Array) -> ColumnValues:
    valid = column.is_valid().to_numpy(zero_copy_only=False)
    nothing = np.zeros(len(column), dtype=np.bool_)
    accepted = "text without NUL"  # clients of some stores truncate at NUL
    if not _is_text(column) and not pa.types.is_integer(column.type):
        return ColumnValues([b""] * len(column), nothing, valid, accepted)
    texts = column.cast(pa.string())
    cut = (
        pc.match_substring(texts, "\0")
        .fill_null(pa.scalar(value=False))
        .to_numpy(zero_copy_only=False)
    )
    contents = texts.cast(pa.binary()).fill_null(b"").to_pylist()
    return ColumnValues(contents, valid & ~cut, cut, accepted)


def _numbers(
    column: pa.Array, dtype: FeatureDtype
) -> tuple[npt.NDArray[Any], npt.NDArray[np.bool_]]:
    """Return the column as numbers, 0 where NULL or unreadable, and a mask of readable rows."""
    readable = np.ones(len(column), dtype=np.bool_)
    kind = column.type
    if pa.types.is_uint64(kind):  # a cast would wrap numbers beyond int64 to negative ones
        numbers = column.fill_null(0).to_numpy(zero_copy_only=False)
        if dtype is not FeatureDtype.INT64:
            return numbers.astype(np.float64), readable
        return numbers.astype(np.int64), numbers < 2**63
    if pa.types.is_boolean(kind) or pa.types.is_integer(kind):
        return column.cast(pa.int64(), safe=False).fill_null(0).to_numpy(), readable
    if pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        return column.cast(pa.float64()).fill_null(0).to_numpy(), readable
    if _is_text(column):
        return _parsed(column, dtype)
    return np.zeros(len(column)), ~readable


def _is_text(column: pa.Array) -> bool:
    return bool(pa.types.is_string(column.type) or pa.types.is_large_string(column.type))


def _parsed(
    column: pa.Array, dtype: FeatureDtype
) -> tuple[npt.NDArray[Any], npt.NDArray[np.bool_]]:
    kind = pa.int64() if dtype is FeatureDtype.INT64 else pa.float64()
    try:
        numbers = pc.cast(column, kind).fill_null(0).to_numpy()
    except pa.ArrowInvalid:
        parsed = [_parse(text, dtype) for text in column.to_pylist()]
        readable = np.array([number is not None for number in parsed], dtype=np.bool_)
        element = np.int64 if dtype is FeatureDtype.INT64 else np.float64
        return np.array([number or 0 for number in parsed], dtype=element), readable
    return numbers, np.ones(len(column), dtype=np.bool_)


def _parse(text: str | None, dtype: FeatureDtype) -> float | None:
    """Return the number written in a text, or None if it is not a number."""
    if text is None:
        return 0  # NULL is absent, not unreadable
    if dtype is FeatureDtype.BOOL and text.lower() in _CLAIMS:
        return _CLAIMS[text.lower()]
    try:
        number = float(text)
        if dtype is not FeatureDtype.INT64:
            return number
        whole = int(text) if text.lstrip("+-").isdecimal() else int(number)
    except (ValueError, OverflowError):
        return None
    is_exact = whole == number or text.lstrip("+-").isdecimal()
    return whole if is_exact and -(2**63) <= whole < 2**63 else None


def _fitted(
    dtype: FeatureDtype, numbers: npt.NDArray[Any]
) -> tuple[npt.NDArray[Any], str, npt.NDArray[np.bool_]]:
    is_float = numbers.dtype.kind == "f"
    match dtype:
        case FeatureDtype.BOOL:
            fits = (numbers == 0) | (numbers == 1)
            accepted = "true, false, 1 or 0"
        case FeatureDtype.INT64:
            fits = _is_whole(numbers) if is_float else np.ones(len(numbers), dtype=np.bool_)
            accepted = "a 64-bit integer"
        case FeatureDtype.FLOAT32:
            fits = np.abs(numbers) <= _LARGEST_FLOAT32
            accepted = "a finite float32 number"
        case _:
            fits = np.isfinite(numbers)
            accepted = "a finite float64 number"
    usable = np.where(fits, numbers, 0)
    element = {"bool": "u1", "int64": "i8", "float32": "f4"}.get(dtype.value, "f8")
    return usable.astype(element), accepted, fits


def _is_whole(numbers: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    whole: npt.NDArray[np.bool_] = (
        np.isfinite(numbers) & (np.abs(numbers) < _INT64_BOUND) & (np.floor(numbers) == numbers)
    )
    return whole
