"""Sample rows to run a model on."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from understudy.artifact.signature import DTYPE_OF, Arrays
from understudy.domain.versions import DYNAMIC, TensorSpec


def blank_inputs(inputs: Sequence[TensorSpec]) -> Arrays:
    """Return one row of zeros and "" for each input; a dynamic dimension has size 1."""
    return [_blank(spec) for spec in inputs]


def with_rows(sample: Arrays, rows: int) -> Arrays:
    """Return `sample` with its rows repeated or cut to `rows`."""
    return [np.ascontiguousarray(np.take(a, np.arange(rows) % len(a), axis=0)) for a in sample]


def _blank(spec: TensorSpec) -> NDArray[Any]:
    shape = [1 if size == DYNAMIC else size for size in spec.shape]
    if spec.datatype == "BYTES":
        return np.full(shape, "", dtype=np.object_)
    return np.zeros(shape, dtype=DTYPE_OF[spec.datatype])
