"""Conversion of LightGBM and XGBoost by onnxmltools, and of CatBoost by itself."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from understudy.domain.errors import InvalidInputError
from understudy.train.converters.target import (
    INPUT,
    Target,
    absent_package,
    content_of_model,
    refuse_texts,
)
from understudy.train.decisions.kinds import ModelKind

_RANKS = ("objective=lambdarank", "objective=rank_xendcg")


def convert_lightgbm(model: Any, kind: ModelKind, target: Target, model_file: Path) -> None:
    """Write a fitted estimator or booster of LightGBM as ONNX.

    Raises:
        InvalidInputError: onnxmltools is not installed, or does not convert this model.
    """
    refuse_texts(target, "LightGBM")
    onnxmltools, inputs = _onnxmltools("LightGBM", target)
    made = model if kind is not ModelKind.RANKING else _as_regressor(model)
    _write(
        lambda: onnxmltools.convert_lightgbm(made, initial_types=inputs, zipmap=False),
        model_file,
    )


def convert_xgboost(model: Any, kind: ModelKind, target: Target, model_file: Path) -> None:
    """Write a fitted estimator or booster of XGBoost as ONNX.

    Raises:
        InvalidInputError: onnxmltools is not installed, or does not convert this model.
    """
    refuse_texts(target, "XGBoost")
    onnxmltools, inputs = _onnxmltools("XGBoost", target)
    if kind is ModelKind.RANKING:
        model = _as_xgboost_regressor(model)
    booster = model.get_booster() if hasattr(model, "get_booster") else model
    names = booster.feature_names
    booster.feature_names = None  # the converter reads columns by number: f0, f1, …
    try:
        _write(
            lambda: onnxmltools.convert_xgboost(model, initial_types=inputs),
            model_file,
        )
    finally:
        booster.feature_names = names


def convert_catboost(model: Any, target: Target, model_file: Path) -> None:
    """Write a fitted model of CatBoost as ONNX; its ZipMap is taken off later.

    Raises:
        InvalidInputError: the model cannot be exported, e.g. for categories.
    """
    refuse_texts(target, "CatBoost")
    try:
        model.save_model(str(model_file), format="onnx")
    except Exception as error:  # CatBoost raises its own types
        raise _unconvertible(error) from error


def _as_regressor(model: Any) -> Any:
    """Return a booster of the same trees whose answer is their plain sum, as a ranker's is."""
    from lightgbm import Booster  # noqa: PLC0415 - an extra

    booster = getattr(model, "booster_", model)
    text = booster.model_to_string()
    for each in _RANKS:
        text = text.replace(each, "objective=regression")
    return Booster(model_str=text)


def _as_xgboost_regressor(model: Any) -> Any:
    """Return an estimator of the same trees whose answer is their plain sum, as a ranker's is."""
    from xgboost import XGBRegressor  # noqa: PLC0415 - an extra

    booster = model.get_booster() if hasattr(model, "get_booster") else model
    content = json.loads(bytes(booster.save_raw("json")))
    content["learner"]["objective"] = {
        "name": "reg:squarederror",
        "reg_loss_param": {"scale_pos_weight": "1"},
    }
    content["learner"]["attributes"] = {}
    made = XGBRegressor()
    made.load_model(bytearray(json.dumps(content).encode()))
    return made


def _onnxmltools(library: str, target: Target) -> tuple[Any, list[tuple[str, Any]]]:
    try:
        import onnxmltools  # noqa: PLC0415 - an extra, and slow to import
        from onnxmltools.convert.common.data_types import (  # noqa: PLC0415 - as above
            FloatTensorType,
        )
    except ImportError as error:
        raise absent_package(library, "onnxmltools", error) from error
    return onnxmltools, [(INPUT, FloatTensorType([None, target.width]))]


def _write(convert: Callable[[], Any], model_file: Path) -> None:
    try:
        model_file.write_bytes(content_of_model(convert()))
    except Exception as error:  # the converters raise their own types, RuntimeError and others
        raise _unconvertible(error) from error


def _unconvertible(error: Exception) -> InvalidInputError:
    reason = " ".join(str(error).split())[:300]
    return InvalidInputError.of(
        "model",
        read=f"{type(error).__name__}: {reason}",
        accepted="a model that its converter exports to ONNX",
    )
