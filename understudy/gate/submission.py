"""What the gate judges, and what it compares with."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from understudy.domain.features import FeatureView
from understudy.domain.versions import ArtifactFile, ScoreOutput, VersionRef
from understudy.provenance.inspection import Inspection


@dataclass(frozen=True, slots=True)
class Submission:
    """What is asked to be registered, with what the registry saw for itself."""

    model: str
    files: tuple[ArtifactFile, ...]  # sizes and digests as received
    record_json: str
    views: tuple[FeatureView, ...]
    score_output: ScoreOutput
    inspection: Inspection


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the checks compare with: the registry's state, the caller, the clock."""

    actor: str
    now: datetime  # UTC
    versions: frozenset[VersionRef]  # all that are registered
    champions: frozenset[int]  # every champion the model has had
    view_digests: Mapping[str, str]  # digest by view@version, of all registered before
    onnxruntime: str  # version of ONNX Runtime that scorers here run
