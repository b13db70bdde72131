"""An author's trainings with every library that the environment has; run by tests as a program.

    python -m tests.train.exporters.author register REPOSITORY REGISTRY
    python -m tests.train.exporters.author export REPOSITORY FOLDER

`register` registers a version of each model and prints one JSON line per model: its name, rows by
feature (null for a missing value), and the library's own scores of these rows. `export` writes the
files in tests/train/exports instead: each model as ONNX, and rows with the library's own scores.
"""

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.util import find_spec
from math import isnan
from pathlib import Path
from shutil import copy
from typing import Any

import numpy as np

from tests.train.repository import describe
from understudy import train

EXPORTS = Path(__file__).parents[1] / "exports"
NUMBERS = ("a", "b", "c", "d")
_ROWS, _TRAINED, _SHOWN = 600, 450, 6
_GROUP = 15  # rows of a query


@dataclass(frozen=True)
class Training:
    """A model of one library: fitted to rows and labels, and asked for its own scores."""

    library: str
    fit: Callable[[Any, Any], Any]
    own_scores: Callable[[Any, Any], Any]
    labels: str = "binary"
    features: tuple[str, ...] = NUMBERS
    wishes: dict[str, Any] = field(default_factory=dict)


def of_class_one(model: Any, x: Any) -> Any:
    return model.predict_proba(x)[:, 1]


def of_class_two(model: Any, x: Any) -> Any:
    return model.predict_proba(x)[:, 2]


def predicted(model: Any, x: Any) -> Any:
    return model.predict(x)


def trainings() -> dict[str, Training]:
    """Return the trainings by the name of their model."""
    several: dict[str, Any] = {"labels": "classes", "wishes": {"score_class": 2}}
    every: dict[str, Training] = {
        "lightgbm_binary": Training("lightgbm", _lightgbm("LGBMClassifier"), of_class_one),
        "lightgbm_classes": Training(
            "lightgbm", _lightgbm("LGBMClassifier"), of_class_two, **several
        ),
        "lightgbm_amount": Training("lightgbm", _lightgbm("LGBMRegressor"), predicted, "amount"),
        "lightgbm_rank": Training("lightgbm", _lightgbm("LGBMRanker"), predicted, "relevance"),
        "xgboost_binary": Training("xgboost", _xgboost("XGBClassifier"), of_class_one),
        "xgboost_amount": Training("xgboost", _xgboost("XGBRegressor"), predicted, "amount"),
        "xgboost_rank": Training("xgboost", _xgboost("XGBRanker"), predicted, "relevance"),
        "catboost_binary": Training("catboost", _catboost("CatBoostClassifier"), of_class_one),
        "catboost_amount": Training(
            "catboost", _catboost("CatBoostRegressor"), predicted, "amount"
        ),
        "sklearn_texts": Training(
            "sklearn", _pipeline, of_class_one, features=("a", "b", "plan-of-user")
        ),
        "torch_binary": Training(
            "torch",
            _network,
            _network_scores,
            wishes={
                "kind": "binary",
                "parameters": {"epochs": 20, "units": 8},
                "inputs": {"x_num": NUMBERS[:3], "x_fill": NUMBERS[3:]},
            },
        ),
    }
    return {name: each for name, each in every.items() if find_spec(each.library) is not None}


def brought() -> dict[str, Training]:
    """Return the trainings of files that an author brings from where the library is."""
    network = Training(
        "torch",
        lambda _x, _y: EXPORTS / "torch_binary.onnx",
        lambda _, x: _scores_of_network(x),
        wishes={
            "kind": "binary",
            "parameters": {"epochs": 20, "units": 8},
            "inputs": {"x_num": NUMBERS[:3], "x_fill": NUMBERS[3:]},
            "predict": _forward,
        },
    )
    return {"torch_brought": network}


def rows_and_labels(of: Training) -> tuple[Any, Any, Any]:
    """Return rows, labels, and the query of each row."""
    import pandas as pd

    random = np.random.default_rng(11)
    x = random.normal(size=(_ROWS, len(NUMBERS))).astype(np.float32)
    signal = x.sum(axis=1) + random.normal(size=_ROWS) / 2
    if of.library not in {"sklearn", "torch"}:
        x[random.random(x.shape) < 0.1] = np.nan
    labels = {
        "binary": (signal > 0).astype(np.int64),
        "classes": np.digitize(signal, [-1, 1]),
        "relevance": np.digitize(signal, [-1, 1]),
        "amount": signal * 100,
    }
    queries = np.repeat(np.arange(_ROWS // _GROUP), _GROUP)
    if of.library != "sklearn":
        return x, labels[of.labels], queries
    plans = random.choice(["01", "gold", "silver"], _ROWS)
    frame = pd.DataFrame({"a": x[:, 0], "b": x[:, 1], "plan-of-user": plans})
    return frame, ((x[:, 0] > 0) ^ (plans == "gold")).astype(np.int64), queries


def register(name: str, of: Training, repository: Path, registry: str) -> dict[str, Any]:
    """Train and register a model; return the line to print."""
    x, y, queries = rows_and_labels(of)
    columns = [f"user@1:{each}" for each in of.features]
    places: dict[str, Any] = {
        "directory": repository,
        "entry_point": "author",
        "registry": registry,
    }
    with train.start_run(name, features=columns, seeds={"rows": 11}, **places) as run:
        model = of.fit(x[:_TRAINED], y[:_TRAINED])
        kept = x[_TRAINED:]
        describe(run, (x[:_TRAINED], y[:_TRAINED]), (kept, y[_TRAINED:]))
        run.model(model, **of.wishes)
        threshold = 0.5 if of.labels == "binary" else None
        run.evaluate(threshold=threshold, queries=queries[_TRAINED:])
        run.policy(intended_use="tests only", decision_threshold=0.5, fallback_score=0.5)
        version = run.register(reason="a test")
    shown = kept[:_SHOWN]
    values = np.asarray(shown).tolist()
    rows = [
        {key: _or_none(value) for key, value in zip(of.features, row, strict=True)}
        for row in values
    ]
    scores = np.asarray(of.own_scores(model, shown), np.float64).tolist()
    return {"model": name, "version": version.number, "rows": rows, "scores": scores}


def export(name: str, of: Training, repository: Path, folder: Path) -> None:
    """Train and convert a model; write NAME.onnx and NAME.npz."""
    x, y, _ = rows_and_labels(of)
    columns = [f"user@1:{each}" for each in of.features]
    with train.start_run(name, features=columns, directory=repository) as run:
        model = of.fit(x[:_TRAINED], y[:_TRAINED])
        kept = x[_TRAINED:]
        describe(run, (x[:_TRAINED], y[:_TRAINED]), (kept, y[_TRAINED:]))
        run.model(model, **of.wishes)
        copy(run.artifact_dir / "model.onnx", folder / f"{name}.onnx")
    scores = np.asarray(of.own_scores(model, kept), np.float64)
    np.savez_compressed(folder / f"{name}.npz", x=np.asarray(kept).astype(np.str_), scores=scores)


def _or_none(value: Any) -> Any:
    return None if isinstance(value, float) and isnan(value) else value


def _lightgbm(name: str) -> Callable[[Any, Any], Any]:
    def fit(x: Any, y: Any) -> Any:
        import lightgbm

        model = getattr(lightgbm, name)(n_estimators=20, random_state=1, verbose=-1, n_jobs=1)
        return model.fit(x, y, **_groups(name, len(x)))

    return fit


def _xgboost(name: str) -> Callable[[Any, Any], Any]:
    def fit(x: Any, y: Any) -> Any:
        import xgboost

        model = getattr(xgboost, name)(n_estimators=20, random_state=1, n_jobs=1)
        return model.fit(x, y, **_groups(name, len(x)))

    return fit


def _catboost(name: str) -> Callable[[Any, Any], Any]:
    def fit(x: Any, y: Any) -> Any:
        import catboost

        options = {"verbose": 0, "allow_writing_files": False, "thread_count": 1}
        return getattr(catboost, name)(iterations=20, random_seed=1, **options).fit(x, y)

    return fit


def _groups(name: str, rows: int) -> dict[str, Any]:
    return {"group": [_GROUP] * (rows // _GROUP)} if name.endswith("Ranker") else {}


def _pipeline(x: Any, y: Any) -> Any:
    from sklearn.compose import ColumnTransformer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    encoder = ColumnTransformer(
        [
            ("numbers", StandardScaler(), ["a", "b"]),
            ("texts", OneHotEncoder(handle_unknown="ignore"), ["plan-of-user"]),
        ]
    )
    return make_pipeline(encoder, LogisticRegression(random_state=1)).fit(x, y)


def _scores_of_network(x: Any) -> Any:
    """Return the scores that PyTorch gave to these rows when the network was exported."""
    with np.load(EXPORTS / "torch_binary.npz") as stored:
        known = {
            tuple(row): score for row, score in zip(stored["x"], stored["scores"], strict=True)
        }
    return np.array([known[tuple(row)] for row in np.asarray(x).astype(np.str_)])


def _forward(x: Any) -> Any:
    """Return the network's scores of any rows, by its weights."""
    import onnx
    from onnx.numpy_helper import to_array

    graph = onnx.load(EXPORTS / "torch_binary.onnx").graph
    weights = {each.name: to_array(each).astype(np.float64) for each in graph.initializer}
    hidden = np.maximum(x @ weights["layers.0.weight"].T + weights["layers.0.bias"], 0)
    logits = hidden @ weights["layers.3.weight"].T + weights["layers.3.bias"]
    with np.errstate(over="ignore"):
        return (1 / (1 + np.exp(-logits)))[:, 0]


def _network(x: Any, y: Any) -> Any:
    import torch

    class Tabular(torch.nn.Module):  # type: ignore[misc] # torch is not in the environment of mypy
        def __init__(self) -> None:
            super().__init__()
            self.layers = torch.nn.Sequential(
                torch.nn.Linear(4, 8), torch.nn.ReLU(), torch.nn.Dropout(0.1), torch.nn.Linear(8, 1)
            )

        def forward(self, x_num: Any, x_fill: Any) -> Any:
            joined = torch.cat([x_num, x_fill], dim=1)
            return torch.sigmoid(self.layers(joined)).squeeze(1)

    torch.manual_seed(1)
    network = Tabular()
    steps = torch.optim.Adam(network.parameters(), lr=0.05)
    wanted = torch.as_tensor(y, dtype=torch.float32)
    inputs = torch.as_tensor(x[:, :3]), torch.as_tensor(x[:, 3:])
    for _ in range(20):
        steps.zero_grad()
        torch.nn.functional.binary_cross_entropy(network(*inputs), wanted).backward()
        steps.step()
    return network


def _network_scores(network: Any, x: Any) -> Any:
    import torch

    network.eval()
    with torch.no_grad():
        return network(torch.as_tensor(x[:, :3]), torch.as_tensor(x[:, 3:])).numpy()


def main(verb: str, repository: str, target: str) -> None:
    if verb == "export":
        for name, of in trainings().items():
            export(name, of, Path(repository), Path(target))
        return
    for name, of in {**trainings(), **brought()}.items():
        print(json.dumps(register(name, of, Path(repository), target)), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
