"""Numbers written as text: one grammar, so that the result never depends on neighbouring values."""

import re
from decimal import Decimal, InvalidOperation

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from understudy.domain.features import FeatureDtype

# ASCII digits, a point, an exponent. Python also reads `1_000` and digits of other scripts, Arrow
# also `0x1A`; a typing error must not become a number.
_NUMBER = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?")
_LONGEST_NUMBER = 400
_MOST_DIGITS = 19  # of an int64
# Arrow, for a whole column, and the rule for a single value read text of these forms alike.
_PLAIN_INTEGERS = "^-?[0-9]{1,18}$"
_PLAIN_NUMBERS = r"^-?[0-9]{1,30}(\.[0-9]{1,30})?([eE][+-]?[0-9]{1,2})?$"
_CLAIMS = {"true": 1, "false": 0}

Numbers = tuple[npt.NDArray[np.generic], npt.NDArray[np.bool_]]


def numbers_of_texts(column: pa.Array, dtype: FeatureDtype) -> Numbers:
    """Return the numbers in texts, 0 where NULL or unreadable, and a mask of readable rows."""
    is_whole = dtype is FeatureDtype.INT64
    form = _PLAIN_INTEGERS if is_whole else _PLAIN_NUMBERS
    if pc.all(pc.match_substring_regex(column, form), min_count=0).as_py():
        numbers = column.cast(pa.int64() if is_whole else pa.float64())
        return numbers.fill_null(0).to_numpy(), np.ones(len(column), dtype=np.bool_)
    parsed = [0 if text is None else number_of(text, dtype) for text in column.to_pylist()]
    readable = np.array([number is not None for number in parsed], dtype=np.bool_)
    element = np.int64 if is_whole else np.float64
    return np.array([number or 0 for number in parsed], dtype=element), readable


def number_of(text: str, dtype: FeatureDtype) -> float | None:
    """Return the number written in a text, or None; an int64 is exact or None."""
    text = text.strip(" ")
    if dtype is FeatureDtype.BOOL and text.lower() in _CLAIMS:
        return _CLAIMS[text.lower()]
    if len(text) > _LONGEST_NUMBER or not _NUMBER.fullmatch(text):
        return float("nan") if dtype is not FeatureDtype.INT64 and text.lower() == "nan" else None
    return exact_int64(text) if dtype is FeatureDtype.INT64 else float(text)


def exact_int64(value: str | Decimal) -> int | None:
    """Return the 64-bit integer that equals `value`, or None."""
    try:
        number = Decimal(value)
    except InvalidOperation:  # an exponent beyond all bounds
        return None
    if not number.is_finite() or number.adjusted() >= _MOST_DIGITS:
        return None  # before int(): 1e999999 has a million digits
    if number != number.to_integral_value():
        return None
    whole = int(number)
    return whole if -(2**63) <= whole < 2**63 else None
