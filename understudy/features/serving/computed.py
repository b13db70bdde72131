"""Computed features of a batch: expressions over stored and request-time features."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from understudy.domain.features import (
    FLOAT32_BELOW,
    FeatureDtype,
    FeatureRef,
    FeatureView,
    ViewKind,
)
from understudy.features.decisions.expressions import NOW, Column, Expression, compile_expression
from understudy.features.decisions.feature_columns import FeatureColumn, columns_of
from understudy.features.serving.functions import deployed_functions


@dataclass(frozen=True, slots=True, eq=False)
class ComputedFeature:
    """One column to compute."""

    place: int  # index in the feature set
    dtype: FeatureDtype
    expression: Expression
    inputs: tuple[tuple[str, int], ...]  # name in the expression, index among the inputs


def compile_computed(
    columns: Sequence[FeatureColumn], views: Sequence[FeatureView]
) -> tuple[list[ComputedFeature], list[FeatureRef]]:
    """Return the computed features among `columns`, and the features that they read.

    Raises:
        InvalidInputError: an expression does not compile, or reads a feature that does not exist.
    """
    features: list[ComputedFeature] = []
    read: dict[FeatureRef, int] = {}
    for place, column in enumerate(columns):
        if column.view.kind is not ViewKind.COMPUTED:
            continue
        expression = compile_expression(
            column.feature.expression, functions=deployed_functions(), field=str(column.ref)
        )
        refs = [
            (name, FeatureRef.parse(text, f"{column.view}.inputs.{name}"))
            for name, text in column.view.inputs
            if name in expression.names
        ]
        columns_of(
            list(dict.fromkeys(ref for _, ref in refs)), views
        )  # raises with the missing names
        inputs = tuple((name, read.setdefault(ref, len(read))) for name, ref in refs)
        features.append(ComputedFeature(place, column.feature.dtype, expression, inputs))
    return features, list(read)


def compute(
    feature: ComputedFeature, inputs: npt.NDArray[np.float64], *, now_s: npt.ArrayLike
) -> Column:
    """Return the values per row, float64; NaN if there is none, or the dtype cannot hold it.

    Args:
        feature: the feature to compute.
        inputs: shape (n, inputs), NaN where missing.
        now_s: UTC seconds since 1970, one time or one per row.
    """
    columns: dict[str, Column] = {name: inputs[:, place] for name, place in feature.inputs}
    columns[NOW] = np.asarray(now_s, dtype=np.float64)
    values = feature.expression.evaluate(columns, len(inputs))
    match feature.dtype:
        case FeatureDtype.FLOAT32:
            return np.where(np.abs(values) < FLOAT32_BELOW, values, np.nan)
        case FeatureDtype.BOOL:
            return np.where(np.isnan(values), np.nan, (values != 0).astype(np.float64))
        case FeatureDtype.INT64:
            return np.where(np.abs(values) < 2.0**63, np.trunc(values), np.nan)
        case _:
            return values
