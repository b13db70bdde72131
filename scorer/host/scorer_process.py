"""One place of the fleet: the scorer process that is kept running there, and its reports.

The states are the keeper's (`understudy/runtime/supervision/keeper.py`). This module adds the parts
particular to scorers: the artifact is fetched first, loading gives way to serving, routers are
informed before a scorer leaves, and a scorer that stays down is retried when it is named again.
"""

import asyncio
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import structlog

from scorer.decisions.cpu_division import CpuUser
from scorer.decisions.fleet import Place, Wanted
from scorer.host.artifact_cache import ArtifactCache
from scorer.host.launch import Launcher, LaunchOptions
from scorer.host.loaded_artifact import loaded_digest
from scorer.host.priority import may_set_down_to, set_idle, set_nice, try_priority
from understudy.domain.errors import CorruptedError, InvalidInputError
from understudy.domain.liveness import LivenessPolicy
from understudy.domain.progress import Patience
from understudy.domain.restarts import GiveUp, Restart, RestartPolicy
from understudy.domain.snapshots import ScorerProcess, ScorerState
from understudy.runtime.exit_codes import USAGE
from understudy.runtime.supervision.child import Child
from understudy.runtime.supervision.ending import ChildFailedError, Ending
from understudy.runtime.supervision.keeper import Care, HealthCheck, Keeper, Kept
from understudy.runtime.supervision.liveness import HungChildren
from understudy.runtime.supervision.probe import Probe
from understudy.runtime.transport.transport import Transport
from understudy.runtime.unless_stopped import unless_stopped

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class WatchOptions:
    """The supervision settings for the scorers of a host."""

    patience: Patience
    load_idle_s: float
    liveness: LivenessPolicy
    leave_delay_s: float
    kill_after_s: float
    transport: Transport
    restarts: RestartPolicy

    def care_of(self, address: str, hung: HungChildren) -> Care:
        """Return the supervision rules of the scorer at `address`."""
        health = HealthCheck(Probe(address, self.transport), self.patience, self.liveness)
        return Care(self.restarts, self.kill_after_s, health, hung)


@dataclass(frozen=True, slots=True)
class Neighbours:
    """The interface of a scorer to the other scorers of its host."""

    serve: Callable[[], bool]  # whether any of them is ready, and would be disturbed
    arrange_cpus: Callable[[], None]
    load_nice: int  # niceness next to serving ones; 0 for full speed
    hung: HungChildren  # one at a time is replaced


class SupervisedScorer(Kept):
    """Keeps one place running until told to stop. `report` is called on each change."""

    def __init__(
        self,
        place: Place,
        wanted: Wanted,
        *,
        launch: LaunchOptions,
        directory: Path,
        host_id: str,
        cache: ArtifactCache,
        watch: WatchOptions,
        neighbours: Neighbours,
        report: Callable[[], None],
    ) -> None:
        self.version = wanted.version
        self._wanted = wanted
        self.name = str(place)
        self._launcher = Launcher(self.name, wanted.version, directory, launch)
        self._cache = cache
        self._watch = watch
        self._report = report
        self._stop = asyncio.Event()
        self._named_again = asyncio.Event()
        self._nice = 0
        self._neighbours = neighbours
        self._keeps_apart = False
        self._has_hurried = False
        self._refetched = False
        self.refuses_settings = False
        self._child: Child | None = None
        self.state = ScorerProcess(
            ref=place.ref,
            replica=place.replica,
            address=launch.address,
            state=ScorerState.STARTING,
            artifact_digest=wanted.version.artifact_digest,
            host_id=host_id,
        )

    @property
    def cpu_user(self) -> CpuUser:
        return CpuUser(0 if self._child is None else self._child.pid, self._keeps_apart)

    def stop(self) -> None:
        """Ask `run` to drain the scorer and return."""
        self._stop.set()
        self._named_again.set()  # so that a place that is down notices too

    def name_again(self, wanted: Wanted) -> None:
        """Retry a place that is down, if the revision is a new one or the version takes traffic."""
        before, self._wanted = self._wanted, wanted
        takes_traffic = before.only_shadows and not wanted.only_shadows
        if takes_traffic or wanted.revision != before.revision:
            self._named_again.set()

    def renice(self, nice: int) -> None:
        """Set the niceness of the process, now and after restarts."""
        if nice == self._nice:
            return
        self._nice = nice
        if self._child is not None and self.state.state is ScorerState.READY:
            self._apply_nice(self._child.pid, nice)

    async def run(self) -> None:
        """Run the scorer until `stop`; return when its process has ended."""
        care = self._watch.care_of(self.state.address, self._neighbours.hung)
        await Keeper(self, care, self._stop).run()
        self._launcher.clean_up()

    async def start(self, stop: asyncio.Event) -> Child | None:
        """Fetch the artifact, then start the process, on the loading CPU if others serve."""
        self.refuses_settings = False
        self._change(state=ScorerState.STARTING, pid=None)
        try:
            folder = await unless_stopped(stop, self._cache.folder_of(self.version))
        except (CorruptedError, InvalidInputError) as error:
            raise ChildFailedError(Ending(str(error), refused=True)) from error
        if folder is None:
            return None
        self._keep_apart(
            apart=self._neighbours.serve()
        )  # the child inherits the CPUs of this process
        try:
            child = self._child = await self._launcher.start(folder)
        except BaseException:
            self._keep_apart(apart=False)
            raise
        self._neighbours.arrange_cpus()  # the CPUs that it inherited may have changed by now
        self._change(pid=child.pid, loaded_digest=None, started_at_ns=time.time_ns())
        self._has_hurried = False
        if self._loads_quietly():
            try_priority(set_idle, child.pid, scorer=self.name)
        _log.info("scorer_started", scorer=self.name, pid=child.pid)
        return child

    def while_starting(self, waited_s: float) -> None:
        """Stop yielding to others after a while; a busy machine might never let it become ready."""
        if self._child is None or self._has_hurried or waited_s < self._watch.load_idle_s:
            return
        self._has_hurried = True
        if self._loads_quietly():
            self._apply_nice(self._child.pid, max(self._nice, self._neighbours.load_nice))
        self._keep_apart(apart=False)

    async def became_ready(self, child: Child) -> None:
        self._apply_nice(child.pid, self._nice)
        self._keep_apart(apart=False)
        loaded = await loaded_digest(
            *(self.state.address, self.state.ref, self._watch.transport),
            timeout_s=self._watch.liveness.timeout_s,
        )
        self._change(state=ScorerState.READY, loaded_digest=loaded)
        _log.info("scorer_ready", scorer=self.name, pid=child.pid)
        if self.state.has_other_artifact:
            _log.error(
                "scorer_loaded_other_artifact",
                scorer=self.name,
                loaded=loaded,
                registered=self.version.artifact_digest,
            )

    async def before_stop(self) -> None:
        self._change(state=ScorerState.DRAINING)
        await asyncio.sleep(self._watch.leave_delay_s)  # routers stop choosing it in the meantime
        self._keep_apart(apart=self._neighbours.serve())  # its exit disturbs as much as its start

    def stopped(self, exit_code: int) -> None:
        if exit_code == -signal.SIGKILL:
            _log.warning("scorer_killed", scorer=self.name, why="it did not drain in time")

    def gone(self) -> None:
        self._child = None
        self._keep_apart(apart=False)  # the other processes must get their CPUs back

    def judged(self, ending: Ending) -> Ending:
        """Return `ending`, completed with the reason that the process wrote for its host."""
        refusal = self._launcher.refusal_of(ending)
        if refusal is None:
            return ending
        if refusal.corrupted and not self._refetched:
            # Our copy may have been corrupted since it was fetched and checked: fetch it again.
            self._refetched = True
            self._cache.forget(self.version)
            return replace(ending, why=refusal.why)
        return replace(ending, why=refusal.why, refused=True)

    def starts_again(self, ending: Ending, plan: Restart) -> None:
        self._change(restarts=self.state.restarts + 1)
        if not plan.is_over_budget:
            self.starts_later(ending.why, plan)
            return
        policy = self._watch.restarts
        why = f"{ending.why}; more than {policy.budget} failures in {policy.window_s:g} s"
        after_ms = round(plan.after_s * 1000)
        _log.error("scorer_keeps_failing", scorer=self.name, why=why, restart_after_ms=after_ms)
        self._change(state=ScorerState.FAILING, last_error=why, loaded_digest=None, pid=None)

    def starts_later(self, why: str, plan: Restart) -> None:
        after_ms = round(plan.after_s * 1000)
        _log.warning("scorer_failed", scorer=self.name, why=why, restart_after_ms=after_ms)
        self._change(state=ScorerState.RESTARTING, last_error=why, loaded_digest=None, pid=None)

    def may_give_up(self) -> bool:
        """Return whether the version only shadows: its loads cost CPU, and no caller waits for it."""
        return self._wanted.only_shadows

    async def rests(self, ending: Ending, given_up: GiveUp | None) -> bool:
        """Return when a new revision names the version again, or at a stop.

        A refused artifact of a version that takes traffic is also tried again after a while: the
        fault may have been in a copy of it, or in this machine.
        """
        state = ScorerState.REFUSED if given_up is None else ScorerState.GAVE_UP
        why = ending.why if given_up is None else f"{ending.why}; {given_up}"
        _log.error("scorer_stays_down", scorer=self.name, state=state.value, why=why)
        self.refuses_settings = ending.exit_code == USAGE
        self._change(state=state, last_error=why, loaded_digest=None, pid=None)
        if not self._stop.is_set():
            self._named_again.clear()
            await self._until_named_again(ending)
        self._refetched = False
        return True

    async def _until_named_again(self, ending: Ending) -> None:
        is_for_good = self._wanted.only_shadows or ending.exit_code == USAGE
        # Not wait_for: in Python 3.11 it swallows a cancellation that coincides with the event.
        with suppress(TimeoutError):
            async with asyncio.timeout(None if is_for_good else self._watch.restarts.window_s):
                await self._named_again.wait()

    def _loads_quietly(self) -> bool:
        neighbours = self._neighbours
        return neighbours.load_nice > 0 and neighbours.serve() and may_set_down_to(self._nice)

    def _keep_apart(self, *, apart: bool) -> None:
        self._keeps_apart = apart
        self._neighbours.arrange_cpus()

    def _apply_nice(self, pid: int, nice: int) -> None:
        try_priority(partial(set_nice, nice), pid, scorer=self.name)

    def _change(self, **facts: object) -> None:
        self.state = replace(self.state, **facts)  # type: ignore[arg-type]  # fields by name
        self._report()
