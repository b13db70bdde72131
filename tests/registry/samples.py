"""A small real model with complete provenance, in which tests change one thing."""

import json
from copy import deepcopy
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import numpy as np
import onnxruntime
from skl2onnx import to_onnx
from sklearn.linear_model import LogisticRegression

from understudy.control.uploads import NewVersion
from understudy.domain.features import Feature, FeatureDtype, FeatureView
from understudy.domain.versions import ScoreOutput
from understudy.provenance.capture import (
    CodeFacts,
    EvaluationFacts,
    capture_provenance,
    conversion_facts,
    dataset_facts,
    start_run,
    write_golden,
)
from understudy.provenance.code_facts import InstalledCode
from understudy.provenance.estimator_facts import parameter_facts, seed_facts
from understudy.provenance.metrics import classifier_metrics
from understudy.runtime.distribution import SERVING

ACTOR = "ada@lab"
WIDTH = 3
REVALIDATE_BY = datetime.now(UTC).date() + timedelta(days=900)
VIEW = FeatureView(
    name="patient",
    version=1,
    entity="patient",
    features=tuple(Feature(f"f{i}", FeatureDtype.FLOAT32, default=0.0) for i in range(WIDTH)),
)
FEATURE_SET = [f"patient@1:f{i}" for i in range(WIDTH)]
SCORE = ScoreOutput("probabilities", 1)


@dataclass(frozen=True)
class Trained:
    artifact_dir: Path
    record: dict[str, Any]


@cache
def trained(seed: int = 7) -> Trained:
    """Train, convert and describe one model; once per seed and test session."""
    directory = Path(mkdtemp(prefix="understudy-sample-"))
    run = start_run("pytest")
    random = np.random.default_rng(seed)
    x = random.normal(size=(400, WIDTH)).astype(np.float32)
    y = (x.sum(axis=1) + random.normal(size=400) > 0).astype(np.int64)
    model = LogisticRegression(random_state=seed).fit(x[:300], y[:300])
    converted = to_onnx(model, x[:1], options={id(model): {"zipmap": False}}, target_opset=18)
    (directory / "model.onnx").write_bytes(converted.SerializeToString())
    golden = x[300:308].copy()
    golden[-1, 0] = np.nan
    write_golden(directory, {"X": golden})
    session = onnxruntime.InferenceSession(converted.SerializeToString())
    scores = session.run(["probabilities"], {"X": x[300:]})[0][:, 1]
    window = (datetime(2025, 1, 1, tzinfo=UTC), datetime(2025, 7, 1, tzinfo=UTC))
    label: dict[str, Any] = {
        "label": "bought within 30 days",
        "labels_matured_at": datetime(2025, 8, 1, tzinfo=UTC),
    }
    training = dataset_facts(
        "train", uri="memory:train", arrays=(x[:300], y[:300]), rows=300, window=window, **label
    )
    evaluation = dataset_facts(
        "kept", uri="memory:kept", arrays=(x[300:], y[300:]), rows=100, window=window, **label
    )
    metrics = classifier_metrics(
        y[300:], scores, dataset=evaluation["content"], threshold=0.5, seed=1
    )
    lockfile = directory.parent / f"{directory.name}.lock"
    lockfile.write_text("numpy==2\n")
    record = capture_provenance(
        artifact_dir=directory,
        parameters=parameter_facts(model),
        seeds=seed_facts(model, {"split": seed}),
        run=run,
        training=training,
        evaluation=evaluation,
        split={"method": "random", "seed": seed, "description": "the last hundred rows are kept"},
        feature_set=FEATURE_SET,
        views=[VIEW],
        facts=EvaluationFacts(metrics, 0.5),
        conversion=conversion_facts(model.predict_proba(x[300:])[:, 1], scores, tolerance=1e-5),
        code=CodeFacts(
            directory, "tests.registry.samples", InstalledCode(SERVING, ("understudy.domain",))
        ),
        people={
            "owner": "risk team",
            "author": ACTOR,
            "contact": "risk@example.org",
            "approver": "grace@lab",
        },
        policy={
            "intended_use": "tests only",
            "decision_threshold": 0.5,
            "fallback_score": 0.5,
            "revalidate_by": REVALIDATE_BY.isoformat(),
            "licence": "Apache-2.0",
        },
        golden_tolerance=1e-5,
        lockfile=lockfile,
    )
    return Trained(directory, record)


def new_version(record: dict[str, Any] | None = None, **changes: Any) -> NewVersion:
    """Return a registration that passes the gate, except for `changes`."""
    sample = trained()
    values: dict[str, Any] = {
        "model": "fraud",
        "artifact_dir": sample.artifact_dir,
        "provenance_json": json.dumps(sample.record if record is None else record),
        "views": (VIEW,),
        "score_output": SCORE,
        "reason": "a test",
    }
    return NewVersion(**{**values, **changes})


def record_with(path: str, value: Any) -> dict[str, Any]:
    """Return the complete record with the field at `path` (dots) replaced."""
    record = deepcopy(trained().record)
    *parents, last = path.split(".")
    place: Any = record
    for step in parents:
        place = place[int(step)] if isinstance(place, list) else place[step]
    place[int(last) if isinstance(place, list) else last] = value
    return record
