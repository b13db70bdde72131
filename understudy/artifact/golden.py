"""Golden vectors: inputs with the outputs that the author observed, in `golden.npz`.

The format is documented in docs/reference/artifact.md.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from understudy.artifact.npz import StoredArrays, read_arrays
from understudy.artifact.signature import DTYPE_OF, Arrays, has_row_axis
from understudy.domain.errors import Fault, InvalidInputError
from understudy.domain.versions import DYNAMIC, GOLDEN_FILE, TensorSpec

_INPUT, _OUTPUT = "in:", "out:"
_NUMBERS, _STRINGS = "biuf", "US"  # kinds of numpy dtypes that golden vectors may have


@dataclass(frozen=True, slots=True)
class Golden:
    inputs: Arrays  # in the model's order and datatypes
    outputs: Mapping[str, NDArray[Any]]  # at least one of the model's, by name

    @property
    def rows(self) -> int:
        """The number of rows of the first input; a scalar counts as one."""
        return int(self.inputs[0].shape[0]) if self.inputs[0].ndim else 1


def read_golden(path: Path, inputs: Sequence[TensorSpec], outputs: Sequence[TensorSpec]) -> Golden:
    """Return the vectors in the .npz file at `path`, for a model with this signature.

    Raises:
        InvalidInputError: the file cannot be read, or arrays do not fit; all of them are named.
    """
    wanted = {f"{_INPUT}{spec.name}" for spec in inputs}
    stored = read_arrays(path, lambda name: name in wanted or name.startswith(_OUTPUT))
    faults = [*_name_faults(stored, inputs, outputs)]
    if faults:
        raise InvalidInputError(faults)
    taken = []
    for spec in inputs:
        try:
            taken.append(as_input(spec, stored.arrays[f"{_INPUT}{spec.name}"]))
        except InvalidInputError as error:
            faults += error.faults
    seen = {
        name.removeprefix(_OUTPUT): array
        for name, array in stored.arrays.items()
        if name.startswith(_OUTPUT)
    }
    faults += _output_faults(seen)
    if not faults:
        faults += _row_faults(inputs, taken)
    if faults:
        raise InvalidInputError(faults)
    return Golden(taken, seen)


def write_golden(
    path: Path, inputs: Mapping[str, NDArray[Any]], outputs: Mapping[str, NDArray[Any]]
) -> None:
    """Write a file for `read_golden`; strings may be in object arrays."""
    arrays = {f"{_INPUT}{name}": _storable(array) for name, array in inputs.items()}
    arrays |= {f"{_OUTPUT}{name}": _storable(array) for name, array in outputs.items()}
    np.savez(path, **arrays)  # type: ignore[arg-type] # stub wants bool


def as_input(spec: TensorSpec, array: NDArray[Any]) -> NDArray[Any]:
    """Return `array` in the datatype and shape that the model takes.

    Numbers may have another type that holds the same values; floating-point numbers are rounded,
    like those of features.

    Raises:
        InvalidInputError: strings for numbers or numbers for strings, values that the datatype
            cannot hold, or another shape.
    """
    field = f"{GOLDEN_FILE} {_INPUT}{spec.name}"
    if spec.shape and not _fits(spec.shape, array.shape):
        accepted = f"{spec.shape}, where {DYNAMIC} stands for any size"
        raise InvalidInputError([Fault(field, f"shape {array.shape}", accepted)])
    taken = _strings_of(array) if spec.datatype == "BYTES" else _numbers_of(array, spec.datatype)
    if isinstance(taken, str):
        raise InvalidInputError([Fault(field, taken, spec.datatype)])
    return taken


def output_field(name: str) -> str:
    """Return the field name for faults of an output of the golden vectors."""
    return f"{GOLDEN_FILE} output {name!r}"


def holds_strings(array: NDArray[Any]) -> bool:
    return array.dtype.kind in f"{_STRINGS}O"


def as_strings(array: NDArray[Any]) -> NDArray[np.object_]:
    """Return strings in any numpy dtype as an array of str."""
    return (np.char.decode(array, "utf-8") if array.dtype.kind == "S" else array).astype(np.object_)


def _strings_of(array: NDArray[Any]) -> NDArray[Any] | str:
    """Return the strings, or a description of other content."""
    if not holds_strings(array):
        return array.dtype.name
    if array.dtype.kind == "O" and not all(isinstance(each, str) for each in array.flat):
        return "objects"
    try:
        return as_strings(array)
    except UnicodeDecodeError:
        return "bytes that are not UTF-8"


def _numbers_of(array: NDArray[Any], datatype: str) -> NDArray[Any] | str:
    """Return the numbers as `datatype`, or a description of other content."""
    if array.dtype.kind not in _NUMBERS:
        return "strings" if holds_strings(array) else array.dtype.name
    with np.errstate(over="ignore", invalid="ignore"):
        cast = np.asarray(array, dtype=DTYPE_OF[datatype], order="C")
    rounds = cast.dtype.kind == "f"
    lost = np.isinf(cast) & np.isfinite(array) if rounds else cast != array
    if lost.any():
        return f"{array.dtype.name} with {int(lost.sum())} values that {datatype} cannot hold"
    return cast


def _name_faults(
    stored: StoredArrays, inputs: Sequence[TensorSpec], outputs: Sequence[TensorSpec]
) -> Iterator[Fault]:
    takes = [spec.name for spec in inputs]
    gives = [spec.name for spec in outputs]
    given = {name.removeprefix(_INPUT) for name in stored.arrays if name.startswith(_INPUT)}
    seen = {name.removeprefix(_OUTPUT) for name in stored.arrays if name.startswith(_OUTPUT)}
    if not given.issuperset(takes) or not seen:
        accepted = "in:NAME for each input, and out:NAME for at least one output"
        yield Fault(GOLDEN_FILE, f"arrays {list(stored.names)}", accepted)
    # Otherwise the author would not notice that such an output proves nothing.
    for name in sorted(seen.difference(gives)):
        yield Fault(output_field(name), "no such output", str(gives))


def _output_faults(outputs: Mapping[str, NDArray[Any]]) -> Iterator[Fault]:
    for name, array in outputs.items():
        if array.dtype.kind not in f"{_NUMBERS}{_STRINGS}":
            yield Fault(output_field(name), array.dtype.name, "numbers or strings")
        elif holds_strings(array) and isinstance(why := _strings_of(array), str):
            yield Fault(output_field(name), why, "strings in UTF-8")


def _row_faults(specs: Sequence[TensorSpec], arrays: Arrays) -> Iterator[Fault]:
    if any(array.shape[:1] == (0,) for array in arrays):
        yield Fault(GOLDEN_FILE, "inputs of 0 rows", "1 row or more")
    elif has_row_axis(tuple(specs)) and len({len(array) for array in arrays}) > 1:
        rows = {spec.name: len(array) for spec, array in zip(specs, arrays, strict=True)}
        yield Fault(GOLDEN_FILE, f"inputs of {rows} rows", "as many rows in each input")


def _fits(takes: tuple[int, ...], shape: tuple[int, ...]) -> bool:
    return len(takes) == len(shape) and all(
        size in (DYNAMIC, found) for size, found in zip(takes, shape, strict=True)
    )


def _storable(array: NDArray[Any]) -> NDArray[Any]:
    return array.astype(np.str_) if array.dtype.kind == "O" else array
