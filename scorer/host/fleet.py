"""The scorer processes of this host: started, stopped and adjusted to the wanted state."""

import asyncio
from collections.abc import Mapping

from scorer.decisions.cpu_division import CpuUser
from scorer.decisions.fleet import Place, Wanted, plan_change
from scorer.host.addresses import Addresses
from scorer.host.artifact_cache import ArtifactCache
from scorer.host.launch import LaunchOptions
from scorer.host.loading_cpu import LoadingCpu
from scorer.host.scorer_process import Neighbours, SupervisedScorer, WatchOptions
from scorer.machine.affinity import allowed_cpus
from scorer.settings import HostSettings
from understudy.domain.liveness import LivenessPolicy
from understudy.domain.progress import Patience
from understudy.domain.restarts import RestartPolicy
from understudy.domain.snapshots import ScorerProcess, ScorerState, VersionSpec
from understudy.runtime.supervision.liveness import HungChildren


class Fleet:
    """One task per place, in the caller's TaskGroup. `changed` is set on each change."""

    def __init__(
        self,
        settings: HostSettings,
        host_id: str,
        cache: ArtifactCache,
        addresses: Addresses,
        tasks: asyncio.TaskGroup,
    ) -> None:
        self._settings = settings
        self._host_id = host_id
        self._cache = cache
        self._addresses = addresses
        self._tasks = tasks
        self._scorers: dict[Place, SupervisedScorer] = {}
        self._running: dict[Place, asyncio.Task[None]] = {}
        self._wanted: Mapping[Place, Wanted] = {}
        self.changed = asyncio.Event()
        self._directory = settings.dir / "run"
        self._directory.mkdir(parents=True, exist_ok=True)
        self._allowed_cpus = allowed_cpus()
        self._loading_cpu = LoadingCpu(
            self._allowed_cpus if settings.load_apart else frozenset(), self._cpu_users
        )
        self._neighbours = Neighbours(
            self._any_serves,
            self._loading_cpu.arrange,
            settings.load_nice,
            HungChildren(settings.stalled_after_s),
        )

    def processes(self) -> list[ScorerProcess]:
        """Return the current processes, including those that drain."""
        return [scorer.state for scorer in self._scorers.values()]

    def places(self) -> tuple[Place, ...]:
        """Return the places that it is told to run."""
        return tuple(self._wanted)

    @property
    def refuses_settings(self) -> bool:
        """True while a scorer stays down because it refused its settings, which all of them share."""
        return any(scorer.refuses_settings for scorer in self._scorers.values())

    async def keep_cpus_arranged(self) -> None:
        """Keep loading and serving apart until cancelled."""
        await self._loading_cpu.keep_arranged()

    def apply(self, wanted: Mapping[Place, Wanted]) -> None:
        """Start missing places, drain unwanted ones, and leave the others alone."""
        self._wanted = wanted
        change = plan_change(self._running, wanted)
        for place in change.stop:
            self._scorers[place].stop()
        for place in change.start:
            self._running[place] = self._tasks.create_task(self._run(place))
        for place, scorer in self._scorers.items():
            if place in wanted:
                scorer.name_again(wanted[place])
                scorer.renice(self._nice_of(wanted[place]))
        self._cache.evict(self._needed_versions())

    async def stop(self) -> None:
        """Drain all scorers at once, and return when all have exited."""
        self._wanted = {}
        for scorer in self._scorers.values():
            scorer.stop()
        if self._running:
            await asyncio.wait(self._running.values())

    async def _run(self, place: Place) -> None:
        """Run a place while it is wanted; a place wanted again while draining is restarted."""
        while (wanted := self._wanted.get(place)) is not None:
            scorer = SupervisedScorer(
                place,
                wanted,
                launch=self._launch_options(place),
                directory=self._directory,
                host_id=self._host_id,
                cache=self._cache,
                watch=_watch_options(self._settings),
                neighbours=self._neighbours,
                report=self.changed.set,
            )
            scorer.renice(self._nice_of(wanted))
            self._scorers[place] = scorer
            await scorer.run()
            del self._scorers[place]
            self.changed.set()
        del self._running[place]
        self._addresses.release(place)

    def _launch_options(self, place: Place) -> LaunchOptions:
        return LaunchOptions(
            self._addresses.address_of(place),
            self._addresses.metrics_port_of(place),
            self._settings.drain_grace_s,
            len(self._allowed_cpus) or None,
            self._settings.transport,
        )

    def _needed_versions(self) -> list[VersionSpec]:
        """Return the wanted versions, and those that are still draining."""
        needed = [wanted.version for wanted in self._wanted.values()]
        return needed + [scorer.version for scorer in self._scorers.values()]

    def _any_serves(self) -> bool:
        """Return whether a scorer serves; if none does, the first ones load at full speed."""
        return any(each.state is ScorerState.READY for each in self.processes())

    def _cpu_users(self) -> list[CpuUser]:
        return [scorer.cpu_user for scorer in self._scorers.values()]

    def _nice_of(self, wanted: Wanted) -> int:
        settings = self._settings
        return settings.shadow_nice if wanted.only_shadows else settings.live_nice


def _watch_options(settings: HostSettings) -> WatchOptions:
    return WatchOptions(
        patience=Patience(settings.stalled_after_s, settings.start_timeout_s),
        load_idle_s=settings.load_idle_s,
        liveness=LivenessPolicy(
            settings.probe_interval_s, settings.probe_timeout_s, settings.probe_misses
        ),
        leave_delay_s=settings.leave_delay_s,
        kill_after_s=settings.kill_after_s,
        transport=settings.transport,
        restarts=RestartPolicy(
            first_back_off_s=settings.first_back_off_s,
            longest_back_off_s=settings.longest_back_off_s,
            budget=settings.restart_budget,
            window_s=settings.restart_window_s,
        ),
    )
