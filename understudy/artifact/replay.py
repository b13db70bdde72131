"""Replay of golden vectors: a model's outputs compared with those that the author observed."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from understudy.artifact.golden import (
    Golden,
    as_input,
    as_strings,
    holds_strings,
    output_field,
    write_golden,
)
from understudy.artifact.onnx_model import open_model
from understudy.artifact.row_by_row import RowByRow, ServableModel
from understudy.artifact.session_options import SessionOptions
from understudy.domain.errors import Fault, InvalidInputError
from understudy.domain.versions import GOLDEN_FILE, MODEL_FILE


def replay(model: ServableModel, golden: Golden) -> dict[str, float]:
    """Run the golden inputs; return the largest absolute difference of each golden output.

    Strings, integers and booleans must be equal, and NaN and infinity must be in the same places.
    The remaining differences are of floating-point numbers, and `tolerance_faults` judges them.

    Raises:
        InvalidInputError: an output differs in another way, or the model cannot compute the inputs.
        OverloadedError: there is not enough memory for the run.
    """
    try:
        arrays = model.run(golden.inputs, model.every_output)
    except InvalidInputError as error:
        raise InvalidInputError(
            [Fault(f"{GOLDEN_FILE} inputs", each.read, each.accepted) for each in error.faults]
        ) from error
    found = dict(zip((spec.name for spec in model.outputs), arrays, strict=True))
    compared = {name: difference(name, found[name], a) for name, a in golden.outputs.items()}
    if faults := [each for each in compared.values() if isinstance(each, Fault)]:
        raise InvalidInputError(faults)
    return {name: each for name, each in compared.items() if isinstance(each, float)}


def tolerance_faults(differences: Mapping[str, float], tolerance: float) -> tuple[Fault, ...]:
    """Return a fault for each output that differs by more than `tolerance`, absolute."""
    return tuple(
        Fault(output_field(name), f"a difference of {largest:.3g}", f"at most {tolerance:g}")
        for name, largest in differences.items()
        if largest > tolerance
    )


def difference(name: str, found: NDArray[Any], expected: NDArray[Any]) -> float | Fault:
    """Return the largest absolute difference of an output, or the fault if there is no tolerance.

    Args:
        name: name of the output.
        found: the output of the model.
        expected: the output in the golden vectors.
    """
    field = output_field(name)
    if found.shape != expected.shape:
        return Fault(field, f"shape {expected.shape}", f"{found.shape}, as returned by the model")
    if holds_strings(found) != holds_strings(expected):
        kinds = ("strings", "numbers") if holds_strings(expected) else ("numbers", "strings")
        return Fault(field, kinds[0], f"{kinds[1]}, as returned by the model")
    if holds_strings(found):
        return _unequal(field, as_strings(found) != as_strings(expected), "strings")
    if found.dtype.kind != "f":
        return _unequal(field, found != expected, "integers or booleans")
    here, there = found.astype(np.float64), expected.astype(np.float64)
    finite = np.isfinite(here) & np.isfinite(there)
    same = (here == there) | (np.isnan(here) & np.isnan(there))
    if odd := int((~finite & ~same).sum()):
        read = f"{odd} of {here.size} values are NaN or infinite only here or only in the model"
        return Fault(field, read, "NaN and infinity in the same places as in the model's answer")
    apart = np.abs(np.where(finite, here, 0.0) - np.where(finite, there, 0.0))
    return float(apart.max(initial=0.0))


def record_golden(
    folder: Path, inputs: Mapping[str, NDArray[Any]], *, joins_rows: bool = True
) -> None:
    """Write golden vectors of the model in `folder`: `inputs` and its outputs for them.

    Args:
        folder: contains model.onnx.
        inputs: values by name of the input.
        joins_rows: False if each row runs alone.

    Raises:
        InvalidInputError: the model cannot be opened, has other inputs, or cannot compute them.
    """
    opened = open_model(folder / MODEL_FILE, SessionOptions())
    model = opened if joins_rows else RowByRow(opened)
    takes = [spec.name for spec in model.inputs]
    if set(takes) != set(inputs):
        raise InvalidInputError.of("inputs", read=sorted(inputs), accepted=f"{takes}, all of them")
    given = [as_input(spec, np.asarray(inputs[spec.name])) for spec in model.inputs]
    answers = model.run(given, model.every_output)
    write_golden(
        folder / GOLDEN_FILE,
        dict(zip(takes, given, strict=True)),
        dict(zip((spec.name for spec in model.outputs), answers, strict=True)),
    )


def _unequal(field: str, wrong: Any, what: str) -> float | Fault:
    count, total = int(np.asarray(wrong).sum()), int(np.asarray(wrong).size)
    read = f"{count} of {total} {what} differ from the model's"
    return Fault(field, read, "equal values; only floating point has a tolerance") if count else 0.0
