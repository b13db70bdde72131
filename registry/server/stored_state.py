"""The content of the database that watchers need, read in one transaction."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from sqlalchemy import Connection

from registry.decisions.traffic import standby_of
from registry.store import acting as acting_champions
from registry.store import blocks, lineage, revisions, versions
from registry.store.lineage import Identity, StoredLineage
from understudy.domain.acting import ActingChampion
from understudy.domain.changes import Revision
from understudy.domain.deployments import Deployment, versions_to_run
from understudy.domain.snapshots import Undeployed, VersionSpec
from understudy.domain.versions import VersionRef


@dataclass(frozen=True, slots=True)
class StoredState:
    """Deployments, their versions, and the identity of the database."""

    identity: Identity = field(default_factory=lambda: Identity("", (), ()))
    deployments: tuple[Deployment, ...] = ()  # with their standby
    acting: tuple[ActingChampion, ...] = ()  # of deployed models
    undeployed: tuple[Undeployed, ...] = ()
    versions: tuple[VersionSpec, ...] = ()  # the versions that the deployments need
    artifact_digests: Mapping[VersionRef, str] = field(
        default_factory=dict
    )  # of all registered versions


def read_stored_state(
    connection: Connection, *, standby_versions: int, instead: Revision | None = None
) -> StoredState:
    """Return the state; every deployment has up to `standby_versions` former champions on standby.

    With `instead`, the state as it would be with that revision of its model.
    """
    current = [
        revision
        for model in revisions.models_with_revisions(connection)
        if (revision := revisions.current_of(connection, model)) is not None
    ]
    if instead is not None:
        current = [*(each for each in current if each.model != instead.model), instead]
    acting = acting_champions.read_all(connection)
    deployed = tuple(
        _as_published(connection, each, acting.get(each.model), limit=standby_versions)
        for each in current
        if isinstance(each, Deployment)
    )
    return StoredState(
        identity=lineage.identity_of(connection),
        deployments=deployed,
        acting=tuple(acting[each.model] for each in deployed if each.model in acting),
        undeployed=_undeployed(current, lineage.read_all(connection)),
        versions=tuple(versions.get_version(connection, ref).spec for ref in _needed(deployed)),
        artifact_digests=versions.artifact_digests(connection),
    )


def _undeployed(
    current: Sequence[Revision], lineages: Sequence[StoredLineage]
) -> tuple[Undeployed, ...]:
    """Return the ended models: by an undeploy here, or by a restore."""
    at = {model: each.revision for each in lineages for model in each.ended}
    for revision in current:
        at[revision.model] = max(at.get(revision.model, 0), revision.revision)
        if isinstance(revision, Deployment):
            del at[revision.model]
    return tuple(Undeployed(model, revision) for model, revision in sorted(at.items()))


def _as_published(
    connection: Connection, deployment: Deployment, acting: ActingChampion | None, *, limit: int
) -> Deployment:
    """Return the revision with its standby and the blocked versions of the model."""
    blocked = tuple(blocks.of_model(connection, deployment.model))
    champions = revisions.champions_of(connection, deployment.model)
    standby = standby_of(
        deployment,
        [number for number in champions if number not in blocked],
        limit=limit,
        acting=None if acting is None or acting.version in blocked else acting.version,
    )
    return replace(deployment, standby=standby, blocked=blocked)


def _needed(deployments: tuple[Deployment, ...]) -> Iterator[VersionRef]:
    for deployment in deployments:
        for number in versions_to_run(deployment):
            yield VersionRef(deployment.model, number)
