"""The check of a feature value that comes with a request."""

from math import isfinite
from typing import Final

from understudy.domain.features import FLOAT32_BELOW, FeatureDtype, FeatureScalar

_LEAST: Final = -(2**63)  # no range: it is searched number by number for an IntEnum


def fault_of_value(dtype: FeatureDtype, value: FeatureScalar) -> str | None:
    """Return the accepted values in place of `value`, or None if it is accepted."""
    match dtype:
        case FeatureDtype.STRING:
            return None if isinstance(value, str) else "a string"
        case FeatureDtype.BOOL:
            return None if isinstance(value, bool) else "a boolean"
        case FeatureDtype.INT64:
            return None if _is_int64(value) else "a 64-bit integer"
        case FeatureDtype.FLOAT32 | FeatureDtype.FLOAT64:
            bound = FLOAT32_BELOW if dtype is FeatureDtype.FLOAT32 else float("inf")
            return None if _is_number(value, bound) else f"a finite {dtype.value} number"


def _is_int64(value: FeatureScalar) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and _LEAST <= value < 2**63


def _is_number(value: FeatureScalar, bound: float) -> bool:
    if isinstance(value, bool | str):
        return False
    try:
        return isfinite(value) and abs(value) < bound
    except OverflowError:  # an integer beyond float64
        return False
