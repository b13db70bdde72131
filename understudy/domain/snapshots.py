"""The registry's whole state as routers and scorer hosts receive it, replaced as a whole."""

from dataclasses import dataclass
from enum import StrEnum

from understudy.domain.deployments import Deployment
from understudy.domain.features import FeatureRef, FeatureView
from understudy.domain.versions import ArtifactFile, ScoreOutput, TensorSpec, VersionRef


class ScorerState(StrEnum):
    STARTING = "starting"
    READY = "ready"
    DRAINING = "draining"
    RESTARTING = "restarting"  # exited, or failed to start; waiting for a restart
    REFUSED = "refused"  # the artifact failed its checks
    GAVE_UP = "gave_up"  # the restart budget is exhausted, and the version only shadows
    FAILING = "failing"  # the budget is exhausted; restarted at the longest back-off


@dataclass(frozen=True, slots=True)
class ScorerProcess:
    """One scorer process as its host sees it."""

    ref: VersionRef
    replica: int
    address: str  # gRPC target: unix:/path or host:port
    state: ScorerState
    artifact_digest: str  # of the artifact that the host was told to serve
    host_id: str
    restarts: int = 0
    loaded_digest: str | None = (
        None  # of the bytes that the process read itself; None if not reported
    )
    last_error: str | None = None  # None if it never failed
    started_at_ns: int | None = (
        None  # UTC, since 1970, of its latest process; None if there was none
    )
    pid: int | None = None  # None if no process runs


@dataclass(frozen=True, slots=True)
class VersionSpec:
    """The facts needed to serve a version."""

    ref: VersionRef
    artifact_digest: str
    files: tuple[ArtifactFile, ...]
    provenance_digest: str
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    feature_set: tuple[FeatureRef, ...]
    feature_views: tuple[FeatureView, ...]
    score_output: ScoreOutput
    golden_tolerance: float


@dataclass(frozen=True, slots=True)
class Snapshot:
    lineage: str  # identity of the registry, created with its database and kept for its life
    sequence: int  # grows with each state of that registry
    deployments: tuple[Deployment, ...] = ()
    versions: tuple[VersionSpec, ...] = ()
    scorers: tuple[ScorerProcess, ...] = ()
