"""The models of the demo: three classifiers of scikit-learn's breast-cancer data, as artifacts.

569 patients, 30 measurements each. The score is the probability of malignancy, the class that
matters for decisions; in the data set it is class 0 ("malignant"), so labels are inverted here: 1 is
malignant, and the score is column 1 of the output `probabilities`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import yaml
from numpy.typing import NDArray
from sklearn.base import ClassifierMixin
from sklearn.datasets import load_breast_cancer
from sklearn.ensemble import GradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from stack.conversion import PROBABILITIES, convert, converted_scores, write_artifact
from understudy.domain.versions import ScoreOutput
from understudy.provenance.capture import StartedRun, start_run

MODEL = "cancer"
ENTITY = "patient"
VIEW = "patient"
SCORE_OUTPUT = ScoreOutput(PROBABILITIES, 1)
SEED = 20261
KEPT_SHARE = 0.4  # share of the patients for evaluation and traffic, never for training
CONVERSION_TOLERANCE = 1e-4  # float32 against scikit-learn's float64
_GOLDEN_ROWS = 16
_MAX_AGE_S = 400 * 86_400.0


@dataclass(frozen=True, slots=True)
class Patients:
    """Row `i` is patient number `i`."""

    feature_names: tuple[str, ...]
    features: NDArray[np.float32]  # (569, 30)
    is_malignant: NDArray[np.int64]  # (569,)
    training_rows: NDArray[np.int64]  # patient numbers
    kept_rows: NDArray[np.int64]  # patient numbers: evaluation and traffic


@dataclass(frozen=True, slots=True)
class Candidate:
    """A way to train; `part` is its role in the demo."""

    part: str
    describe: str
    build: Callable[[], Any]


CANDIDATES = (
    Candidate(
        "champion",
        "scaled logistic regression",
        lambda: make_pipeline(StandardScaler(), LogisticRegression(random_state=SEED)),
    ),
    Candidate(
        "challenger",
        "gradient boosting, 100 trees",
        lambda: GradientBoostingClassifier(n_estimators=100, random_state=SEED),
    ),
    Candidate(
        "shadow",
        "multilayer perceptron, 16 units",
        lambda: make_pipeline(
            StandardScaler(),
            MLPClassifier(hidden_layer_sizes=(16,), max_iter=1_500, random_state=SEED),
        ),
    ),
)


@dataclass(frozen=True, slots=True)
class Trained:
    """A fitted candidate and its artifact."""

    candidate: Candidate
    model: ClassifierMixin
    artifact: Path  # folder
    run: StartedRun
    original_scores: NDArray[np.float64]  # of the kept patients, by scikit-learn
    converted_scores: NDArray[np.float64]  # the same, by ONNX Runtime

    @property
    def largest_difference(self) -> float:
        return float(np.abs(self.original_scores - self.converted_scores).max())


def load_patients() -> Patients:
    """Return the data and the split, which are the same on every call."""
    source = load_breast_cancer()
    is_malignant = 1 - source.target
    training, kept = train_test_split(
        np.arange(len(is_malignant)),
        test_size=KEPT_SHARE,
        random_state=SEED,
        stratify=is_malignant,
    )
    return Patients(
        feature_names=tuple(name.replace(" ", "_") for name in source.feature_names),
        features=source.data.astype(np.float32),
        is_malignant=is_malignant,
        training_rows=np.sort(training),
        kept_rows=np.sort(kept),
    )


def train(candidate: Candidate, patients: Patients, folder: Path) -> Trained:
    """Fit, convert, compare on the kept rows, and write the artifact to `folder`."""
    run = start_run(builder="understudy demo")
    rows = patients.training_rows
    model = candidate.build().fit(patients.features[rows], patients.is_malignant[rows])
    onnx_bytes = convert(model, width=len(patients.feature_names))
    kept = patients.features[patients.kept_rows]
    write_artifact(folder, onnx_bytes, golden_rows=kept[:_GOLDEN_ROWS])
    return Trained(
        candidate=candidate,
        model=model,
        artifact=folder,
        run=run,
        original_scores=model.predict_proba(kept)[:, 1],
        converted_scores=converted_scores(onnx_bytes, kept),
    )


def write_views(path: Path, patients: Patients) -> None:
    """Write the feature view: 30 float32 features of a patient; the mean is the default."""
    defaults = patients.features[patients.training_rows].mean(axis=0)
    features = [
        {
            "name": name,
            "dtype": "float32",
            "default": round(float(default), 6),
            "max_age_s": _MAX_AGE_S,
        }
        for name, default in zip(patients.feature_names, defaults, strict=True)
    ]
    view = {"name": VIEW, "version": 1, "entity": ENTITY, "features": features}
    path.write_text(yaml.safe_dump({"views": [view]}, sort_keys=False))


def write_features(path: Path, patients: Patients, *, measured_at: datetime) -> None:
    """Write all patients as Parquet: id, event time, a column per feature."""
    count = len(patients.features)
    columns = {
        ENTITY: pa.array([str(number) for number in range(count)]),
        "event_time": pa.array([measured_at] * count, pa.timestamp("ms", tz="UTC")),
        **{
            name: pa.array(patients.features[:, column])
            for column, name in enumerate(patients.feature_names)
        },
    }
    pq.write_table(pa.table(columns), path)
