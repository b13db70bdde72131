"""The input of the gate: a submission, and the facts to compare it with."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from understudy.domain.features import FeatureView
from understudy.domain.versions import ArtifactFile, ScoreOutput, VersionRef
from understudy.provenance.inspection import Inspection


@dataclass(frozen=True, slots=True)
class Submission:
    """A version to register, with the registry's own findings about it."""

    model: str
    files: tuple[ArtifactFile, ...]  # sizes and digests as received
    record_json: str
    views: tuple[FeatureView, ...]
    score_output: ScoreOutput
    inspection: Inspection


@dataclass(frozen=True, slots=True)
class Surroundings:
    """The facts to compare with: the registry's state, the caller, the clock."""

    actor: str
    now: datetime  # UTC
    versions: frozenset[VersionRef]  # all registered versions
    champions: frozenset[int]  # all current and former champions of the model
    view_digests: Mapping[str, str]  # digest by view@version, of all registered views
    onnxruntime: str  # version of ONNX Runtime in the scorers here
    # The actor who registered it in another registry, whose statement was verified. Its parent and its
    # comparison name versions of that registry. None: it is registered here first.
    origin_actor: str | None = None

    # The proven names of those who may approve for others. None: names are claims here.
    approvers: frozenset[str] | None = None

    @property
    def registrant(self) -> str:
        """The actor who registered the version first, here or elsewhere."""
        return self.actor if self.origin_actor is None else self.origin_actor
