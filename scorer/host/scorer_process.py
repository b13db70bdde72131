"""The supervision of one place: start its scorer, watch it, restart it, drain it.

STARTING --ready by RPC-->           READY
STARTING --no process-->             RESTARTING --back-off-->  STARTING  (without limit)
STARTING, READY --died, hung-->      RESTARTING --back-off-->  STARTING  (within the budget)
STARTING --artifact refused-->       REFUSED
RESTARTING --budget spent-->         GAVE_UP
REFUSED, GAVE_UP --named again-->    STARTING
any --asked to stop-->               DRAINING
"""

import asyncio
import random
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
from understudy.domain.errors import CorruptedError, InvalidInputError, UnderstudyError
from understudy.domain.restarts import GiveUp, Restart, RestartHistory, RestartPolicy
from understudy.domain.snapshots import ScorerProcess, ScorerState
from understudy.runtime.supervision.probe import Probe, ProbeAnswer
from understudy.runtime.unless_stopped import unless_stopped

_log = structlog.get_logger()
_READY_POLL_S = 0.05


@dataclass(frozen=True, slots=True)
class WatchTimes:
    start_timeout_s: float
    load_idle_s: float
    probe_interval_s: float
    probe_timeout_s: float
    probe_misses: int
    leave_delay_s: float
    kill_after_s: float


@dataclass(frozen=True, slots=True)
class Neighbours:
    """The interface of a scorer to the other scorers of its host."""

    serve: Callable[[], bool]  # whether any of them is ready, and would be disturbed
    arrange_cpus: Callable[[], None]
    load_nice: int  # niceness next to serving ones; 0 for full speed


class ProcessEndedError(Exception):
    """The scorer process has ended, or was killed because it hung."""

    def __init__(self, why: str, *, refused: bool = False) -> None:
        super().__init__(why)
        self.refused = refused


class SupervisedScorer:
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
        times: WatchTimes,
        restarts: RestartPolicy,
        neighbours: Neighbours,
        report: Callable[[], None],
    ) -> None:
        self.version = wanted.version
        self._revision = wanted.revision
        self._name = str(place)
        self._launcher = Launcher(self._name, wanted.version, directory, launch)
        self._cache = cache
        self._times = times
        self._history = RestartHistory(restarts)
        self._report = report
        self._stop = asyncio.Event()
        self._named_again = asyncio.Event()
        self._nice = 0
        self._neighbours = neighbours
        self._keeps_apart = False
        self._refetched = False
        self._process: asyncio.subprocess.Process | None = None
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
        pid = 0 if self._process is None else self._process.pid
        return CpuUser(pid, self._keeps_apart)

    def stop(self) -> None:
        """Ask `run` to drain the scorer and return."""
        self._stop.set()
        self._named_again.set()  # so that a place that is down notices too

    def name_again(self, revision: int) -> None:
        """Retry a place that is down, if `revision` of its deployment is a new one."""
        if revision != self._revision:
            self._revision = revision
            self._named_again.set()

    def renice(self, nice: int) -> None:
        """Set the niceness of the process, now and after restarts."""
        if nice == self._nice:
            return
        self._nice = nice
        if self._process is not None and self.state.state is ScorerState.READY:
            self._apply_nice(self._process.pid, nice)

    async def run(self) -> None:
        """Run the scorer until `stop`; return when its process has ended."""
        while not self._stop.is_set():
            try:
                await self._run_once()
            except ProcessEndedError as ended:
                if ended.refused:
                    await self._rest(ScorerState.REFUSED, str(ended))
                else:
                    await self._back_off(str(ended))
            except (CorruptedError, InvalidInputError) as error:
                await self._rest(ScorerState.REFUSED, str(error))
            except (UnderstudyError, OSError) as error:  # the registry is away, the disk is full
                await self._try_later(f"not started: {error}")
        self._launcher.clean_up()

    async def _run_once(self) -> None:
        """Start the process and watch it; return when asked to stop."""
        self._change(state=ScorerState.STARTING, pid=0)
        folder = await unless_stopped(self._stop, self._cache.folder_of(self.version))
        if folder is None:
            return
        process: asyncio.subprocess.Process | None = None
        try:
            process = await self._start(folder)
            probe = Probe(self.state.address)
            await self._until_ready(process, probe)
            if not self._stop.is_set():
                self._apply_nice(process.pid, self._nice)
                self._keep_apart(apart=False)
                self._history = self._history.started()
                loaded = await loaded_digest(
                    self.state.address, self.state.ref, timeout_s=self._times.probe_timeout_s
                )
                self._change(state=ScorerState.READY, loaded_digest=loaded)
                _log.info("scorer_ready", scorer=self._name, pid=process.pid)
                await self._watch(process, probe)
            await self._drain(process)
        finally:
            # First, and without an await: the other processes must get their CPUs back.
            self._process = None
            self._keep_apart(apart=False)
            if process is not None and process.returncode is None:
                process.kill()
                await process.wait()

    async def _start(self, folder: Path) -> asyncio.subprocess.Process:
        """Start the process, on the loading CPU if others serve; it inherits this process's CPUs."""
        self._keep_apart(apart=self._neighbours.serve())
        process = self._process = await self._launcher.start(folder)
        self._neighbours.arrange_cpus()  # the process started with our CPUs, which may have changed by now
        self._change(pid=process.pid, loaded_digest=None, started_at_ns=time.time_ns())
        if self._loads_quietly():
            try_priority(set_idle, process.pid, scorer=self._name)
        _log.info("scorer_started", scorer=self._name, pid=process.pid)
        return process

    async def _until_ready(self, process: asyncio.subprocess.Process, probe: Probe) -> None:
        started_s = time.monotonic()
        give_up_at_s = started_s + self._times.start_timeout_s
        hurry_at_s = started_s + self._times.load_idle_s
        while not self._stop.is_set():
            if await probe.ask(self._times.probe_timeout_s) is ProbeAnswer.SERVING:
                return
            await self._pause(process, _READY_POLL_S)
            if time.monotonic() >= hurry_at_s:
                # Otherwise a busy machine might never let it become ready.
                if self._loads_quietly():
                    self._apply_nice(process.pid, max(self._nice, self._neighbours.load_nice))
                self._keep_apart(apart=False)
                hurry_at_s = give_up_at_s
            if time.monotonic() >= give_up_at_s:
                raise ProcessEndedError(f"not ready after {self._times.start_timeout_s:g} s")

    async def _watch(self, process: asyncio.subprocess.Process, probe: Probe) -> None:
        """Return when asked to stop.

        Raises:
            ProcessEndedError: the process ended, or was killed for missing too many probes.
        """
        misses = 0
        while not self._stop.is_set():
            await self._pause(process, self._times.probe_interval_s)
            if self._stop.is_set():
                return
            answer = await probe.ask(self._times.probe_timeout_s)
            misses = misses + 1 if answer is ProbeAnswer.NONE else 0
            if misses >= self._times.probe_misses:
                raise ProcessEndedError(f"hung: {misses} liveness probes without an answer")

    async def _pause(self, process: asyncio.subprocess.Process, pause_s: float) -> None:
        """Wait for `pause_s`, or until asked to stop; raise if the process ends."""
        ended = asyncio.ensure_future(process.wait())
        asked = asyncio.ensure_future(self._stop.wait())
        try:
            await asyncio.wait({ended, asked}, timeout=pause_s, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (ended, asked):
                task.cancel()
            await asyncio.gather(ended, asked, return_exceptions=True)
        if process.returncode is not None and not self._stop.is_set():
            raise self._ended(process.returncode)

    def _ended(self, code: int) -> ProcessEndedError:
        ending = self._launcher.ending_of(code)
        if ending.corrupted and not self._refetched:
            # Our copy may have been corrupted since it was fetched and checked: fetch it again.
            self._refetched = True
            self._cache.forget(self.version)
            return ProcessEndedError(ending.why)
        return ProcessEndedError(ending.why, refused=ending.refused)

    async def _drain(self, process: asyncio.subprocess.Process) -> None:
        self._change(state=ScorerState.DRAINING)
        await asyncio.sleep(self._times.leave_delay_s)  # routers stop choosing it in the meantime
        self._keep_apart(apart=self._neighbours.serve())  # its exit disturbs as much as its start
        with suppress(ProcessLookupError):
            process.terminate()
        try:
            async with asyncio.timeout(self._times.kill_after_s):
                await process.wait()
        except TimeoutError:
            _log.warning("scorer_killed", scorer=self._name, why="it did not drain in time")

    async def _back_off(self, why: str) -> None:
        self._history, plan = self._history.failed(time.monotonic(), random.random())  # noqa: S311 - jitter
        match plan:
            case GiveUp():
                await self._rest(ScorerState.GAVE_UP, f"{why}; {plan}")
            case Restart():
                self._change(restarts=self.state.restarts + 1)
                await self._wait_to_restart(why, plan)

    async def _try_later(self, why: str) -> None:
        self._history, plan = self._history.not_started(random.random())  # noqa: S311 - jitter
        await self._wait_to_restart(why, plan)

    async def _wait_to_restart(self, why: str, plan: Restart) -> None:
        after_ms = round(plan.after_s * 1000)
        _log.warning("scorer_failed", scorer=self._name, why=why, restart_after_ms=after_ms)
        self._change(state=ScorerState.RESTARTING, last_error=why, loaded_digest=None, pid=None)
        with suppress(TimeoutError):
            async with asyncio.timeout(plan.after_s):
                await self._stop.wait()

    async def _rest(self, state: ScorerState, why: str) -> None:
        _log.error("scorer_stays_down", scorer=self._name, state=state.value, why=why)
        self._change(state=state, last_error=why, loaded_digest=None, pid=None)
        if not self._stop.is_set():
            self._named_again.clear()
            await self._named_again.wait()
        self._history = RestartHistory(self._history.policy)
        self._refetched = False

    def _loads_quietly(self) -> bool:
        neighbours = self._neighbours
        return neighbours.load_nice > 0 and neighbours.serve() and may_set_down_to(self._nice)

    def _keep_apart(self, *, apart: bool) -> None:
        self._keeps_apart = apart
        self._neighbours.arrange_cpus()

    def _apply_nice(self, pid: int, nice: int) -> None:
        try_priority(partial(set_nice, nice), pid, scorer=self._name)

    def _change(self, **facts: object) -> None:
        self.state = replace(self.state, **facts)  # type: ignore[arg-type]  # fields by name
        self._report()
