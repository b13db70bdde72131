"""The use that a version is meant for: the features it reads, its score, its rows."""

from collections.abc import Sequence

from pydantic import BaseModel, ConfigDict

from understudy.domain.errors import InvalidInputError
from understudy.domain.features import (
    FeatureDtype,
    FeatureRef,
    FeatureView,
    view_from_canonical_json,
)
from understudy.domain.snapshots import VersionSpec
from understudy.domain.versions import ScoreOutput, TensorSpec
from understudy.features.decisions.feature_columns import columns_of
from understudy.features.serving.assembly import AssemblyPlan, compile_plan
from understudy.gate.feature_checks import column_inputs
from understudy.provenance.artifact_record import Artifact, Features
from understudy.provenance.findings import read_record


class Trial(BaseModel):
    """A version's use, in a form that goes to the process that tries it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    feature_set: tuple[str, ...] = ()  # empty: the model is only loaded
    column_inputs: tuple[str, ...] = ()
    views: tuple[str, ...] = ()  # canonical JSON
    score_output: str = ""
    score_column: int = 0
    joins_rows: bool = True

    @property
    def score(self) -> ScoreOutput:
        return ScoreOutput(self.score_output, self.score_column)

    def plan(self, inputs: Sequence[TensorSpec]) -> AssemblyPlan | None:
        """Return the router's plan for these inputs; None if it has none, as the gate reports."""
        if not self.feature_set:
            return None
        try:
            return compile_plan(self._refs(), self._views(), inputs, self.column_inputs)
        except InvalidInputError:
            return None

    def dtypes(self) -> tuple[FeatureDtype, ...]:
        """Return the dtype of each feature of a use that has a plan."""
        return tuple(column.feature.dtype for column in columns_of(self._refs(), self._views()))

    def _refs(self) -> list[FeatureRef]:
        return [FeatureRef.parse(text) for text in self.feature_set]

    def _views(self) -> list[FeatureView]:
        return [view_from_canonical_json(text) for text in self.views]


def trial_of_record(
    record_json: str, views: Sequence[FeatureView], score_output: ScoreOutput
) -> Trial:
    """Return the use that a record describes, as far as the record can be read."""
    groups = read_record(record_json).groups
    artifact: Artifact | None = groups.get("artifact")
    features: Features | None = groups.get("features")
    columns = () if features is None else features.columns
    return Trial(
        feature_set=tuple(column.ref for column in columns),
        column_inputs=column_inputs(columns),
        views=tuple(view.canonical_json for view in views),
        score_output=score_output.output,
        score_column=score_output.column,
        joins_rows=artifact is None or artifact.joins_rows,
    )


def trial_of_version(spec: VersionSpec) -> Trial:
    """Return the use of a registered version."""
    return Trial(
        feature_set=tuple(str(ref) for ref in spec.feature_set),
        column_inputs=spec.column_inputs,
        views=tuple(view.canonical_json for view in spec.feature_views),
        score_output=spec.score_output.output,
        score_column=spec.score_output.column,
        joins_rows=spec.joins_rows,
    )
