"""Arrow arrays of the values of several batches."""

from collections.abc import Callable, Iterable, Sequence
from itertools import chain
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

BatchT = TypeVar("BatchT")


def texts(values: Iterable[str]) -> Any:
    return pa.array(list(values), pa.string())


def per_batch(
    batches: Sequence[BatchT], rows: NDArray[np.int64], value: Callable[[BatchT], int]
) -> Any:
    """Return the value of each batch for each of its rows."""
    return pa.array(np.repeat(np.array([value(b) for b in batches], np.uint32), rows))


def repeated_texts(values: Sequence[str | None], rows: NDArray[np.int64]) -> Any:
    """Return the text of each batch for each of its rows."""
    if len(set(values)) == 1:  # the batches of a slice rarely differ in such a text
        return pa.repeat(pa.scalar(values[0], pa.string()), int(rows.sum()))
    repeated = ([each] * count for each, count in zip(values, rows.tolist(), strict=True))
    return pa.array(list(chain.from_iterable(repeated)), pa.string())


def optional_texts(columns: Sequence[Sequence[str] | None], rows: NDArray[np.int64]) -> Any:
    """Return the texts of all batches; null for "", and in batches without any."""
    if all(column is None for column in columns):
        return pa.nulls(int(rows.sum()), pa.string())
    return pa.array(
        [
            value or None
            for column, count in zip(columns, rows.tolist(), strict=True)
            for value in (column if column is not None else [None] * count)
        ],
        pa.string(),
    )


def times(at_us: NDArray[np.int64]) -> Any:
    # A view, not a cast: casting imports pyarrow.compute, 30 ms under the interpreter lock.
    return pa.array(at_us.astype(np.int64, copy=False)).view(pa.timestamp("us"))
