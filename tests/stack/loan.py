"""Versions of a model that read different entities and request-time features, made for tests.

loan@1  user
loan@2  user, merchant
loan@3  merchant, user: the same in another order
loan@4  user, and two features that only requests supply
"""

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from sklearn.linear_model import LogisticRegression

from stack.conversion import GOLDEN_TOLERANCE, PROBABILITIES, convert, converted_scores
from stack.conversion import write_artifact as write_converted
from understudy.control.client import NewVersion
from understudy.domain.features import FeatureRef
from understudy.domain.versions import ScoreOutput
from understudy.features.decisions.record_format import pack_record, record_format
from understudy.features.stores import open_writer
from understudy.features.views import load_views, views_of
from understudy.provenance.capture import (
    CodeFacts,
    EvaluationFacts,
    capture_provenance,
    compare_with_champion,
    conversion_facts,
    dataset_facts,
    start_run,
)
from understudy.provenance.code_facts import InstalledCode
from understudy.provenance.estimator_facts import parameter_facts, seed_facts
from understudy.provenance.metrics import classifier_metrics
from understudy.runtime.distribution import SERVING

MODEL = "loan"
AUTHOR = "ada@lab"
USER = ("user@1:a", "user@1:b")
FEATURE_SETS = {
    1: USER,
    2: (*USER, "merchant@1:m"),
    3: ("merchant@1:m", *USER),
    4: (*USER, "basket@1:amount", "basket@1:serial"),
}
_VIEWS = {
    "views": [
        {
            "name": "user",
            "version": 1,
            "entity": "user",
            "features": [{"name": name, "dtype": "float32", "default": 0} for name in "ab"],
        },
        {
            "name": "merchant",
            "version": 1,
            "entity": "merchant",
            "features": [{"name": "m", "dtype": "float32", "default": 0}],
        },
        {
            "name": "basket",
            "version": 1,
            "kind": "request",
            "features": [
                {"name": "amount", "dtype": "float64", "default": 0},
                {"name": "serial", "dtype": "int64", "default": 0},
            ],
        },
    ]
}
_TRAINED_ON, _ROWS = 250, 400
_WINDOW = (datetime(2025, 1, 1, tzinfo=UTC), datetime(2026, 1, 1, tzinfo=UTC))


@dataclass(frozen=True, slots=True)
class Loan:
    """The folder with everything about the model."""

    folder: Path

    def load_features(self, store_url: str) -> None:
        """Write a record for users u0 to u9 and merchants m0 to m9."""
        views = {view.name: view for view in self._views()}
        writer = open_writer(store_url)
        at_ms = round(datetime.now(UTC).timestamp() * 1000)
        for name, values in (("user", {"a": 0.5, "b": 0.25}), ("merchant", {"m": 1.5})):
            packed = pack_record(record_format(views[name]), values, event_time_ms=at_ms)
            writer.write(
                views[name], [(f"{name[0]}{index}", packed) for index in range(10)], mark=None
            )
        writer.close_now()

    def version(self, number: int, *, champion: str | None = None) -> NewVersion:
        """Train, convert and describe a version; `champion`: that of the time, if there is one."""
        refs = FEATURE_SETS[number]
        random = np.random.default_rng(number)
        x = random.normal(size=(_ROWS, len(refs))).astype(np.float32)
        is_integer = [ref.endswith(":serial") for ref in refs]
        x[:, is_integer] = np.round(x[:, is_integer])
        y = (x.sum(axis=1) + random.normal(size=_ROWS) / 2 > 0).astype(np.int64)
        artifact = self.folder / f"loan-{number}"
        record = self._record(number, artifact, x, y, champion)
        return NewVersion(
            model=MODEL,
            artifact_dir=artifact,
            provenance_json=json.dumps(record, default=str),
            views=views_of([FeatureRef.parse(ref) for ref in refs], self._views()),
            score_output=ScoreOutput(PROBABILITIES, 1),
            reason="a test",
        )

    def _views(self) -> Any:
        file = self.folder / "views.yaml"
        self.folder.mkdir(parents=True, exist_ok=True)
        file.write_text(yaml.safe_dump(_VIEWS))
        return load_views(file)

    def _record(
        self, number: int, artifact: Path, x: Any, y: Any, champion: str | None
    ) -> dict[str, Any]:
        run = start_run(builder="pytest")
        model = LogisticRegression().fit(x[:_TRAINED_ON], y[:_TRAINED_ON])
        onnx = convert(model, width=x.shape[1])
        write_converted(artifact, onnx, golden_rows=x[:8])
        lockfile = self.folder / "environment.lock"
        lockfile.write_text("numpy==2\n")
        kept = slice(_TRAINED_ON, _ROWS)
        scores = converted_scores(onnx, x[kept])
        training = _dataset("train", x[:_TRAINED_ON], y[:_TRAINED_ON])
        evaluation = _dataset("kept", x[kept], y[kept])
        metrics = classifier_metrics(
            y[kept], scores, dataset=evaluation["content"], threshold=0.5, seed=1
        )
        refs = FEATURE_SETS[number]
        return capture_provenance(
            artifact_dir=artifact,
            parameters=parameter_facts(model),
            seeds=seed_facts(model, {"split": number}),
            run=run,
            training=training,
            evaluation=evaluation,
            split={"method": "random", "seed": number, "description": "the last rows are kept"},
            feature_set=list(refs),
            views=list(views_of([FeatureRef.parse(ref) for ref in refs], self._views())),
            facts=EvaluationFacts(
                metrics,
                0.5,
                compare_with_champion(champion, metrics[0], 0.9) if champion is not None else None,
            ),
            conversion=conversion_facts(model.predict_proba(x[kept])[:, 1], scores, tolerance=1e-4),
            code=CodeFacts(
                self.folder, "tests.stack.loan", InstalledCode(SERVING, ("understudy.domain",))
            ),
            people={
                "owner": "risk team",
                "author": AUTHOR,
                "contact": "risk@example.org",
                "approver": "grace@lab",
            },
            policy={
                "intended_use": "tests only",
                "decision_threshold": 0.5,
                "fallback_score": 0.5,
                "revalidate_by": (datetime.now(UTC) + timedelta(days=300)).date(),
                "licence": "Apache-2.0",
            },
            golden_tolerance=GOLDEN_TOLERANCE,
            lockfile=lockfile,
        )


def _dataset(name: str, x: Any, y: Any) -> dict[str, Any]:
    return dataset_facts(
        name,
        uri=f"memory:{name}",
        arrays=(x, y),
        rows=len(x),
        window=_WINDOW,
        label="paid back within 90 days",
        labels_matured_at=_WINDOW[1],
    )
