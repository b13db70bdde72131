"""The effect of a change: the routers and hosts that do not act on it yet, by their reports. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from understudy.domain.deployments import Arm
from understudy.domain.reports import RouterModelState
from understudy.domain.snapshots import News, ScorerProcess


@dataclass(frozen=True, slots=True)
class AwaitedChange:
    """A change that was made, and whose effect is awaited."""

    model: str
    revision: int
    versions: frozenset[int]  # to which it gave a part
    ends: bool = False  # the change ended the deployment


@dataclass(frozen=True, slots=True)
class SeenRouter:
    """The last report of a router, as far as one model is concerned."""

    router_id: str
    news: News
    state: RouterModelState | None  # None: it does not serve the model


@dataclass(frozen=True, slots=True)
class Seen:
    """The reports about one model at one moment."""

    routers: tuple[SeenRouter, ...]
    hosts: tuple[str, ...]  # that report; silent ones are left out
    scorers: tuple[ScorerProcess, ...]  # of the model

    @property
    def reporting(self) -> tuple[SeenRouter, ...]:
        return tuple(each for each in self.routers if each.news is News.REPORTING)

    @property
    def silent(self) -> tuple[str, ...]:
        """The routers whose report is overdue; no command waits for them."""
        return tuple(each.router_id for each in self.routers if each.news is not News.REPORTING)


def lagging(awaited: AwaitedChange, seen: Seen) -> tuple[str, ...]:
    """Return the routers and hosts that do not act on the change yet; empty once it is in effect.

    Parts that the change did not touch are not waited for: they may be withheld for other reasons.
    """
    if awaited.ends:
        return (*_still_serving(seen), *_still_running(seen))
    loading = _not_loaded(awaited, seen.scorers) if seen.hosts else ()
    return (*_routers(awaited, seen.reporting), *loading)


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
