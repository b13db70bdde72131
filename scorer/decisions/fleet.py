"""The scorer processes that a host should run for a snapshot of the registry. Pure."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from understudy.domain.deployments import Deployment, versions_to_run
from understudy.domain.snapshots import Snapshot, VersionSpec
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


def wanted_places(snapshot: Snapshot, replicas: int) -> dict[Place, Wanted]:
    """Return the processes to run for `snapshot`, without versions that it does not describe."""
    versions = {version.ref: version for version in snapshot.versions}
    wanted: dict[Place, Wanted] = {}
    for deployment in snapshot.deployments:
        live = set(_live_versions(deployment))
        for number in versions_to_run(deployment):
            version = versions.get(VersionRef(deployment.model, number))
            if version is None:
                continue
            for replica in range(replicas):
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


def _live_versions(deployment: Deployment) -> Iterator[int]:
    yield deployment.champion
    yield from (challenger.version for challenger in deployment.challengers)
    if deployment.fallback.version is not None:
        yield deployment.fallback.version
    yield from deployment.standby  # a rollback makes them champion at once
