"""The facts of a run, step by step, and the record that they make together."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from understudy.domain.errors import RefusedError
from understudy.domain.features import FeatureView
from understudy.domain.versions import VersionRef
from understudy.features.decisions.feature_columns import FeatureColumn
from understudy.provenance.capture import (
    CodeFacts,
    EvaluationFacts,
    StartedRun,
    capture_provenance,
)
from understudy.train.convert_model import GOLDEN_TOLERANCE, Converted
from understudy.train.elsewhere import Elsewhere
from understudy.train.original import Original, parameters_and_seeds
from understudy.train.training_data import TrainingData

StepT = TypeVar("StepT")


@dataclass(frozen=True, slots=True)
class Beginning:
    """The facts of a run that are known before its model is fitted."""

    model: str
    started: StartedRun
    code: CodeFacts
    columns: tuple[FeatureColumn, ...]
    people: Mapping[str, str]
    data: Mapping[str, str]  # defaults
    policy: Mapping[str, Any]  # defaults
    seeds: Mapping[str, int]
    lockfile: Path | None
    notes: tuple[str, ...]
    elsewhere: Elsewhere | None = None  # None: the training runs here

    @property
    def views(self) -> tuple[FeatureView, ...]:
        return tuple(dict.fromkeys(column.view for column in self.columns))


@dataclass(frozen=True, slots=True)
class Modelled:
    """A converted model with the facts of its original."""

    original: Original
    converted: Converted
    parameters: Mapping[str, Any]  # further ones, given by the author
    tolerance: float
    joins_rows: bool


@dataclass(frozen=True, slots=True)
class Evaluated:
    """The metrics of a model, and the champion that they were compared with."""

    facts: EvaluationFacts
    champion: VersionRef | None
    notes: tuple[str, ...]  # for the author


def write_record(
    begun: Beginning,
    *,
    data: TrainingData,
    modelled: Modelled,
    facts: EvaluationFacts,
    policy: Mapping[str, Any],
    artifact_dir: Path,
) -> dict[str, Any]:
    """Return the provenance record, as JSON values. The run ends now."""
    parameters, seeds = parameters_and_seeds(modelled.original, modelled.parameters, begun.seeds)
    agreement = modelled.converted.agreement
    refs = [str(column.ref) for column in begun.columns]
    elsewhere = begun.elsewhere
    record = capture_provenance(
        artifact_dir=artifact_dir,
        parameters=parameters,
        seeds=seeds,
        run=begun.started,
        training=data.training,
        evaluation=data.evaluation,
        split=data.split,
        feature_set=refs,
        views=begun.views,
        facts=facts,
        conversion={
            "rows": agreement.rows,
            "max_abs_difference": agreement.largest_difference,
            "tolerance": modelled.tolerance,
            "columns_with_missing": [refs[at] for at in agreement.places_with_missing],
        },
        code=begun.code,
        people=begun.people,
        policy=policy,
        golden_tolerance=GOLDEN_TOLERANCE,
        ended_at=None if elsewhere is None else elsewhere.ended_at,
        lockfile=begun.lockfile,
        column_inputs=modelled.converted.column_inputs,
        joins_rows=modelled.joins_rows,
    )
    return record if elsewhere is None else elsewhere.record_of(record)


def needed(step: StepT | None, name: str) -> StepT:
    """Return the facts of an earlier call of a run.

    Raises:
        RefusedError: it has not been made.
    """
    if step is None:
        raise RefusedError(f"run.{name}(…) must come first: the record is built on it")
    return step
