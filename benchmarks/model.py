"""The model and the features for measuring the request path, created once and kept."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import yaml
from numpy.typing import NDArray
from sklearn.datasets import make_classification
from sklearn.ensemble import GradientBoostingClassifier

from benchmarks.conversion import convert, write_artifact

MODEL = "bench"
VIEW = "bench_features"
ENTITY = "user"
ENTITIES = 2_000
TREES = 100


@dataclass(frozen=True, slots=True)
class BenchFiles:
    """The files written by `make_files`."""

    views: Path
    features: Path  # Parquet: entity_id, event_time, a column per feature
    artifacts: tuple[Path, ...]  # folders, one per version
    feature_names: tuple[str, ...]


def make_files(folder: Path, *, width: int, versions: int) -> BenchFiles:
    """Write views, features and gradient-boosting models of 100 trees below `folder`."""
    names = tuple(f"f{index:03d}" for index in range(width))
    features, labels = make_classification(
        n_samples=ENTITIES, n_features=width, n_informative=width // 5, random_state=7
    )
    rows = features.astype(np.float32)
    files = BenchFiles(
        views=folder / "views.yaml",
        features=folder / "features.parquet",
        artifacts=tuple(folder / f"version-{number + 1}" for number in range(versions)),
        feature_names=names,
    )
    folder.mkdir(parents=True, exist_ok=True)
    files.views.write_text(yaml.safe_dump(_views(names)))
    _write_features(files.features, rows, names)
    for number, artifact in enumerate(files.artifacts):
        if not artifact.exists():
            _train(artifact, rows, labels, seed=number)
    return files


def _views(names: tuple[str, ...]) -> dict[str, object]:
    features = [{"name": name, "dtype": "float32", "default": 0.0} for name in names]
    return {"views": [{"name": VIEW, "version": 1, "entity": ENTITY, "features": features}]}


def _write_features(path: Path, rows: NDArray[np.float32], names: tuple[str, ...]) -> None:
    count = len(rows)
    event_time = pa.array(np.full(count, "2026-01-01T00:00:00", dtype="datetime64[ms]"))
    columns = {
        "entity_id": pa.array([f"u{index}" for index in range(count)]),
        "event_time": event_time,
        **{name: pa.array(rows[:, index]) for index, name in enumerate(names)},
    }
    pq.write_table(pa.table(columns), path)


def _train(folder: Path, rows: NDArray[np.float32], labels: NDArray[np.int64], seed: int) -> None:
    model = GradientBoostingClassifier(n_estimators=TREES, max_depth=3, random_state=seed)
    model.fit(rows, labels)
    write_artifact(folder, convert(model, width=rows.shape[1]), golden_rows=rows[:32])
