"""The models of the demo: three classifiers of scikit-learn's breast-cancer data.

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

from understudy.domain.versions import ScoreOutput

MODEL = "cancer"
ENTITY = "patient"
VIEW = "patient"
SCORE_OUTPUT = ScoreOutput("probabilities", 1)
SEED = 20261
KEPT_SHARE = 0.4  # share of the patients for evaluation and traffic, never for training
CONVERSION_TOLERANCE = 1e-4  # float32 against scikit-learn's float64
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


def fit(candidate: Candidate, patients: Patients) -> ClassifierMixin:
    """Return the candidate's model, fitted on the training rows."""
    rows = patients.training_rows
    fitted: ClassifierMixin = candidate.build().fit(
        patients.features[rows], patients.is_malignant[rows]
    )
    return fitted


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
