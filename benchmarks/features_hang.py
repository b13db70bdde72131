"""A store that hangs under load: the latency for callers, and the time to recovery.

The server is stopped by SIGSTOP, which looks from outside like a dead disk (see
`benchmarks.features_aerospike`). Calls arrive at a fixed rate, whether earlier ones were
answered or not.
"""

import asyncio
import os
import signal
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import grpc
import numpy as np

from benchmarks.features_aerospike import open_stoppable_aerospike
from benchmarks.model import ENTITIES
from benchmarks.request_path import RequestPath, open_request_path, request_of
from benchmarks.rows import Effort, Row, Scenario
from understudy.control.wire_enums import LEVEL_OF
from understudy.domain.deployments import DegradationLevel
from understudy.scoring.v1 import scoring_pb2_grpc
from understudy.scoring.v1.scoring_pb2 import DEGRADATION_LEVEL_FULL as FULL

CALLS_PER_S = 300
TRIP_MS = 50.0
# The queue, the scorer and the wire come on top of the trip, as they do without a hang.
GOAL_P99_MS = 2 * TRIP_MS
_TIMEOUT_S = 2.0
_RECOVERY_LIMIT_S = 10.0


@dataclass(frozen=True, slots=True)
class _Call:
    took_ms: float
    level: DegradationLevel


async def measure_hang(effort: Effort, folder: Path) -> list[Row]:
    async with (
        open_stoppable_aerospike(folder) as server,
        open_request_path(folder / "path", kept=folder.parent, store_url=server.url) as path,
    ):
        assert server.pid is not None  # noqa: S101 - a stoppable server has one
        seconds = effort.rounds * effort.seconds / 2
        await _calls(path, seconds / 2)
        well = await _calls(path, seconds)
        os.kill(server.pid, signal.SIGSTOP)
        try:
            hung = await _calls(path, seconds)
        finally:
            os.kill(server.pid, signal.SIGCONT)
        recovered_s = await _until_full(path)
    p99_ms = _percentile_ms(hung, 99)
    levels = Counter(call.level.name for call in hung)
    return [
        Row(
            name=f"score while {server.title} hangs",
            requests_per_s=CALLS_PER_S,
            goal=f"p99 <= {GOAL_P99_MS:.0f} ms, every call answered",
            met=p99_ms <= GOAL_P99_MS,
            note=f"p50 {_percentile_ms(hung, 50):.1f}, p99 {p99_ms:.1f} ms (before: "
            f"{_percentile_ms(well, 50):.1f} and {_percentile_ms(well, 99):.1f}); answered at "
            f"{dict(levels)}; full again {recovered_s:.2f} s after the end of the hang",
        )
    ]


async def _calls(path: RequestPath, seconds: float) -> list[_Call]:
    """Make calls at a fixed rate; every call has to be answered."""
    async with grpc.aio.insecure_channel(path.address) as channel, asyncio.TaskGroup() as callers:
        stub = scoring_pb2_grpc.ScoringServiceStub(channel)
        start_s = time.perf_counter()
        calls = []
        for number in range(round(seconds * CALLS_PER_S)):
            calls.append(callers.create_task(_call(stub, f"u{number % ENTITIES}")))
            due_s = start_s + number / CALLS_PER_S
            await asyncio.sleep(max(0.0, due_s - time.perf_counter()))
    return [call.result() for call in calls]


async def _call(stub: "scoring_pb2_grpc.ScoringServiceAsyncStub", entity_id: str) -> _Call:
    start_s = time.perf_counter()
    answer = await stub.Score(request_of(entity_id), timeout=_TIMEOUT_S)
    level = LEVEL_OF[answer.degradation.level]
    return _Call((time.perf_counter() - start_s) * 1000, level)


async def _until_full(path: RequestPath) -> float:
    start_s = time.perf_counter()
    async with asyncio.timeout(_RECOVERY_LIMIT_S):
        while (await path.score("u0")).degradation.level != FULL:  # noqa: ASYNC110 - the router sends no event
            await asyncio.sleep(0.02)
    return time.perf_counter() - start_s


def _percentile_ms(calls: list[_Call], percentile: float) -> float:
    return float(np.percentile([call.took_ms for call in calls], percentile))


SCENARIOS = (Scenario("aerospike-hang", measure_hang),)
