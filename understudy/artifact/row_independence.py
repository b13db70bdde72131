"""The check that a model answers each row independently. Pure: the caller runs the model.

The router joins rows of different callers into one run, so a model whose answer to a row depends
on the other rows would reveal one caller's data to another.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from understudy.artifact.signature import Arrays

Run = Callable[[Arrays], Arrays | None]  # None: the model cannot compute these values

INDEPENDENT_ROWS = (
    "one row per input row, equal to its result alone, because the router joins rows of different "
    "callers; or artifact.joins_rows: false, and each row runs alone"
)

_MOST_GIVEN_ROWS = 4
# From changes that stay in range to changes that cross tree splits; relative, and absolute at 0.
_SHIFTS = (0.01, -0.03, 0.1, -0.3, 1.0, -2.0)
_RELATIVE_TOLERANCE = 1e-3  # a different number of rows may be summed in another order
_HALF_PRECISION_TOLERANCE = 1e-2
_SMALLEST_SCALE = 1e-2  # 1 - p for p near 1 has the rounding error of 1
_ROWS_ON_A_TIE = 1  # whose label may flip with the last bit of a sum
# Rows of other callers may have any size: a scale taken from all rows leaves nothing of small ones.
_COMPANY = (1e3, 1e6, -1e6, float("nan"))
# Operators that take one scale from the whole tensor, also those that ONNX Runtime fuses.
_SCALED_BY_ALL_ROWS = frozenset(
    (
        "DynamicQuantizeLinear",
        "DynamicQuantizeMatMul",
        "DynamicQuantizeLSTM",
        "MatMulIntegerToFloat",
    )
)


def mixed_rows(run: Run, sample: Arrays) -> str:
    """Describe how rows depend on the rows run with them; empty if they do not.

    Rows derived from `sample` run one by one, and together in several orders. A row that the model
    cannot compute alone is left out.

    Args:
        run: returns the model's outputs for inputs in the order of `sample`.
        sample: one array per input, of at least one row that the model can compute.
    """
    rows = distinct_rows(sample)
    kept: list[int] = []
    answers: list[Arrays] = []
    for row in range(len(rows[0]) if rows else 0):
        alone = run([array[row : row + 1] for array in rows])
        if alone is None:
            continue
        kept.append(row)
        answers.append(alone)
    if not kept:
        return ""
    for outputs in zip(*answers, strict=True):
        shapes = {output.shape for output in outputs}
        if len(shapes) > 1 or outputs[0].shape[:1] != (1,):
            return f"outputs of shape {sorted(shapes)} for one row"
    expected = [np.concatenate(outputs) for outputs in zip(*answers, strict=True)]
    known = [array[kept] for array in rows]
    return next(
        (why for order in _orders(len(kept)) if (why := _seen(run, known, expected, order))),
        "",
    ) or next((why for size in _COMPANY if (why := _beside(run, known, expected, size))), "")


def named_cause(operators: Iterable[str]) -> str:
    """Return a clause that names the operators that are known to mix rows; "" if there is none."""
    found = sorted(_SCALED_BY_ALL_ROWS & set(operators))
    return f": {', '.join(found)} takes one scale from all rows" if found else ""


def distinct_rows(sample: Arrays) -> list[NDArray[Any]]:
    """Return the first rows of `sample`, then copies of them in which every number differs."""
    if not sample:
        return []
    given = min(_MOST_GIVEN_ROWS, *(len(array) for array in sample))
    if given == 0:
        return []
    copies = [
        [_changed(_row(array, number % given), number) for number in range(len(_SHIFTS))]
        for array in sample
    ]
    return [
        np.ascontiguousarray(np.concatenate([array[:given], np.stack(changed)]))
        for array, changed in zip(sample, copies, strict=True)
    ]


def _row(array: NDArray[Any], number: int) -> NDArray[Any]:
    """Return a row as an array; the row of an array of one dimension would be a scalar."""
    return array[number : number + 1].reshape(array.shape[1:])


def _changed(values: NDArray[Any], number: int) -> NDArray[Any]:
    """Return copy `number` of `values`.

    Strings, integers and booleans may be categories of which the model knows only a few, so some
    copies keep them: these run where the others are left out.
    """
    match values.dtype.kind:
        case "f":
            shift = _SHIFTS[number]
            wide = values.astype(np.float64)
            with np.errstate(over="ignore", invalid="ignore"):
                moved = np.where(np.isnan(wide), shift, wide + shift * (1 + np.abs(wide)))
                return moved.astype(values.dtype)
        case "b":
            return np.asarray(values != (number % 2 == 1))
        case "i" | "u" if number % 2 == 1:
            top, step = np.iinfo(values.dtype).max, values.dtype.type(number)
            with np.errstate(over="ignore"):  # of the side that is not chosen
                return np.asarray(np.where(values > top - step, values - step, values + step))
        case "O" if number % 4 > 1:
            texts = [f"{text}~{number}" if isinstance(text, str) else text for text in values.flat]
            other = np.empty(values.size, dtype=np.object_)
            other[:] = texts
            return other.reshape(values.shape)
        case _:
            return values


def _orders(rows: int) -> Iterator[NDArray[np.intp]]:
    if rows == 1:
        yield np.zeros(3, np.intp)
        return
    forward = np.arange(rows)
    yield forward
    yield forward[::-1]
    yield np.concatenate([forward[1::2], forward[::2]])


def _seen(run: Run, rows: Arrays, expected: Arrays, order: NDArray[np.intp]) -> str:
    together = run([np.ascontiguousarray(array[order]) for array in rows])
    if together is None:
        return f"{len(order)} rows fail together, but none of them alone"
    for found, alone in zip(together, expected, strict=True):
        wanted = alone[order]
        if found.shape != wanted.shape:
            return f"an output of shape {found.shape} for {len(order)} rows, {alone.shape[1:]} each"
        if wrong := rows_apart(found, wanted):
            return f"{wrong} of {len(order)} rows have other answers than alone"
    return ""


def _beside(run: Run, rows: Arrays, expected: Arrays, size: float) -> str:
    """Describe how rows depend on company of another size; "" if they do not."""
    others = [_scaled(array, size) for array in rows]
    if all(array is other for array, other in zip(rows, others, strict=True)):
        return ""
    joined = [np.concatenate([array, other]) for array, other in zip(rows, others, strict=True)]
    together = run(joined)
    if together is None:  # the company itself may be beyond what the model computes
        return ""
    count = len(rows[0])
    for found, alone in zip(together, expected, strict=True):
        wanted = alone[:count]
        if len(found) == 2 * count and (wrong := rows_apart(found[:count], wanted)):
            company = "missing values" if np.isnan(size) else f"values {abs(size):g} times as large"
            return f"{wrong} of {count} rows have other answers beside rows with {company}"
    return ""


def _scaled(array: NDArray[Any], size: float) -> NDArray[Any]:
    """Return floating-point rows of another size; others as they are: they may be categories."""
    if array.dtype.kind != "f":
        return array
    with np.errstate(over="ignore", invalid="ignore"):
        return (array.astype(np.float64) * size).astype(array.dtype)


def rows_apart(found: NDArray[Any], wanted: NDArray[Any]) -> int:
    """Return the number of rows in which the two, of one shape, differ by more than rounding."""
    here, there = (array.reshape(len(array), -1) for array in (found, wanted))
    if wanted.dtype.kind != "f":
        wrong = int((here != there).any(axis=1).sum())
        return wrong if wrong > _ROWS_ON_A_TIE else 0
    half = wanted.dtype == np.float16
    here, there = here.astype(np.float64), there.astype(np.float64)
    # The median, so that one huge answer does not inflate the tolerance of the others; over all
    # columns, because rows far from the training data push one of two probabilities to zero.
    usual = np.median(np.where(np.isfinite(there), np.abs(there), 0.0))
    scale = np.maximum(np.maximum(np.abs(there), usual), _SMALLEST_SCALE)
    tolerance = (_HALF_PRECISION_TOLERANCE if half else _RELATIVE_TOLERANCE) * scale
    with np.errstate(invalid="ignore"):
        near = np.isfinite(there) & (np.abs(here - there) <= tolerance)
    same = near | (here == there) | (np.isnan(here) & np.isnan(there))
    return int((~same).any(axis=1).sum())
