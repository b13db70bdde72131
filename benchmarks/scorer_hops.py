"""One exchange between the router's adapter and a real scorer, over both hops in turns: latency and CPU of both ends.

The client is this process, on the event loop of a router; the scorer runs 100 trees over 200 features.
"""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import numpy as np
import psutil
import uvloop

from benchmarks.conversion import PROBABILITIES
from benchmarks.model import make_files
from benchmarks.rows import Effort, Row, Scenario
from benchmarks.scorer_infer import WIDTH
from router.adapters.open_oip_scorer import open_oip_scorer
from router.decisions.hop import Hop
from router.ports import ClosableScorer
from understudy.artifact.artifact import describe_artifact
from understudy.domain.snapshots import VersionSpec
from understudy.domain.versions import ScoreOutput, TensorSpec, VersionRef, artifact_digest
from understudy.runtime.supervision.supervisor import ProcessSpec, Supervisor
from understudy.runtime.transport.transport import LOCAL

_KEPT = Path(".understudy") / "benchmarks" / "scorer"
_MODEL = "bench"
_SCORER = "scorer"
_TIMEOUT_S = 10.0
_SHAPES = ((1, 1), (1, 8), (30, 1), (30, 2))  # rows of a request, requests in flight


@dataclass(frozen=True, slots=True)
class _Exchanges:
    """Requests of one shape over one hop, in one round: per request."""

    wall_us: float
    client_cpu_us: float
    scorer_cpu_us: float


async def measure_exchange(effort: Effort, folder: Path) -> list[Row]:
    """Measure each hop in each shape, in turns."""
    artifact = make_files(_KEPT, width=WIDTH, versions=1).artifacts[0]
    address = f"unix:{folder / 'scorer.sock'}"
    arguments = ("-m", "scorer", "serve", str(artifact), "--name", _MODEL, "--listen", address)
    async with Supervisor(folder / "process-logs") as supervisor:
        await supervisor.start(ProcessSpec(_SCORER, arguments, health_target=address))
        pid = supervisor.pids()[_SCORER]
        return await asyncio.to_thread(_measure_in_thread, effort, address, _version(artifact), pid)


def _measure_in_thread(effort: Effort, address: str, version: VersionSpec, pid: int) -> list[Row]:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_measure(effort, address, version, pid))


async def _measure(effort: Effort, address: str, version: VersionSpec, pid: int) -> list[Row]:
    scorers = {hop: open_oip_scorer(address, None, LOCAL, hop) for hop in Hop}
    measured: dict[tuple[Hop, int, int], list[_Exchanges]] = {}
    try:
        for hop, scorer in scorers.items():
            await scorer.require_ready(version.ref, version.artifact_digest, timeout_s=_TIMEOUT_S)
            if scorer.hop is not hop:
                raise AssertionError(f"asked over {scorer.hop}, not over {hop}")
        for turn in range(-1, effort.rounds):  # the first one warms up
            for rows, in_flight in _SHAPES:
                for hop, scorer in scorers.items():
                    found = await _exchange(
                        scorer, version, rows, in_flight, pid, seconds=effort.seconds
                    )
                    if turn >= 0:
                        measured.setdefault((hop, rows, in_flight), []).append(found)
    finally:
        for scorer in scorers.values():
            await scorer.close()
    return [_row(hop, rows, in_flight, measured) for rows, in_flight in _SHAPES for hop in Hop]


async def _exchange(
    scorer: ClosableScorer,
    version: VersionSpec,
    rows: int,
    in_flight: int,
    pid: int,
    *,
    seconds: float,
) -> _Exchanges:
    tensors = (np.random.default_rng(rows).normal(size=(rows, WIDTH)).astype(np.float32),)
    process = psutil.Process(pid)
    ended = 0
    until_s = time.monotonic() + seconds

    async def ask() -> None:
        nonlocal ended
        while time.monotonic() < until_s:
            inferred = await scorer.infer(version, tensors, timeout_s=_TIMEOUT_S)
            if len(inferred.scores) != rows:
                raise AssertionError(f"{len(inferred.scores)} scores for {rows} rows")
            ended += 1

    scorer_before_s, before_s = _cpu_s(process), time.process_time()
    started_s = time.perf_counter()
    await asyncio.gather(*(ask() for _ in range(in_flight)))
    wall_s = time.perf_counter() - started_s
    client_s, scorer_s = time.process_time() - before_s, _cpu_s(process) - scorer_before_s
    return _Exchanges(*(each / ended * 1e6 for each in (wall_s, client_s, scorer_s)))


def _cpu_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def _version(artifact: Path) -> VersionSpec:
    _, files = describe_artifact(artifact)
    return VersionSpec(
        ref=VersionRef(_MODEL, 1),
        artifact_digest=artifact_digest(files),
        files=files,
        provenance_digest="",
        inputs=(TensorSpec("features", "FP32", (-1, WIDTH)),),
        outputs=(),
        feature_set=(),
        feature_views=(),
        score_output=ScoreOutput(PROBABILITIES, 1),
        golden_tolerance=1e-4,
    )


def _row(
    hop: Hop,
    rows: int,
    in_flight: int,
    measured: Mapping[tuple[Hop, int, int], list[_Exchanges]],
) -> Row:
    own = measured[hop, rows, in_flight]
    wall_us = median(each.wall_us for each in own)
    ratio = median(
        over_grpc.wall_us / each.wall_us
        for each, over_grpc in zip(own, measured[Hop.GRPC, rows, in_flight], strict=True)
    )
    return Row(
        name=f"exchange over {hop}, {rows} rows, {in_flight} in flight",
        requests_per_s=round(1e6 / wall_us, 1),
        cpu_us_per_request={
            "client": median(each.client_cpu_us for each in own),
            "scorer": median(each.scorer_cpu_us for each in own),
        },
        mean_batch_rows=rows,
        goal="for comparison" if hop is Hop.GRPC else f">= 1 x the rate over grpc: {ratio:.2f}",
        met=None if hop is Hop.GRPC else ratio >= 1,
        note=f"{wall_us * in_flight:.0f} us from request to answer",
    )


SCENARIOS = (Scenario("exchange", measure_exchange),)
