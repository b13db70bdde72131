"""The provenance records of the demo's versions, captured from facts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stack.conversion import GOLDEN_TOLERANCE
from stack.training import CONVERSION_TOLERANCE, KEPT_SHARE, SEED, Patients, Trained
from understudy.control.identity import default_actor
from understudy.domain.features import FeatureView
from understudy.domain.margins import Margins, Measure
from understudy.provenance.capture import (
    CodeFacts,
    EvaluationFacts,
    capture_provenance,
    compare_with_champion,
    conversion_facts,
    dataset_facts,
)
from understudy.provenance.code_facts import InstalledCode
from understudy.provenance.estimator_facts import parameter_facts, seed_facts
from understudy.provenance.metrics import classifier_metrics
from understudy.runtime.distribution import SERVING

THRESHOLD = 0.5
MARGINS = Margins.of_sizes(Measure.AUC, {Measure.AUC: 0.02, Measure.BRIER: 0.01})  # of the verdict
_SOURCE = "https://archive.ics.uci.edu/dataset/17/breast+cancer+wisconsin+diagnostic"
_LICENCE = "CC BY 4.0 (UCI Machine Learning Repository, data set 17)"
_LABEL = "1: the biopsy of the mass was malignant; 0: benign"
# The samples were collected from 1984 on; the data set was donated in November 1995.
_WINDOW = (datetime(1984, 1, 1, tzinfo=UTC), datetime(1995, 11, 1, tzinfo=UTC))
_REVALIDATE_AFTER = timedelta(days=365)
_CODE = InstalledCode(SERVING, ("stack", "understudy"))
# The demo has one person at the keyboard; the second pair of eyes is played.
APPROVER = "demo-reviewer"


@dataclass(frozen=True, slots=True)
class Champion:
    """The version that later versions are compared with."""

    ref: str  # e.g. cancer@1
    auc: float


def complete_record(
    trained: Trained,
    patients: Patients,
    *,
    view: FeatureView,
    lockfile: Path,
    champion: Champion | None,
    today: date,
) -> dict[str, Any]:
    """Return the complete record of `trained`; `champion` is None for the first version."""
    training = _dataset("training patients", patients, patients.training_rows)
    evaluation = _dataset("kept patients", patients, patients.kept_rows)
    metrics = _metrics(trained, patients, dataset=evaluation["content"])
    return capture_provenance(
        artifact_dir=trained.artifact,
        parameters=parameter_facts(trained.model),
        seeds=seed_facts(trained.model, {"split": SEED}),
        run=trained.run,
        training=training,
        evaluation=evaluation,
        split={
            "method": "stratified",
            "seed": SEED,
            "description": f"{KEPT_SHARE:.0%} of the patients kept, stratified by diagnosis",
        },
        feature_set=[f"{view}:{feature.name}" for feature in view.features],
        views=[view],
        facts=EvaluationFacts(
            metrics=metrics,
            threshold=THRESHOLD,
            comparison=None
            if champion is None
            else compare_with_champion(champion.ref, metrics[0], champion.auc),
        ),
        conversion=conversion_facts(
            trained.original_scores, trained.converted_scores, tolerance=CONVERSION_TOLERANCE
        ),
        code=CodeFacts(Path(__file__).parent, "stack.demo", _CODE),
        people={
            "owner": "demo",
            "author": default_actor(),
            "contact": default_actor(),
            "approver": APPROVER,
        },
        policy={
            "intended_use": "Demonstrates Understudy; not for decisions about patients",
            "decision_threshold": THRESHOLD,
            "fallback_score": float(patients.is_malignant[patients.training_rows].mean()),
            "revalidate_by": today + _REVALIDATE_AFTER,
            "licence": _LICENCE,
        },
        golden_tolerance=GOLDEN_TOLERANCE,
        lockfile=lockfile,
    )


def without_fields(record: Mapping[str, Any], paths: Sequence[str]) -> dict[str, Any]:
    """Return a copy of `record` that lacks the fields at `paths`, e.g. "data.training.content"."""
    copy = dict(record)
    for path in paths:
        group, _, rest = path.partition(".")
        if rest:
            copy[group] = without_fields(copy[group], [rest])
        else:
            del copy[group]
    return copy


def auc_of(record: Mapping[str, Any]) -> float:
    """Return the area under the ROC curve stated in `record`."""
    values = {metric["name"]: metric["value"] for metric in record["evaluation"]["metrics"]}
    return float(values["auc"])


def write_lockfile(path: Path) -> None:
    """Write name and version of every installed distribution: the actual environment."""
    pins = {f"{each.metadata['Name']}=={each.version}" for each in distributions()}
    path.write_text("\n".join(sorted(pins, key=str.lower)) + "\n")


def _dataset(name: str, patients: Patients, rows: NDArray[np.int64]) -> dict[str, Any]:
    return dataset_facts(
        name,
        uri=_SOURCE,
        arrays=(patients.features[rows], patients.is_malignant[rows]),
        rows=len(rows),
        window=_WINDOW,
        label=_LABEL,
        labels_matured_at=_WINDOW[1],
    )


def _metrics(trained: Trained, patients: Patients, *, dataset: str) -> list[dict[str, Any]]:
    return classifier_metrics(
        patients.is_malignant[patients.kept_rows],
        trained.converted_scores,
        dataset=dataset,
        threshold=THRESHOLD,
        seed=SEED,
    )
