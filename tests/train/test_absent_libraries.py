"""A logged model whose library is not installed is refused, with the way around."""

import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from understudy.domain.errors import InvalidInputError
from understudy.train.from_mlflow import _load


def flavour_without_its_library(flavour: str) -> ModuleType:
    """Return a module like MLflow's, which imports the library of a model when it loads one."""

    def load_model(_: str) -> Any:
        raise ModuleNotFoundError(f"No module named {flavour!r}")

    module = ModuleType(f"mlflow.{flavour}")
    module.__dict__["load_model"] = load_model
    return module


@pytest.mark.parametrize(
    ("flavour", "told"), [("pytorch", "mlflow.onnx.log_model"), ("lightgbm", "in this environment")]
)
def test_the_absent_library_of_a_logged_model_is_named_with_a_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, flavour: str, told: str
) -> None:
    for name, module in {
        "mlflow": ModuleType("mlflow"),
        f"mlflow.{flavour}": flavour_without_its_library(flavour),
    }.items():
        monkeypatch.setitem(sys.modules, name, module)

    with pytest.raises(InvalidInputError) as refused:
        _load({flavour: {}}, tmp_path)

    assert f"library of flavour {flavour}" in str(refused.value)
    assert told in str(refused.value)
