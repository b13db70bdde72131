"""One place of the fleet: start its scorer, watch it, start it again, drain it.

STARTING --ready by RPC-->        READY
STARTING, READY --died, hung-->   RESTARTING --back-off-->  STARTING
STARTING --artifact refused-->    REFUSED    (for good)
RESTARTING --budget spent-->      GAVE_UP    (for good)
any --asked to stop-->            DRAINING
"""

import asyncio
import json
import os
import random
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import structlog

from domain.errors import CorruptedError, InvalidInputError, UnderstudyError
from domain.snapshots import ScorerProcess, ScorerState
from runtime.exit_codes import DATA_ERROR
from scorer.artifact_cache import ArtifactCache
from scorer.decisions.fleet import Place, Wanted
from scorer.decisions.restarts import GiveUp, Restart, RestartHistory, RestartPolicy
from scorer.expectation import expectation_of, write_expectation
from scorer.priority import may_set_down_to, set_idle, set_nice
from scorer.probe import Probe, ProbeAnswer

_log = structlog.get_logger()
_READY_POLL_S = 0.05
_ONE_EACH = {"SCORER_LISTEN", "SCORER_METRICS_PORT"}  # scorers of a host cannot share these


@dataclass(frozen=True, slots=True)
class WatchTimes:
    start_timeout_s: float
    load_idle_s: float
    probe_interval_s: float
    probe_timeout_s: float
    probe_misses: int
    leave_delay_s: float
    drain_grace_s: float
    kill_after_s: float


class ProcessEndedError(Exception):
    """The scorer process is not running any more, or was killed by us because it hung."""

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
        address: str,
        metrics_port: int | None,
        directory: Path,
        host_id: str,
        cache: ArtifactCache,
        times: WatchTimes,
        restarts: RestartPolicy,
        load_nice: Callable[[], int],
        report: Callable[[], None],
    ) -> None:
        self._version = wanted.version
        self._directory = directory
        self._name = str(place)
        self._metrics_port = metrics_port
        self._cache = cache
        self._times = times
        self._history = RestartHistory(restarts)
        self._report = report
        self._stop = asyncio.Event()
        self._nice = 0
        self._load_nice = load_nice
        self._refetched = False
        self._process: asyncio.subprocess.Process | None = None
        self.state = ScorerProcess(
            ref=place.ref,
            replica=place.replica,
            address=address,
            state=ScorerState.STARTING,
            artifact_digest=wanted.version.artifact_digest,
            restarts=0,
            last_error="",
            started_at_s=0.0,
            host_id=host_id,
            pid=0,
        )

    def stop(self) -> None:
        """Ask `run` to drain the scorer and return."""
        self._stop.set()

    def renice(self, nice: int) -> None:
        """Give the process, now and after restarts, this niceness."""
        if nice == self._nice:
            return
        self._nice = nice
        if self._process is not None and self.state.state is ScorerState.READY:
            self._apply_nice(self._process.pid, nice)

    async def run(self) -> None:
        """Run the scorer until `stop`; return when its process is gone."""
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
            except UnderstudyError as error:
                await self._back_off(str(error))
        for path in (self._expectation_file, self._status_file):
            path.unlink(missing_ok=True)

    async def _run_once(self) -> None:
        """Start the process and watch it; return when asked to stop."""
        self._change(state=ScorerState.STARTING, pid=0)
        folder = await self._cache.folder_of(self._version)
        process = await self._start(folder)
        probe = Probe(self.state.address)
        try:
            await self._until_ready(process, probe)
            if not self._stop.is_set():
                self._apply_nice(process.pid, self._nice)
                self._change(state=ScorerState.READY)
                _log.info("scorer_ready", scorer=self._name, pid=process.pid)
                await self._watch(process, probe)
            await self._drain(process)
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
            self._process = None

    async def _start(self, folder: Path) -> asyncio.subprocess.Process:
        write_expectation(self._expectation_file, expectation_of(self._version))
        self._status_file.unlink(missing_ok=True)
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "scorer", "serve", str(folder)),
            *("--name", self._version.ref.model),
            *("--version-number", str(self._version.ref.number)),
            *("--listen", self.state.address),
            *("--expect", str(self._expectation_file)),
            *("--status-file", str(self._status_file)),
            *(() if self._metrics_port is None else ("--metrics-port", str(self._metrics_port))),
            *("--under-host", str(os.getpid())),
            stdin=asyncio.subprocess.DEVNULL,
            env=self._environment(),
        )
        self._process = process
        self._change(pid=process.pid, started_at_s=datetime.now(UTC).timestamp())
        if self._loads_quietly():
            self._prioritise(set_idle, process.pid)
        _log.info("scorer_started", scorer=self._name, pid=process.pid)
        return process

    def _environment(self) -> dict[str, str]:
        inherited = {name: value for name, value in os.environ.items() if name not in _ONE_EACH}
        return {**inherited, "SCORER_DRAIN_GRACE_S": str(self._times.drain_grace_s)}

    async def _until_ready(self, process: asyncio.subprocess.Process, probe: Probe) -> None:
        started_s = time.monotonic()
        give_up_at_s = started_s + self._times.start_timeout_s
        hurry_at_s = started_s + self._times.load_idle_s
        while not self._stop.is_set():
            if await probe.ask(self._times.probe_timeout_s) is ProbeAnswer.SERVING:
                return
            await self._pause(process, _READY_POLL_S)
            if time.monotonic() >= hurry_at_s:
                # A busy machine would never let it be ready.
                if self._loads_quietly():
                    self._apply_nice(process.pid, max(self._nice, self._load_nice()))
                hurry_at_s = give_up_at_s
            if time.monotonic() >= give_up_at_s:
                raise ProcessEndedError(f"not ready after {self._times.start_timeout_s:g} s")

    async def _watch(self, process: asyncio.subprocess.Process, probe: Probe) -> None:
        """Return when asked to stop.

        Raises:
            ProcessEndedError: it ended, or it did not answer so often that we ended it.
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
        """Wait for `pause_s`, or less when asked to stop; raise when the process ends."""
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
        if code == DATA_ERROR:
            return self._refusal()
        if code < 0:
            return ProcessEndedError(f"killed by {signal.Signals(-code).name}")
        return ProcessEndedError(f"exited with {code}")

    def _refusal(self) -> ProcessEndedError:
        try:
            facts = json.loads(self._status_file.read_text())
            why, corrupted = str(facts["why"]), facts["kind"] == CorruptedError.__name__
        except (OSError, ValueError, KeyError):
            why, corrupted = "artifact refused; see the scorer's log", False
        if corrupted and not self._refetched:
            # Our copy may have gone bad since it was fetched and checked: fetch once more.
            self._refetched = True
            self._cache.forget(self._version)
            return ProcessEndedError(why)
        return ProcessEndedError(why, refused=True)

    async def _drain(self, process: asyncio.subprocess.Process) -> None:
        self._change(state=ScorerState.DRAINING)
        await asyncio.sleep(self._times.leave_delay_s)  # routers stop choosing it meanwhile
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
                text = f"{why}; gave up after {plan.restarts} restarts in {plan.window_s:g} s"
                await self._rest(ScorerState.GAVE_UP, text)
            case Restart():
                _log.warning(
                    "scorer_failed",
                    scorer=self._name,
                    why=why,
                    restart_after_ms=round(plan.after_s * 1000),
                )
                self._change(
                    state=ScorerState.RESTARTING,
                    last_error=why,
                    pid=0,
                    restarts=self.state.restarts + 1,
                )
                with suppress(TimeoutError):
                    async with asyncio.timeout(plan.after_s):
                        await self._stop.wait()

    async def _rest(self, state: ScorerState, why: str) -> None:
        _log.error("scorer_stays_down", scorer=self._name, state=state.value, why=why)
        self._change(state=state, last_error=why, pid=0)
        await self._stop.wait()

    def _loads_quietly(self) -> bool:
        return self._load_nice() > 0 and may_set_down_to(self._nice)

    def _apply_nice(self, pid: int, nice: int) -> None:
        self._prioritise(partial(set_nice, nice), pid)

    def _prioritise(self, act: Callable[[int], None], pid: int) -> None:
        try:
            act(pid)
        except OSError as error:
            _log.warning("priority_not_set", scorer=self._name, why=str(error))

    def _change(self, **facts: object) -> None:
        self.state = replace(self.state, **facts)  # type: ignore[arg-type]  # fields by name
        self._report()

    @property
    def _expectation_file(self) -> Path:
        return self._directory / f"{self._name}.expect.json"

    @property
    def _status_file(self) -> Path:
        return self._directory / f"{self._name}.status.json"
