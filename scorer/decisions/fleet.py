"""The scorer processes that a host should run for a snapshot of the registry. Pure."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from understudy.domain.deployments import Deployment, versions_to_run
from understudy.domain.placement import ANY_MODEL, Placement
from understudy.domain.snapshots import News, Snapshot, VersionSpec
from understudy.domain.versions import VersionRef


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """One process to run: a place keeps the same address for ever."""

    ref: VersionRef
    replica: int

    def __str__(self) -> str:
        return f"{self.ref}.{self.replica}"


@dataclass(frozen=True, slots=True)
class Wanted:
    """The version to run in a place."""

    version: VersionSpec
    revision: int  # revision of the deployment that names it
    only_shadows: bool  # it takes no live traffic, so it may run at a lower priority


@dataclass(frozen=True, slots=True)
class HostRole:
    """The part of the fleet that one host takes."""

    host_id: str
    replicas: int = 1
    placement: Placement = ANY_MODEL


def wanted_places(
    snapshot: Snapshot, role: HostRole, running: Iterable[Place] = ()
) -> dict[Place, Wanted]:
    """Return the processes to run for `snapshot`, without versions that it does not describe.

    A version that runs here and may not any more goes on until a host that may run it serves it: a
    change of labels leaves no model without scorers.

    Args:
        snapshot: of the registry.
        role: of this host.
        running: the places that it runs now.
    """
    versions = {version.ref: version for version in snapshot.versions}
    running_refs = {place.ref for place in running}
    wanted: dict[Place, Wanted] = {}
    for deployment in snapshot.deployments:
        live = set(_live_versions(deployment))
        is_placed = _may_run(role.placement, deployment)
        for number in versions_to_run(deployment):
            version = versions.get(VersionRef(deployment.model, number))
            if version is None:
                continue
            stays = version.ref in running_refs and not _serves_elsewhere(
                snapshot, deployment, version.ref, role.host_id
            )
            if not (is_placed or stays):
                continue
            for replica in range(role.replicas):
                wanted[Place(version.ref, replica)] = Wanted(
                    version, deployment.revision, only_shadows=number not in live
                )
    return wanted


def undescribed_versions(snapshot: Snapshot) -> tuple[VersionRef, ...]:
    """Return the versions that deployments name but the snapshot does not describe."""
    described = {version.ref for version in snapshot.versions}
    named = (
        VersionRef(deployment.model, number)
        for deployment in snapshot.deployments
        for number in versions_to_run(deployment)
    )
    return tuple(sorted(ref for ref in set(named) if ref not in described))


@dataclass(frozen=True, slots=True)
class FleetChange:
    start: tuple[Place, ...]
    stop: tuple[Place, ...]


def plan_change(running: Iterable[Place], wanted: Iterable[Place]) -> FleetChange:
    """Return the places to start and to stop; the others are not touched."""
    now, then = set(running), set(wanted)
    return FleetChange(start=tuple(sorted(then - now)), stop=tuple(sorted(now - then)))


def _may_run(placement: Placement, deployment: Deployment) -> bool:
    return placement.obstacle(deployment.model, deployment.host_labels) is None


def _serves_elsewhere(
    snapshot: Snapshot, deployment: Deployment, ref: VersionRef, host_id: str
) -> bool:
    """Return whether another host, which reports and may run the version, serves it."""
    others = {
        host.host_id
        for host in snapshot.hosts
        if host.host_id != host_id
        and host.news is News.REPORTING
        and _may_run(host.placement, deployment)
    }
    return any(
        each.ref == ref and each.serves and each.host_id in others for each in snapshot.scorers
    )


def _live_versions(deployment: Deployment) -> Iterator[int]:
    yield deployment.champion
    yield from (challenger.version for challenger in deployment.challengers)
    if deployment.fallback.version is not None:
        yield deployment.fallback.version
    yield from deployment.standby  # a rollback makes them champion at once
