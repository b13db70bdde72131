"""Versions come and go on a host while another version answers steady load beside them.

Ten cycles of load and unload per round, after a stretch of quiet, in turns: `--rounds 100` makes
the thousand that the goal speaks of; a usual run makes as many as its rounds allow.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter
from typing import Any

import grpc
import numpy as np
import psutil

from benchmarks.model import MODEL, BenchFiles, make_files
from benchmarks.registry_in_memory import InMemoryRegistry, describe_version, open_registry
from benchmarks.rows import Effort, Row, Scenario
from benchmarks.scorer_floor import SERVICE
from benchmarks.scorer_infer import WIDTH, infer_request
from domain.deployments import Deployment, Shadow
from domain.snapshots import ScorerState
from domain.versions import VersionRef
from features.views import load_views
from stack.supervisor import ProcessSpec, Supervisor, free_port
from understudy.oip import inference_pb2 as pb

CYCLES_PER_ROUND = 10
MOST_P99_RATIO = 1.2
MOST_HOST_GROWTH_MIB = 16.0
_CALLS_PER_S = 200
_STAYS, _COMES_AND_GOES = 1, 2
_KEPT = Path(".understudy") / "benchmarks" / "scorer-churn"
_QUIET = {"SCORER_HOST_LEAVE_DELAY_S": "0.1", "SCORER_UNREADY_DELAY_S": "0"}
_PHASE_LIMIT_S = 120.0


class ChurnRegistry(InMemoryRegistry):
    """A registry whose deployment gains and loses a shadow."""

    async def cycle(self) -> None:
        """Deploy the shadow, wait until it is ready; take it away, wait until it is gone."""
        await self.deploy(_deployment(shadow=True))
        await self._until_running(2)
        await self.deploy(_deployment(shadow=False))
        await self._until_running(1)

    async def first(self) -> str:
        """Return the address of the version that stays, once it is ready."""
        await self._until_running(1)
        return self._snapshot.scorers[0].address

    async def _until_running(self, versions: int) -> None:
        async with asyncio.timeout(_PHASE_LIMIT_S), self._changed:
            await self._changed.wait_for(lambda: self._run_and_are_ready(versions))

    def _run_and_are_ready(self, versions: int) -> bool:
        states = [each.state for each in self._snapshot.scorers]
        return states == [ScorerState.READY] * versions


@dataclass(slots=True)
class SteadyLoad:
    """Calls at a steady pace, whatever the answers take; latencies by phase."""

    call: Any
    request: pb.ModelInferRequest
    latencies_s: dict[str, list[float]] = field(default_factory=dict)
    phase: str = "warm-up"

    async def run(self) -> None:
        """Call until cancelled."""
        due_s = perf_counter()
        async with asyncio.TaskGroup() as tasks:
            while True:
                due_s += 1 / _CALLS_PER_S
                await asyncio.sleep(max(0.0, due_s - perf_counter()))
                tasks.create_task(self._one(due_s))

    async def _one(self, due_s: float) -> None:
        phase = self.phase
        await self.call(self.request, timeout=10)
        # From when it was due: a load that waits for slow answers would hide them.
        self.latencies_s.setdefault(phase, []).append(perf_counter() - due_s)

    def p99_ms(self, phase: str) -> float:
        return float(np.percentile(self.latencies_s[phase], 99)) * 1000


@dataclass(frozen=True, slots=True)
class Churned:
    load: SteadyLoad
    cycles: int
    seconds: float
    host_growth_mib: float


async def measure_churn(effort: Effort, folder: Path) -> list[Row]:
    """Measure the p99 of the version that stays, before and during the coming and going."""
    files = make_files(_KEPT, width=WIDTH, versions=2)
    async with _open_host(files, folder) as (registry, host_pid):
        address = await registry.first()
        async with grpc.aio.insecure_channel(address) as channel:
            churned = await _churn(registry, _caller(channel), host_pid, effort)
    return [_row(churned)]


async def _churn(registry: ChurnRegistry, call: Any, host_pid: int, effort: Effort) -> Churned:
    load = SteadyLoad(call, infer_request(1))
    running = asyncio.ensure_future(load.run())
    host = psutil.Process(host_pid)
    await asyncio.sleep(1.0)
    await registry.cycle()  # what is made once is made now
    before_mib, seconds = _mib(host), 0.0
    for _ in range(effort.rounds):
        load.phase = "before"
        await asyncio.sleep(effort.seconds)
        load.phase = "during"
        started_s = perf_counter()
        for _ in range(CYCLES_PER_ROUND):
            await registry.cycle()
        seconds += perf_counter() - started_s
    growth_mib = _mib(host) - before_mib
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    return Churned(load, effort.rounds * CYCLES_PER_ROUND, seconds, growth_mib)


@asynccontextmanager
async def _open_host(files: BenchFiles, folder: Path) -> AsyncIterator[tuple[ChurnRegistry, int]]:
    view = load_views(files.views)[0]
    registry = ChurnRegistry(  # type: ignore[abstract]  # it serves what is asked of it here
        _deployment(shadow=False),
        [
            describe_version(VersionRef(MODEL, number), artifact, view, files.feature_names)
            for number, artifact in enumerate(files.artifacts, start=1)
        ],
    )
    for artifact in files.artifacts:
        registry.add_artifact(artifact)
    server, port = await open_registry(registry, "127.0.0.1:0")
    health = f"127.0.0.1:{free_port()}"
    arguments = ("-m", "scorer", "host", "--registry", f"127.0.0.1:{port}", "--listen", health)
    where = ("--dir", str(folder / "scorers"))
    spec = ProcessSpec("scorers", (*arguments, *where), health_target=health, environment=_QUIET)
    try:
        async with Supervisor(folder / "process-logs") as supervisor:
            await supervisor.start(spec)
            yield registry, supervisor.pids()["scorers"]
    finally:
        await server.stop(None)


def _deployment(*, shadow: bool) -> Deployment:
    shadows = (Shadow(_COMES_AND_GOES, 10_000),) if shadow else ()
    return Deployment(MODEL, 1, champion=_STAYS, salt="bench", shadows=shadows)


def _caller(channel: grpc.aio.Channel) -> Any:
    call: Any = channel.unary_unary(
        f"/{SERVICE}/ModelInfer",
        request_serializer=pb.ModelInferRequest.SerializeToString,
        response_deserializer=pb.ModelInferResponse.FromString,
    )
    return call


def _row(churned: Churned) -> Row:
    before_ms, during_ms = (churned.load.p99_ms(phase) for phase in ("before", "during"))
    ratio = during_ms / before_ms
    return Row(
        name=f"scorer, {churned.cycles} versions come and go beside it",
        requests_per_s=float(_CALLS_PER_S),
        goal=f"p99 during / before <= {MOST_P99_RATIO}, host memory flat",
        met=ratio <= MOST_P99_RATIO and churned.host_growth_mib <= MOST_HOST_GROWTH_MIB,
        note=(
            f"p99 {before_ms:.2f} ms before, {during_ms:.2f} ms during: {ratio:.2f}; host memory "
            f"{churned.host_growth_mib:+.1f} MiB; {churned.seconds / churned.cycles:.2f} s a cycle"
        ),
    )


def _mib(process: psutil.Process) -> float:
    return float(process.memory_info().rss) / 2**20


SCENARIOS = (Scenario("scorer-churn", measure_churn),)
