"""The layout of a feature set in the tensors of a model."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from understudy.domain.errors import Fault, InvalidInputError
from understudy.domain.features import Feature, FeatureDtype, FeatureRef, FeatureScalar
from understudy.domain.versions import DYNAMIC, TensorSpec
from understudy.features.decisions.feature_columns import shortened
from understudy.features.decisions.input_shares import Share, Shares, share_columns

ARRAY_DTYPES: dict[str, np.dtype[Any]] = {  # by datatype of the Open Inference Protocol
    "FP16": np.dtype("float16"),
    "FP32": np.dtype("float32"),
    "FP64": np.dtype("float64"),
    "INT8": np.dtype("int8"),
    "INT16": np.dtype("int16"),
    "INT32": np.dtype("int32"),
    "INT64": np.dtype("int64"),
    "UINT8": np.dtype("uint8"),
    "UINT16": np.dtype("uint16"),
    "UINT32": np.dtype("uint32"),
    "UINT64": np.dtype("uint64"),
    "BOOL": np.dtype("bool"),
    "BYTES": np.dtype("object"),
}
_ROWS, _MATRIX = 1, 2  # number of dimensions of a tensor of one column, and of several
_NUMBERS = frozenset(FeatureDtype) - {FeatureDtype.STRING}
_FLOATS = frozenset((FeatureDtype.FLOAT32, FeatureDtype.FLOAT64, FeatureDtype.BOOL))
# Feature dtypes all of whose values a datatype can hold; floating point may round them.
_HELD: dict[str, frozenset[FeatureDtype]] = {
    "BYTES": frozenset((FeatureDtype.STRING,)),
    "FP64": _NUMBERS,
    "FP32": _NUMBERS,
    "FP16": _FLOATS,  # it rounds integers from 2049 on
    "INT64": frozenset((FeatureDtype.INT64, FeatureDtype.BOOL)),
}
_ONLY_BOOL = frozenset((FeatureDtype.BOOL,))
_HOLD_ABSENCE = frozenset(("FP16", "FP32", "FP64", "BYTES"))  # as NaN, or as the empty text


@dataclass(frozen=True, slots=True)
class TensorColumns:
    """One input tensor, with its columns as indices into the feature set."""

    datatype: str
    places: tuple[int, ...]
    is_flat: bool  # shape (n,) instead of (n, columns)


def lay_out(
    inputs: Sequence[TensorSpec],
    refs: Sequence[FeatureRef],
    features: Sequence[Feature],
    declared: Sequence[str] = (),
) -> tuple[TensorColumns, ...]:
    """Return the tensors that a model reads over its feature set.

    Args:
        inputs: of the model, in its order.
        refs: the feature set.
        features: one per ref.
        declared: name of the input of each column, "" where none is declared; empty if none is.

    Raises:
        InvalidInputError: the columns do not fit the inputs; all faults are reported.
    """
    if faults := [*_shape_faults(inputs)]:
        raise InvalidInputError(faults)
    shares = share_columns(
        [Share(spec.name, _width(spec), _held(spec.datatype)) for spec in inputs],
        refs,
        [feature.dtype for feature in features],
        declared,
    )
    if not isinstance(shares, Shares):
        raise InvalidInputError(shares)
    if faults := [*_datatype_faults(inputs, shares.places, features)]:
        raise InvalidInputError(faults)
    return tuple(
        TensorColumns(spec.datatype, share, is_flat=len(spec.shape) == _ROWS)
        for spec, share in zip(inputs, shares.places, strict=True)
    )


def values_when_absent(
    tensor: TensorColumns, features: Sequence[Feature]
) -> npt.NDArray[np.generic]:
    """Return the value that replaces an absent one, per column of the tensor.

    Without a default it is NaN, "", or the 0 of `columns_without_absence`.
    """
    dtype = ARRAY_DTYPES[tensor.datatype]
    absent: FeatureScalar = float("nan") if dtype.kind == "f" else "" if dtype.kind == "O" else 0
    values = [features[place].default for place in tensor.places]
    chosen = [absent if value is None else value for value in values]
    with np.errstate(over="ignore"):
        return np.array(
            [value.encode() if isinstance(value, str) else value for value in chosen], dtype=dtype
        )


def columns_without_absence(
    tensors: Sequence[TensorColumns], features: Sequence[Feature]
) -> tuple[int, ...]:
    """Return the columns that have no default and whose datatype cannot say that a value is missing.

    A model would read a missing value there as the number 0, so it is not asked.
    """
    return tuple(
        place
        for tensor in tensors
        if tensor.datatype not in _HOLD_ABSENCE
        for place in tensor.places
        if features[place].default is None
    )


def _width(spec: TensorSpec) -> int | None:
    """Return the number of columns of an input; None if it is open."""
    if len(spec.shape) == _ROWS:
        return 1
    return None if spec.shape[1] == DYNAMIC else spec.shape[1]


def _held(datatype: str) -> frozenset[FeatureDtype]:
    return _HELD.get(datatype, _ONLY_BOOL)


def _shape_faults(inputs: Sequence[TensorSpec]) -> Iterator[Fault]:
    for spec in inputs:
        if len(spec.shape) not in {_ROWS, _MATRIX} or spec.shape[0] != DYNAMIC:
            yield Fault(
                f"model inputs {spec.name!r} shape",
                str(list(spec.shape)),
                "[n, columns] or, for one column, [n], with an open number of rows n",
            )


def _datatype_faults(
    inputs: Sequence[TensorSpec], shares: Sequence[tuple[int, ...]], features: Sequence[Feature]
) -> Iterator[Fault]:
    for spec, share in zip(inputs, shares, strict=True):
        held = _held(spec.datatype)
        unfit: dict[FeatureDtype, list[str]] = {}
        for feature in (features[place] for place in share):
            if feature.dtype not in held:
                unfit.setdefault(feature.dtype, []).append(feature.name)
        for dtype, names in unfit.items():
            yield Fault(
                f"model inputs {spec.name!r} datatype",
                f"{spec.datatype} for {dtype.value} of {shortened(names)}",
                _datatypes_for(dtype),
            )


def _datatypes_for(dtype: FeatureDtype) -> str:
    holding = [name for name in ARRAY_DTYPES if dtype in _held(name)]
    return f"{' or '.join(holding)}: it can hold every {dtype.value}"
