"""The registry's whole state as routers and scorer hosts receive it, replaced as a whole."""

from dataclasses import dataclass
from enum import StrEnum

from understudy.domain.acting import ActingChampion
from understudy.domain.deployments import Deployment
from understudy.domain.features import FeatureRef, FeatureView
from understudy.domain.placement import ANY_MODEL, Placement
from understudy.domain.versions import ArtifactFile, ScoreOutput, TensorSpec, VersionRef

LARGEST_SNAPSHOT_BYTES = 64 << 20  # that watchers accept, as a message


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

    @property
    def has_other_artifact(self) -> bool:
        """True if the process reports other bytes than its host was told to serve."""
        return self.loaded_digest not in {None, self.artifact_digest}

    @property
    def serves(self) -> bool:
        """True if the process is ready, and not with another artifact."""
        return self.state is ScorerState.READY and not self.has_other_artifact


class News(StrEnum):
    """The news of a scorer host or a router. Their absence withdraws nothing that works."""

    REPORTING = "reporting"
    SILENT = "silent"  # its report is overdue; the last one stays in effect
    UNHEARD = (
        "unheard"  # the registry in use has no report of it; a watcher remembers an earlier one
    )


@dataclass(frozen=True, slots=True)
class ScorerHost:
    """A scorer host as the sender of a snapshot knows it."""

    host_id: str
    news: News
    silent_since_ns: int | None = None  # UTC, since 1970: its last report; None unless it is silent
    placement: Placement = ANY_MODEL


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
    # Name of the input that reads each feature, "" where none is declared; () if none is at all.
    column_inputs: tuple[str, ...] = ()
    joins_rows: bool = True  # False: each row runs alone


@dataclass(frozen=True, slots=True)
class Undeployed:
    """The end of a deployment by an operator."""

    model: str
    revision: int  # number of the revision that ended it


@dataclass(frozen=True, slots=True)
class Epoch:
    """One opening of the registry's database by a process."""

    id: str  # made at the opening, so that two copies of a database never share a later epoch
    last_change: int  # last row of the audit log at its end; for the latest epoch, now


@dataclass(frozen=True, slots=True)
class Snapshot:
    lineage: str  # identity of the registry: made with its database, anew by a restore
    sequence: int  # grows with each state of that registry
    deployments: tuple[Deployment, ...] = ()
    versions: tuple[VersionSpec, ...] = ()
    scorers: tuple[ScorerProcess, ...] = ()
    undeployed: tuple[Undeployed, ...] = ()  # models that are not deployed any more
    epochs: tuple[Epoch, ...] = ()  # history of the database, oldest first
    succeeds: tuple[str, ...] = ()  # lineages whose watchers may follow this one instead
    hosts: tuple[ScorerHost, ...] = ()  # that reported, also if they run nothing
    acting: tuple[ActingChampion, ...] = ()  # as routers reported last; in a router, its own
