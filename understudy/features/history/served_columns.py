"""The served values of a score log as one column per feature, in the type in which they were served.

A comparison in a narrower type would call different values equal: float32 cannot tell 0.1 from
0.1 + 1e-9, nor double one integer above 2^53 from the next.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from understudy.domain.errors import InvalidInputError
from understudy.domain.logged_features import FeatureList
from understudy.features.decisions.arrow_columns import plain
from understudy.features.decisions.parity import UNKNOWN, Numbers

_DTYPE_OF: dict[str, np.dtype[Any]] = {
    FeatureList.FLOATS.value: np.dtype(np.float32),
    FeatureList.DOUBLES.value: np.dtype(np.float64),
    FeatureList.INT64S.value: np.dtype(np.int64),
}
_OF_OTHERS: np.dtype[Any] = np.dtype(
    np.float32
)  # a type that the log does not state, or not the same in all rows


@dataclass(frozen=True, slots=True)
class ScoreLog:
    """The location of served vectors: Parquet files and their column names."""

    files: str  # a path or a glob
    key_column: str = "unit_key"
    time_column: str = "at_utc"
    vector_column: str = "features"
    statuses_column: str = "statuses"
    where: str = ""  # SQL condition over the columns of the log, e.g. "version = 3"


def served_columns(
    logged: pa.Table, log: ScoreLog, *, width: int
) -> tuple[list[Numbers], npt.NDArray[np.uint8]]:
    """Return the values, shape (n,) for each of `width` features, and their statuses, shape (n, width).

    Statuses that are absent from the log are PRESENT, those of absent values UNKNOWN.

    Args:
        logged: rows with the columns `vector`, `integers`, `types` (a text, with commas) and `statuses`.
        log: their log, for errors.
        width: the number of features.

    Raises:
        InvalidInputError: a row has another number of values or statuses.
    """
    rows = len(logged)
    vectors = plain(logged["vector"])
    _check_lengths(vectors, log, what="vectors", width=width)
    statuses = plain(logged["statuses"])
    is_given = pc.list_value_length(statuses).fill_null(0).to_numpy() > 0
    given = statuses.filter(pa.array(is_given))
    _check_lengths(given, log, what="statuses", width=width)
    served = vectors.flatten().to_numpy(zero_copy_only=False).reshape(rows, width)
    found = np.zeros((rows, width), dtype=np.uint8)
    found[is_given] = given.flatten().fill_null(UNKNOWN).to_numpy().reshape(-1, width)
    found[vectors.flatten().is_null().to_numpy(zero_copy_only=False).reshape(rows, width)] = UNKNOWN
    dtypes = _dtypes_of(plain(logged["types"]), width)
    columns = [as_served(served[:, place], dtype) for place, dtype in enumerate(dtypes)]
    if np.dtype(np.int64) in dtypes:  # of rows that all state their types
        integers = plain(logged["integers"]).flatten().fill_null(0).to_numpy().reshape(rows, width)
        for place, dtype in enumerate(dtypes):
            if dtype == np.int64:
                columns[place] = integers[:, place]
    return columns, found


def as_served(column: npt.NDArray[np.generic], dtype: np.dtype[Any]) -> Numbers:
    """Return `column` in the type in which a feature is served.

    A column of fractions is not cut to integers: both sides are compared as doubles then.
    """
    if dtype.kind == "i" and column.dtype.kind == "f":
        dtype = np.dtype(np.float64)
    with np.errstate(over="ignore"):
        found: Numbers = column.astype(dtype)
    return found


def _dtypes_of(types: pa.Array, width: int) -> list[np.dtype[Any]]:
    stated = types.unique().to_pylist()
    if not stated or None in stated:
        return [_OF_OTHERS] * width
    by_place = [{row.split(",")[place] for row in stated} for place in range(width)]
    found: list[np.dtype[Any]] = []
    for names in by_place:
        dtype = _DTYPE_OF.get(names.pop()) if len(names) == 1 else None
        found.append(_OF_OTHERS if dtype is None else dtype)
    return found


def _check_lengths(lists: pa.Array, log: ScoreLog, *, what: str, width: int) -> None:
    lengths = set(pc.list_value_length(lists).to_pylist())
    if not lengths <= {width}:
        read = f"{what} of {sorted(lengths)} values"
        raise InvalidInputError.of(log.files, read=read, accepted=f"{width}, as the feature set")
