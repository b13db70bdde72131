"""Content digests of data in memory: equal values have equal digests on every machine."""

from hashlib import sha256
from typing import Any

import numpy as np
from numpy.typing import NDArray


def content_of(*data: Any) -> str:
    """Return `sha256:<hex>` over arrays and tables, in the given order.

    Args:
        data: numpy arrays (or lists of them), pandas objects, pyarrow tables. The digest covers
            dtype, shape, column names and values, but not the index of pandas objects.
    """
    running = sha256()
    for each in data:
        for name, array in _columns(each):
            _update(running, name, array)
    return f"sha256:{running.hexdigest()}"


def _columns(data: Any) -> list[tuple[str, NDArray[Any]]]:
    if hasattr(data, "schema") and hasattr(data, "column_names"):  # pyarrow.Table
        return [(name, _plain(data.column(name).to_numpy())) for name in data.column_names]
    if hasattr(data, "columns") and hasattr(data, "to_numpy"):  # pandas.DataFrame
        return [(str(name), _plain(data[name].to_numpy())) for name in data.columns]
    if hasattr(data, "to_numpy"):  # pandas.Series, pyarrow.Array
        return [("", _plain(data.to_numpy()))]
    return [("", _plain(np.asarray(data)))]


def _plain(array: NDArray[Any]) -> NDArray[Any]:
    """Return the array in a fixed byte order and layout."""
    little = array.dtype.newbyteorder("<")
    return np.ascontiguousarray(array, dtype=little)


def _update(running: Any, name: str, array: NDArray[Any]) -> None:
    head = f"{name}\0{array.dtype.str}\0{array.shape}\0".encode()
    running.update(len(head).to_bytes(8, "little") + head)
    if array.dtype.kind != "O":
        running.update(array.tobytes())
        return
    for value in array.ravel():
        text = f"{type(value).__name__}:{value}".encode()
        running.update(len(text).to_bytes(8, "little") + text)
