"""Conversion of scikit-learn's estimators and pipelines, by skl2onnx."""

from pathlib import Path
from typing import Any

from understudy.domain.errors import InvalidInputError
from understudy.domain.features import FeatureDtype
from understudy.provenance.forests import mend_missing
from understudy.train.converters.target import (
    INPUT,
    OPSETS,
    Target,
    absent_package,
    content_of_model,
)


def convert(model: Any, target: Target, model_file: Path) -> None:
    """Write a fitted estimator as ONNX, without ZipMap, its trees mended for missing values.

    Raises:
        InvalidInputError: skl2onnx is not installed, or does not convert this estimator.
    """
    try:
        from skl2onnx import to_onnx  # noqa: PLC0415 - an extra, and slow to import
        from skl2onnx.common.data_types import (  # noqa: PLC0415 - as above
            FloatTensorType,
            Int64TensorType,
            StringTensorType,
        )
    except ImportError as error:
        raise absent_package("scikit-learn", "skl2onnx", error) from error
    if target.by_name:
        types = {FeatureDtype.STRING: StringTensorType, FeatureDtype.INT64: Int64TensorType}
        inputs = [
            (each.name, types.get(each.dtype, FloatTensorType)([None, 1]))
            for each in target.features
        ]
    else:
        inputs = [(INPUT, FloatTensorType([None, target.width]))]
    options = {"zipmap": False} if hasattr(model, "predict_proba") else None
    try:
        made = to_onnx(model, initial_types=inputs, target_opset=OPSETS, options=options)
    except Exception as error:  # the converter raises its own types, RuntimeError and many others
        reason = " ".join(str(error).split())[:300]
        raise InvalidInputError.of(
            "model", read=f"{type(error).__name__}: {reason}", accepted="one that skl2onnx converts"
        ) from error
    model_file.write_bytes(content_of_model(made))
    _mend(model, model_file)


def _mend(model: Any, model_file: Path) -> None:
    last = model.steps[-1][1] if hasattr(model, "steps") else model
    trees = getattr(last, "estimators_", [last])
    if all(hasattr(each, "tree_") for each in list(trees)):
        mend_missing(model_file, last)
