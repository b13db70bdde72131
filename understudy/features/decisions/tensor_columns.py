"""The layout of a feature set in the tensors of a model."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from understudy.domain.errors import Fault, InvalidInputError
from understudy.domain.features import Feature, FeatureDtype, FeatureRef, FeatureScalar
from understudy.domain.versions import TensorSpec
from understudy.features.decisions.feature_columns import column_names

ARRAY_DTYPES: dict[str, np.dtype[Any]] = {  # by datatype of the Open Inference Protocol
    "FP32": np.dtype("float32"),
    "FP64": np.dtype("float64"),
    "INT64": np.dtype("int64"),
    "INT32": np.dtype("int32"),
    "BOOL": np.dtype("bool"),
    "BYTES": np.dtype("object"),
}
_MATRIX_RANK = 2


@dataclass(frozen=True, slots=True)
class TensorColumns:
    """One input tensor, with its columns as indices into the feature set."""

    datatype: str
    places: tuple[int, ...]
    is_flat: bool  # shape (n,) instead of (n, columns)


def lay_out(
    inputs: Sequence[TensorSpec], refs: Sequence[FeatureRef], features: Sequence[Feature]
) -> tuple[TensorColumns, ...]:
    """Return the tensors that a model reads over its feature set.

    A single input takes all columns. Several inputs take the columns of their own names if each
    is named like a feature; otherwise each takes the next columns, as many as its last dimension.

    Raises:
        InvalidInputError: the columns do not fit the inputs; all faults are reported.
    """
    names = column_names(refs)
    by_name = {name: (place,) for place, name in enumerate(names)}
    if len(inputs) == 1:
        shares: list[tuple[int, ...]] = [tuple(range(len(refs)))]
    elif all(spec.name in by_name for spec in inputs):
        shares = [by_name[spec.name] for spec in inputs]
    else:
        shares = _in_turn(inputs)
    if faults := [
        *_share_faults(inputs, shares, len(refs)),
        *_datatype_faults(inputs, shares, features),
    ]:
        raise InvalidInputError(faults)
    return tuple(
        TensorColumns(spec.datatype, share, is_flat=len(spec.shape) == 1)
        for spec, share in zip(inputs, shares, strict=True)
    )


def values_when_absent(
    tensor: TensorColumns, features: Sequence[Feature]
) -> npt.NDArray[np.generic]:
    """Return the value that replaces an absent one, per column of the tensor."""
    dtype = ARRAY_DTYPES[tensor.datatype]
    absent: FeatureScalar = float("nan") if dtype.kind == "f" else "" if dtype.kind == "O" else 0
    values = [features[place].default for place in tensor.places]
    chosen = [absent if value is None else value for value in values]
    return np.array(
        [value.encode() if isinstance(value, str) else value for value in chosen], dtype=dtype
    )


def _in_turn(inputs: Sequence[TensorSpec]) -> list[tuple[int, ...]]:
    shares: list[tuple[int, ...]] = []
    start = 0
    for spec in inputs:
        width = spec.shape[-1] if len(spec.shape) == _MATRIX_RANK and spec.shape[-1] > 0 else 1
        shares.append(tuple(range(start, start + width)))
        start += width
    return shares


def _share_faults(
    inputs: Sequence[TensorSpec], shares: Sequence[tuple[int, ...]], width: int
) -> Iterator[Fault]:
    used = sorted(place for share in shares for place in share)
    if used != list(range(width)):
        yield Fault(
            "feature_set",
            f"{width} features for inputs of {len(used)} columns",
            "each feature in one column of one input",
        )
    for spec, share in zip(inputs, shares, strict=True):
        declared = spec.shape[-1] if len(spec.shape) == _MATRIX_RANK else -1
        if len(spec.shape) > _MATRIX_RANK or declared not in {-1, len(share)}:
            yield Fault(
                f"inputs.{spec.name}.shape",
                f"{list(spec.shape)} for {len(share)} features",
                f"[-1, {len(share)}]",
            )


def _datatype_faults(
    inputs: Sequence[TensorSpec], shares: Sequence[tuple[int, ...]], features: Sequence[Feature]
) -> Iterator[Fault]:
    for spec, share in zip(inputs, shares, strict=True):
        if spec.datatype not in ARRAY_DTYPES:
            yield Fault(
                f"inputs.{spec.name}.datatype", spec.datatype, f"one of {', '.join(ARRAY_DTYPES)}"
            )
            continue
        for feature in (features[place] for place in share if place < len(features)):
            if not _fits(feature.dtype, spec.datatype):
                yield Fault(
                    f"inputs.{spec.name}.datatype",
                    f"{spec.datatype} for feature {feature.name} of {feature.dtype.value}",
                    "BYTES for string, FP32 or FP64 for numbers, INT64 for int64 and bool",
                )


def _fits(dtype: FeatureDtype, datatype: str) -> bool:
    """Return whether `datatype` can hold every value of `dtype`; float64 may lose digits."""
    if datatype == "BYTES":
        return dtype is FeatureDtype.STRING
    if datatype in {"FP32", "FP64"}:
        return dtype is not FeatureDtype.STRING
    if datatype == "INT64":
        return dtype in {FeatureDtype.INT64, FeatureDtype.BOOL}
    return dtype is FeatureDtype.BOOL  # an int64 could overflow in INT32
