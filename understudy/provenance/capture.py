"""Capture of a provenance record from facts, so that the honest record is the easy one.

    run = start_run(builder="nightly training")
    training = dataset_facts("2025 claims", uri="s3://…", arrays=(x, y), rows=len(x), …)
    …fit, convert…
    write_golden(artifact_dir, {"X": x_kept[:16]})
    record = capture_provenance(artifact_dir=artifact_dir, parameters=parameter_facts(model), …)
    Path("provenance.json").write_text(json.dumps(record))

Unknown facts are left empty and reported by the gate; nothing is invented.
"""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
from numpy.typing import NDArray

from understudy.domain.features import FeatureView
from understudy.domain.versions import MODEL_FILE
from understudy.provenance.artifact_facts import artifact_facts, feature_facts
from understudy.provenance.code_facts import InstalledCode, code_source
from understudy.provenance.content import content_of
from understudy.provenance.environment_facts import environment_facts
from understudy.provenance.producer import UNNAMED
from understudy.provenance.record import FROM_SCRATCH, SCHEMA_VERSION


@dataclass(frozen=True, slots=True)
class StartedRun:
    id: str
    builder: str
    started_at: datetime  # UTC
    source: Mapping[str, Any] | None = None  # the code at that time; None: looked up at the end


@dataclass(frozen=True, slots=True)
class CodeFacts:
    """The places to look for the training code.

    `directory` is tried as a git checkout first; if it is not a clean checkout, `installed`
    identifies the code by the digest of its files instead (see `code_source`).
    """

    directory: Path
    entry_point: str  # module or script, e.g. "stack.demo"
    installed: InstalledCode | None = None


@dataclass(frozen=True, slots=True)
class EvaluationFacts:
    metrics: Sequence[Mapping[str, Any]]  # see `classifier_metrics`
    threshold: float | None  # None: no metric depends on one, as for regressors and rankers
    comparison: Mapping[str, Any] | None = None  # None: there is no champion yet


def start_run(
    builder: str, run_id: str | None = None, *, code: CodeFacts | None = None
) -> StartedRun:
    """Record the start of a training.

    Args:
        builder: orchestrator or builder identity.
        run_id: an id by which the run can be found; a new one by default.
        code: where to find the training code. Given here, its state is that of the start, so that
            files that the run itself writes into the checkout do not make it dirty.
    """
    source = None if code is None else code_source(code.directory, code.installed)
    return StartedRun(run_id or str(uuid4()), builder, datetime.now(UTC), source)


def dataset_facts(
    name: str,
    *,
    uri: str,
    arrays: Sequence[Any],
    rows: int,
    window: tuple[datetime, datetime],
    label: str,
    labels_matured_at: datetime,
) -> dict[str, Any]:
    """Return a dataset of the `data` group; its content is hashed here.

    Args:
        name: a name for people.
        uri: the location of the data.
        arrays: the data as read: arrays, data frames or tables.
        rows: number of rows.
        window: UTC bounds [from, to) that contain every event; wider than necessary is honest.
        label: the meaning of the label.
        labels_matured_at: UTC; labels known at that time were used.
    """
    return {
        "name": name,
        "uri": uri,
        "content": content_of(*arrays),
        "rows": rows,
        "window": {"from": _utc(window[0]), "to": _utc(window[1])},
        "label": {"definition": label, "matured_at": _utc(labels_matured_at)},
    }


def conversion_facts(
    original: NDArray[Any], converted: NDArray[Any], *, tolerance: float
) -> dict[str, Any]:
    """Return the conversion's parity: largest absolute difference of scores, shape (n,) each."""
    difference = np.abs(np.asarray(original, np.float64) - np.asarray(converted, np.float64))
    return {
        "rows": int(difference.size),
        "max_abs_difference": float(difference.max(initial=0.0)),
        "tolerance": tolerance,
    }


def compare_with_champion(
    champion: str, metric: Mapping[str, Any], champion_value: float
) -> dict[str, Any]:
    """Return `evaluation.comparison`, with both values measured on the data that `metric` names."""
    return {
        "champion": champion,
        "metric": metric["name"],
        "champion_value": champion_value,
        "difference": metric["value"] - champion_value,
        "dataset": metric["dataset"],
    }


def producer_of(model_file: Path) -> dict[str, str]:
    """Return `producer` and `producer_version` as a model names them, for `environment_facts`."""
    import onnx  # noqa: PLC0415 - callers that register no model need not have it

    model = onnx.load(model_file, load_external_data=False)
    return {
        "producer": model.producer_name or UNNAMED,
        "producer_version": model.producer_version or UNNAMED,
    }


def write_golden(
    artifact_dir: Path, inputs: Mapping[str, NDArray[Any]], *, joins_rows: bool = True
) -> None:
    """Write golden.npz: `inputs`, and the answers of the model in `artifact_dir`.

    Args:
        artifact_dir: contains model.onnx.
        inputs: values by name of the input.
        joins_rows: False if an answer may depend on the other rows of a run: each runs alone.

    Raises:
        InvalidInputError: the model cannot be opened, has other inputs, or cannot compute them.
    """
    from understudy.artifact.replay import (  # noqa: PLC0415 - imports ONNX Runtime, which takes a second
        record_golden,
    )

    record_golden(artifact_dir, inputs, joins_rows=joins_rows)


def capture_provenance(
    *,
    artifact_dir: Path,
    parameters: Mapping[str, Any],
    seeds: Mapping[str, Any],
    run: StartedRun,
    training: Mapping[str, Any],
    evaluation: Mapping[str, Any],
    split: Mapping[str, Any],
    feature_set: Sequence[str],
    views: Sequence[FeatureView],
    facts: EvaluationFacts,
    conversion: Mapping[str, Any],
    code: CodeFacts,
    people: Mapping[str, str],
    policy: Mapping[str, Any],
    golden_tolerance: float,
    ended_at: datetime | None = None,
    lockfile: Path | None = None,
    parent: str = FROM_SCRATCH,
    column_inputs: Mapping[str, str] | None = None,
    joins_rows: bool = True,
) -> dict[str, Any]:
    """Return the record of a model that has just been trained and converted, as JSON values.

    Groups that machines can fill are filled here; `people` and `policy` must come from people.

    Args:
        artifact_dir: contains model.onnx and golden.npz (see `write_golden`) and nothing else.
        parameters: from `parameter_facts` or `parameters_of`.
        seeds: from `seed_facts`.
        run: from `start_run`.
        training: from `dataset_facts`.
        evaluation: from `dataset_facts`; its content differs from `training`.
        split: {"method": temporal|random|stratified|grouped|predefined, "seed": int or None,
            "description": text}.
        feature_set: `view@version:feature` in the order of the model's input columns.
        views: the views that the feature set names.
        facts: metrics with intervals, threshold, comparison.
        conversion: from `conversion_facts`.
        code: where to find the training code.
        people: owner, author (the identity that will register), contact, approver.
        policy: intended_use, decision_threshold, fallback_score, revalidate_by, licence.
        golden_tolerance: largest absolute difference allowed in a replay.
        ended_at: when the run ended, UTC; None for now.
        lockfile: the lockfile of the training environment.
        parent: "from scratch", or the version that it was derived from.
        column_inputs: name of the model's input by column of `feature_set`, for columns that names
            and datatypes leave open.
        joins_rows: False if an answer may depend on the other rows of a run: each runs alone.
    """
    return {
        "schema_version": SCHEMA_VERSION,
        "artifact": artifact_facts(artifact_dir, golden_tolerance, joins_rows=joins_rows),
        "code": {
            "source": dict(run.source or code_source(code.directory, code.installed)),
            "entry_point": code.entry_point,
            "command_line": list(sys.orig_argv),
        },
        "data": {"training": dict(training), "evaluation": dict(evaluation), "split": dict(split)},
        "features": feature_facts(feature_set, views, artifact_dir, column_inputs),
        "parameters": dict(parameters),
        "seeds": dict(seeds),
        "environment": environment_facts(lockfile, **producer_of(artifact_dir / MODEL_FILE)),
        "run": {
            "id": run.id,
            "builder": run.builder,
            "started_at": _utc(run.started_at),
            "ended_at": _utc(ended_at or datetime.now(UTC)),
        },
        "evaluation": {
            "metrics": [dict(metric) for metric in facts.metrics],
            "threshold": facts.threshold,
            "comparison": dict(facts.comparison or {"first_version": True}),
        },
        "parent": {"version": parent, "conversion": dict(conversion)},
        "people": dict(people),
        "policy": {name: _plain(value) for name, value in policy.items()},
    }


def _plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, date) else value


def _utc(at: datetime) -> str:
    return at.astimezone(UTC).isoformat()
