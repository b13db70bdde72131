"""The effect of a change: the routers and hosts that do not act on it yet, by their reports. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

from understudy.domain.deployments import Arm
from understudy.domain.reports import RouterModelState
from understudy.domain.snapshots import News, ScorerProcess
from understudy.domain.versions import VersionRef


@dataclass(frozen=True, slots=True)
class AwaitedChange:
    """A change that was made, and whose effect is awaited."""

    model: str
    revision: int
    versions: frozenset[int]  # to which it gave a part
    ends: bool = False  # the change ended the deployment

    @property
    def subject(self) -> str:
        """The change, for people."""
        return f"revision {self.revision} of {self.model}"


@dataclass(frozen=True, slots=True)
class AwaitedState:
    """A state of the registry that has a change beside the revisions: a block, a restore and the like."""

    subject: str  # the change, for people
    lineage: str
    sequence: int
    hosts_follow: bool = False  # hosts are awaited too, until they believe this lineage
    ended: VersionRef | None = None  # version of which no scorer may run
    begun: AwaitedChange | None = None  # the part that a version takes again


@dataclass(frozen=True, slots=True)
class SeenRouter:
    """The last report of a router, as far as one model is concerned."""

    router_id: str
    news: News
    state: RouterModelState | None  # None: it does not serve the model
    lineage: str | None = None  # of the state in effect; None if it does not say
    sequence: int | None = None  # of the applied state; None if none is


@dataclass(frozen=True, slots=True)
class Seen:
    """The reports about one model at one moment."""

    routers: tuple[SeenRouter, ...]
    hosts: tuple[str, ...]  # that report; silent ones are left out
    scorers: tuple[ScorerProcess, ...]  # of the model, or of all
    host_lineages: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    unplaced: tuple[str, ...] = ()  # deployments that no host may run, with the reasons

    @property
    def reporting(self) -> tuple[SeenRouter, ...]:
        return tuple(each for each in self.routers if each.news is News.REPORTING)

    @property
    def silent(self) -> tuple[str, ...]:
        """The routers whose report is overdue; no command waits for them."""
        return tuple(each.router_id for each in self.routers if each.news is not News.REPORTING)


Awaited = AwaitedChange | AwaitedState


def lagging(awaited: Awaited, seen: Seen) -> tuple[str, ...]:
    """Return the routers and hosts that do not act on the change yet; empty once it is in effect.

    Parts that the change did not touch are not waited for: they may be withheld for other reasons.
    """
    if isinstance(awaited, AwaitedState):
        return tuple(_behind(awaited, seen))
    if awaited.ends:
        return (*_still_serving(seen), *_still_running(seen))
    loading = _not_loaded(awaited, seen.scorers) if seen.hosts else ()
    return (*_routers(awaited, seen.reporting), *loading, *seen.unplaced)


def _behind(awaited: AwaitedState, seen: Seen) -> Iterator[str]:
    for router in seen.reporting:
        name = f"router {router.router_id}"
        if router.lineage not in {None, awaited.lineage}:
            yield f"{name} has a state of {router.lineage} in effect"
        elif router.sequence is None:
            yield f"{name} has no state in effect yet"
        elif router.sequence < awaited.sequence:
            yield f"{name} has state {router.sequence} in effect, not yet {awaited.sequence}"
    yield from _hosts_behind(awaited, seen)
    if awaited.begun is not None:
        yield from lagging(awaited.begun, seen)


def _hosts_behind(awaited: AwaitedState, seen: Seen) -> Iterator[str]:
    for host in seen.hosts if awaited.hosts_follow else ():
        believed = seen.host_lineages.get(host)
        if believed != awaited.lineage:
            yield f"host {host} has a state of {believed or 'no registry'} in effect"
    for each in seen.scorers:
        if each.ref == awaited.ended and each.host_id in seen.hosts:
            yield f"host {each.host_id} still runs {each.ref}"


def _routers(awaited: AwaitedChange, routers: Sequence[SeenRouter]) -> Iterator[str]:
    for router in routers:
        state, name = router.state, f"router {router.router_id}"
        if state is None:
            yield f"{name} does not serve {awaited.model} yet"
        elif state.revision < awaited.revision:
            yield f"{name} serves revision {state.revision}"
        elif state.revision == awaited.revision:  # a later one has replaced this change
            yield from (
                f"{name}: {part}"
                for part in state.withheld
                if part.arm is Arm.CHAMPION or part.version in awaited.versions
            )


def _not_loaded(awaited: AwaitedChange, scorers: Sequence[ScorerProcess]) -> Iterator[str]:
    for version in sorted(awaited.versions):
        processes = [each for each in scorers if each.ref.number == version]
        if any(each.serves for each in processes):
            continue
        if not processes:
            yield f"no host runs @{version} yet"
        for each in processes:
            why = f": {each.last_error}" if each.last_error else ""
            foreign = " with another artifact" if each.has_other_artifact else ""
            yield f"host {each.host_id}: @{version} has state {each.state.value}{foreign}{why}"


def _still_serving(seen: Seen) -> Iterator[str]:
    for router in seen.reporting:
        if router.state is not None:
            yield f"router {router.router_id} still serves revision {router.state.revision}"


def _still_running(seen: Seen) -> Iterator[str]:
    for each in seen.scorers:
        if each.host_id in seen.hosts:
            yield f"host {each.host_id} still runs @{each.ref.number}"
