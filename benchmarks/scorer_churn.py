"""Versions are loaded and unloaded on a host while another one answers steady load next to them.

Each round has ten cycles of load and unload after a quiet stretch, in turns: `--rounds 100` makes
the thousand cycles of the goal; an ordinary run has as many as its rounds allow.

Caller and registry represent other machines, so neither may be part of the disturbance: the
caller is a process that only measures, off the CPU on which the host loads (the last one); the
registry, which is this process, stays on that CPU.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic

import numpy as np
import psutil

from benchmarks.model import MODEL, BenchFiles, make_files
from benchmarks.registry_in_memory import InMemoryRegistry, describe_version, open_registry
from benchmarks.rows import Effort, Row, Scenario
from benchmarks.scorer_infer import WIDTH
from benchmarks.scorer_steady_load import CALLS_PER_S, Call, SteadyLoad, steady_load
from scorer.host.loading_cpu import LINGER_S
from scorer.machine.affinity import set_cpus
from understudy.domain.deployments import Deployment, Shadow
from understudy.domain.snapshots import ScorerState
from understudy.domain.versions import VersionRef
from understudy.features.views import load_views
from understudy.runtime.free_port import free_port
from understudy.runtime.supervision.supervisor import ProcessSpec, Supervisor

CYCLES_PER_ROUND = 10
MOST_P99_RATIO = 1.2
MOST_HOST_GROWTH_MIB = 16.0
_STAYS, _COMES_AND_GOES = 1, 2
_KEPT = Path(".understudy") / "benchmarks" / "scorer-churn"
_QUIET = {"SCORER_HOST_LEAVE_DELAY_S": "0.1", "SCORER_UNREADY_DELAY_S": "0"}
_PHASE_LIMIT_S = 120.0
_WARM_UP_S = 2.0
_SETTLE_S = LINGER_S + 0.1  # after a change, until all processes may use all CPUs again


class ChurnRegistry(InMemoryRegistry):
    """A registry whose deployment repeatedly gains and loses a shadow."""

    async def cycle(self) -> None:
        """Deploy the shadow, wait until it is ready, remove it, and wait until it has exited."""
        await self._deploy(shadow=True)
        await self._until_running(2)
        await self._deploy(shadow=False)
        await self._until_running(1)

    async def _deploy(self, *, shadow: bool) -> None:
        (before,) = self._snapshot.deployments
        await self.deploy(_deployment(shadow=shadow).numbered(before.revision + 1))

    async def first(self) -> str:
        """Return the address of the permanent version, once it is ready."""
        await self._until_running(1)
        return self._snapshot.scorers[0].address

    async def _until_running(self, versions: int) -> None:
        async with asyncio.timeout(_PHASE_LIMIT_S), self._changed:
            await self._changed.wait_for(lambda: self._run_and_are_ready(versions))

    def _run_and_are_ready(self, versions: int) -> bool:
        states = [each.state for each in self._snapshot.scorers]
        return states == [ScorerState.READY] * versions


@dataclass(slots=True)
class Phases:
    """The quiet and the busy periods; spans of time.monotonic."""

    quiet: list[tuple[float, float]] = field(default_factory=list)
    churning: list[tuple[float, float]] = field(default_factory=list)

    @property
    def churning_s(self) -> float:
        return sum(until_s - from_s for from_s, until_s in self.churning)


@dataclass(frozen=True, slots=True)
class Churned:
    before_ms: float  # p99
    during_ms: float  # p99
    cycles: int
    seconds: float
    host_growth_mib: float


async def measure_churn(effort: Effort, folder: Path) -> list[Row]:
    """Measure the p99 of the permanent version before and during the loading and unloading."""
    files = make_files(_KEPT, width=WIDTH, versions=2)
    cpus = sorted(os.sched_getaffinity(0))
    async with _open_host(files, folder) as (registry, host_pid):
        address = await registry.first()
        async with steady_load(address, cpus[:-1]) as load:
            with _kept_to(cpus[-1:]):
                churned = await _churn(registry, load, host_pid, effort)
    return [_row(churned)]


async def _churn(
    registry: ChurnRegistry, load: SteadyLoad, host_pid: int, effort: Effort
) -> Churned:
    host = psutil.Process(host_pid)
    await asyncio.sleep(_WARM_UP_S)
    await registry.cycle()  # one-time set-up happens here
    before_mib, phases = _mib(host), Phases()
    for _ in range(effort.rounds):
        await asyncio.sleep(_SETTLE_S)
        began_s = monotonic()
        await asyncio.sleep(effort.seconds)
        phases.quiet.append((began_s, monotonic()))
        began_s = monotonic()
        for _ in range(CYCLES_PER_ROUND):
            await registry.cycle()
        phases.churning.append((began_s, monotonic()))
    growth_mib = _mib(host) - before_mib
    await load.end()
    return Churned(
        before_ms=_p99_ms(load.calls, phases.quiet),
        during_ms=_p99_ms(load.calls, phases.churning),
        cycles=effort.rounds * CYCLES_PER_ROUND,
        seconds=phases.churning_s,
        host_growth_mib=growth_mib,
    )


@contextmanager
def _kept_to(cpus: Iterable[int]) -> Iterator[None]:
    """Restrict this process, which plays the registry of another machine, to `cpus`."""
    allowed = frozenset(os.sched_getaffinity(0))
    set_cpus(os.getpid(), frozenset(cpus))
    try:
        yield
    finally:
        set_cpus(os.getpid(), allowed)


def _p99_ms(calls: Sequence[Call], spans: Sequence[tuple[float, float]]) -> float:
    due_s = np.array([call.due_s for call in calls])
    latency_s = np.array([call.latency_s for call in calls])
    within = np.zeros(len(calls), dtype=bool)
    for from_s, until_s in spans:
        within |= (due_s >= from_s) & (due_s < until_s)
    return float(np.percentile(latency_s[within], 99)) * 1000


@asynccontextmanager
async def _open_host(files: BenchFiles, folder: Path) -> AsyncIterator[tuple[ChurnRegistry, int]]:
    view = load_views(files.views)[0]
    registry = ChurnRegistry(  # type: ignore[abstract]  # it implements only the RPCs used here
        _deployment(shadow=False),
        [
            describe_version(VersionRef(MODEL, number), artifact, view, files.feature_names)
            for number, artifact in enumerate(files.artifacts, start=1)
        ],
    )
    for artifact in files.artifacts:
        registry.add_artifact(artifact)
    health = f"127.0.0.1:{free_port()}"
    where = ("--dir", str(folder / "scorers"))
    async with (
        open_registry(registry, "127.0.0.1:0") as port,
        Supervisor(folder / "process-logs") as supervisor,
    ):
        arguments = ("-m", "scorer", "host", "--registry", f"127.0.0.1:{port}", "--listen", health)
        await supervisor.start(
            ProcessSpec("scorers", (*arguments, *where), health_target=health, environment=_QUIET)
        )
        yield registry, supervisor.pids()["scorers"]


def _deployment(*, shadow: bool) -> Deployment:
    shadows = (Shadow(_COMES_AND_GOES, 10_000),) if shadow else ()
    return Deployment(MODEL, 1, champion=_STAYS, salt="bench", shadows=shadows)


def _row(churned: Churned) -> Row:
    ratio = churned.during_ms / churned.before_ms
    return Row(
        name=f"scorer, {churned.cycles} versions come and go beside it",
        requests_per_s=float(CALLS_PER_S),
        goal=f"p99 during / before <= {MOST_P99_RATIO}, host memory flat",
        met=ratio <= MOST_P99_RATIO and churned.host_growth_mib <= MOST_HOST_GROWTH_MIB,
        note=(
            f"p99 {churned.before_ms:.2f} ms before, {churned.during_ms:.2f} ms during: "
            f"{ratio:.2f}; host memory {churned.host_growth_mib:+.1f} MiB; "
            f"{churned.seconds / churned.cycles:.2f} s a cycle; caller and registry represent other "
            "machines as separate processes, the caller off the last CPU, the registry on it"
        ),
    )


def _mib(process: psutil.Process) -> float:
    return float(process.memory_info().rss) / 2**20


SCENARIOS = (Scenario("scorer-churn", measure_churn),)
