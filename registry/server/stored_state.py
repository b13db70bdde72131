"""The content of the database that watchers need, by model, so that a change reads one model only."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from sqlalchemy import Connection

from registry.decisions.recorded_objects import Kind
from registry.decisions.traffic import standby_of
from registry.store import acting as acting_champions
from registry.store import lineage, marks, revisions, shared, versions
from registry.store.lineage import Identity, StoredLineage
from understudy.control.wire import deployment_to_wire, version_to_wire
from understudy.domain.acting import ActingChampion
from understudy.domain.changes import Revision
from understudy.domain.deployments import Deployment, versions_to_run
from understudy.domain.snapshots import Undeployed, VersionSpec
from understudy.domain.versions import VersionRef


@dataclass(frozen=True, slots=True)
class StoredModel:
    """One model, as far as watchers need it."""

    current: Revision | None = None  # with its standby; None: never deployed
    acting: ActingChampion | None = None
    versions: tuple[VersionSpec, ...] = ()  # those that the deployment needs
    artifact_digests: Mapping[int, str] = field(default_factory=dict)  # of all registered versions
    size_bytes: int = 0  # of deployment and versions, in what watchers receive


@dataclass(frozen=True, slots=True)
class StoredState:
    """All models, and the identity of the database."""

    identity: Identity = field(default_factory=lambda: Identity("", (), ()))
    lineages: tuple[StoredLineage, ...] = ()
    models: Mapping[str, StoredModel] = field(default_factory=dict)  # in order of their names
    deployments: tuple[Deployment, ...] = ()  # with their standby
    acting: tuple[ActingChampion, ...] = ()  # of deployed models
    versions: tuple[VersionSpec, ...] = ()  # the versions that the deployments need
    undeployed: tuple[Undeployed, ...] = ()
    changes: int = 0  # committed changes of a shared database; 0 if this process has it alone

    @property
    def last_row(self) -> int:
        """The last row of the audit log that the state has."""
        return self.identity.epochs[-1].last_change if self.identity.epochs else 0

    def artifact_digest_of(self, ref: VersionRef) -> str | None:
        """Return the artifact's digest of a registered version, or None if there is none."""
        model = self.models.get(ref.model)
        return None if model is None else model.artifact_digests.get(ref.number)

    @property
    def size_bytes(self) -> int:
        """Size of all deployments and the versions that they need, in what watchers receive."""
        return sum(each.size_bytes for each in self.models.values())


def caught_up(
    connection: Connection,
    before: StoredState,
    names: Collection[str] | None,
    *,
    standby_versions: int,
) -> StoredState:
    """Return `before` with all that other registries have changed too; see `reread`."""
    changed = shared.models_changed_after(connection, before.last_row)
    if names is not None:
        acts = acting_champions.read_all(connection)
        odd = {name for name, each in before.models.items() if each.acting != acts.get(name)}
        names = None if changed is None else {*names, *changed, *odd}
    found = reread(connection, before, names, standby_versions=standby_versions)
    return replace(found, changes=shared.changes_of(connection))


def reread(
    connection: Connection,
    before: StoredState,
    names: Collection[str] | None,
    *,
    standby_versions: int,
) -> StoredState:
    """Return `before` with some models and the identity read anew.

    Args:
        connection: of a transaction.
        before: the state so far.
        names: of the models; None: all that there are.
        standby_versions: former champions that each deployment has on standby, at most.
    """
    if names is None:
        names = {*revisions.models_with_revisions(connection), *versions.models(connection)}
    read = {
        name: read_stored_model(connection, name, standby_versions=standby_versions)
        for name in names
    }
    lineages = tuple(lineage.read_all(connection))
    models = dict(sorted({**before.models, **read}.items()))
    deployed, deployments = [], []
    for each in models.values():
        if isinstance(each.current, Deployment):
            deployed.append(each)
            deployments.append(each.current)
    return StoredState(
        identity=lineage.identity_of(connection, lineages),
        lineages=lineages,
        models=MappingProxyType(models),
        deployments=tuple(deployments),
        acting=tuple(each.acting for each in deployed if each.acting is not None),
        versions=tuple(spec for each in deployed for spec in each.versions),
        undeployed=_undeployed([each.current for each in models.values()], lineages),
    )


def read_stored_model(
    connection: Connection, model: str, *, standby_versions: int, instead: Revision | None = None
) -> StoredModel:
    """Return one model; with `instead`, as it would be with that as its current revision."""
    current = instead or revisions.current_of(connection, model)
    acting = acting_champions.read(connection, model)
    digests = versions.artifact_digests(connection, model)
    if not isinstance(current, Deployment):
        return StoredModel(current, acting, artifact_digests=digests)
    deployment = _as_published(connection, current, acting, limit=standby_versions)
    specs = versions.specs_of(connection, model, versions_to_run(deployment))
    size_bytes = deployment_to_wire(deployment).ByteSize()
    size_bytes += sum(version_to_wire(each).ByteSize() for each in specs)
    return StoredModel(deployment, acting, specs, digests, size_bytes)


def _undeployed(
    current: Sequence[Revision | None], lineages: Sequence[StoredLineage]
) -> tuple[Undeployed, ...]:
    """Return the ended models: by an undeploy here, or by a restore."""
    at = {model: each.revision for each in lineages for model in each.ended}
    for revision in current:
        if isinstance(revision, Deployment):
            at.pop(revision.model, None)
        elif revision is not None:
            at[revision.model] = max(at.get(revision.model, 0), revision.revision)
    return tuple(Undeployed(model, revision) for model, revision in sorted(at.items()))


def _as_published(
    connection: Connection, deployment: Deployment, acting: ActingChampion | None, *, limit: int
) -> Deployment:
    """Return the revision with its standby and the blocked versions of the model."""
    marked = marks.of_kinds(connection, deployment.model)
    blocked = tuple(sorted(marked[Kind.BLOCK]))
    out = {*blocked, *marked[Kind.RETIREMENT]}
    champions = revisions.champions_of(connection, deployment.model)
    standby = standby_of(
        deployment,
        [number for number in champions if number not in out],
        limit=limit,
        acting=None if acting is None or acting.version in blocked else acting.version,
    )
    return replace(deployment, standby=standby, blocked=blocked)
