"""Three times as many calls as can be answered: the share answered in time, and the refusals."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import grpc
import numpy as np

from benchmarks.measure import (
    Measured,
    Target,
    alternate,
    median_cpu_us,
    median_latency_s,
    median_others_share,
    median_rate,
)
from benchmarks.request_path import CHAMPION, RequestPath, open_request_path, request_of
from benchmarks.rows import Effort, Row, Scenario
from understudy.client.error_details import details_of
from understudy.scoring.v1 import scoring_pb2_grpc

OVERLOAD_TIMES = 3
LEAST_GOODPUT = 0.9
DEADLINE_S = 0.1  # of each probe: the router's default
FAST_S = DEADLINE_S / 2
_MOST_IN_FLIGHT = 8192  # over all connections: the load does not wait for answers
_MANY_CONNECTIONS = 32  # against those of the peak: here each packet brings one call
_PROBE_EVERY_S = 0.02


@dataclass(slots=True)
class Probes:
    """The results of callers with a deadline in the flood, with durations in seconds."""

    answered_s: list[float] = field(default_factory=list)
    refused_s: list[float] = field(default_factory=list)
    late: int = 0
    failed: int = 0

    @property
    def refused_fast(self) -> bool:
        return not self.refused_s or float(np.percentile(self.refused_s, 99)) <= FAST_S

    def __str__(self) -> str:
        return (
            f"of the probes with {DEADLINE_S * 1000:.0f} ms each {len(self.answered_s)} answered "
            f"({_spread(self.answered_s)}), {len(self.refused_s)} refused "
            f"({_spread(self.refused_s)}), {self.late} late, {self.failed} failed otherwise"
        )


async def measure_overload(effort: Effort, folder: Path) -> list[Row]:
    """Measure answers per second at three times the peak relative to the peak, and latencies.

    h2load opens and loads the generator's connections; the probes are calls of an
    ordinary client next to it. Refusals carry no bytes.
    """
    async with open_request_path(folder) as path:
        entity_ids = await path.entities_of(CHAMPION, 1)
        peak = await path.target("peak", entity_ids)
        peak_per_s = median_rate((await alternate([peak], replace(effort, rounds=1)))[peak.name])
        return [
            await _measure_flood(path, peak, entity_ids[0], effort, peak_per_s, connections)
            for connections in (peak.load.connections, _MANY_CONNECTIONS)
        ]


async def _measure_flood(
    path: RequestPath,
    peak: Target,
    entity_id: str,
    effort: Effort,
    peak_per_s: float,
    connections: int,
) -> Row:
    load = replace(
        peak.load,
        connections=connections,
        in_flight=_MOST_IN_FLIGHT // connections,
        sent_per_s=round(OVERLOAD_TIMES * peak_per_s),
    )
    flood = replace(peak, name="flood", load=load, may_refuse=True)
    peaks: list[Measured] = []
    floods: list[Measured] = []
    probes = Probes()
    once = replace(effort, rounds=1)
    for _ in range(effort.rounds):
        peaks += (await alternate([peak], once))[peak.name]
        async with probing(path, entity_id, probes):
            floods += (await alternate([flood], once))[flood.name]
    goodputs = _goodputs(peaks, floods)
    share = sorted(goodputs)[len(goodputs) // 2]
    return Row(
        name=f"open loop at {OVERLOAD_TIMES} x the peak, {connections} connections, answers",
        requests_per_s=round(share * median_rate(peaks), 1),
        goal=f">= {LEAST_GOODPUT} of the peak answered, the rest refused fast, none late",
        met=share >= LEAST_GOODPUT and not probes.late and probes.refused_fast,
        cpu_us_per_request=median_cpu_us(floods),
        others_cpu_share=median_others_share(floods),
        note=(
            f"{share:.2f} of the peak ({_told(goodputs)}); {load.sent_per_s}/s asked of the "
            f"generator, {median_rate(floods):.0f}/s ended, {_refused_share(peaks, floods):.0%} of "
            f"them refused, p99 {median_latency_s(floods, 99) * 1000:.0f} ms; {probes}; "
            "the generator shares the cores"
        ),
    )


@asynccontextmanager
async def probing(path: RequestPath, entity_id: str, probes: Probes) -> AsyncIterator[None]:
    """Send a call with a deadline at intervals, in the background; no retries."""
    async with grpc.aio.insecure_channel(path.address) as channel:
        stub = scoring_pb2_grpc.ScoringServiceStub(channel)
        await stub.Score(request_of(entity_id), timeout=5.0, wait_for_ready=True)
        stop = asyncio.Event()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(_send_probes(tasks, stub, entity_id, probes, stop))
            try:
                yield
            finally:
                stop.set()


async def _send_probes(
    tasks: asyncio.TaskGroup, stub: Any, entity_id: str, probes: Probes, stop: asyncio.Event
) -> None:
    while not stop.is_set():
        tasks.create_task(_probe(stub, entity_id, probes))
        await asyncio.sleep(_PROBE_EVERY_S)


async def _probe(stub: Any, entity_id: str, probes: Probes) -> None:
    began_s = time.monotonic()
    try:
        await stub.Score(request_of(entity_id), timeout=DEADLINE_S)
        probes.answered_s.append(time.monotonic() - began_s)
    except grpc.aio.AioRpcError as error:
        if is_refusal(error):
            probes.refused_s.append(time.monotonic() - began_s)
        elif error.code() is grpc.StatusCode.DEADLINE_EXCEEDED:
            probes.late += 1
        else:
            probes.failed += 1


def is_refusal(error: grpc.aio.AioRpcError) -> bool:
    """Return whether the server said that it has not read the call.

    A full gate and Envoy's cap give a time to try again; gRPC's own limit only cancels the call.
    """
    return details_of(error).retry_after_s is not None or error.code() is grpc.StatusCode.CANCELLED


def _goodputs(peaks: Sequence[Measured], floods: Sequence[Measured]) -> list[float]:
    """Return answers per second in each flood, relative to the peak measured just before."""
    return [
        _answers(under, over) / under.counted.seconds / over.counted.requests_per_s
        for under, over in zip(floods, peaks, strict=True)
    ]


def _answers(flood: Measured, peak: Measured) -> float:
    """Return the number of answers in a flood, by their bytes: a refusal has none."""
    frame_bytes = peak.counted.answer_bytes / peak.counted.requests
    return flood.counted.answer_bytes / frame_bytes


def _refused_share(peaks: Sequence[Measured], floods: Sequence[Measured]) -> float:
    ended = sum(each.counted.requests for each in floods)
    return 1.0 - sum(map(_answers, floods, peaks)) / ended


def _told(goodputs: Sequence[float]) -> str:
    return ", ".join(f"{goodput:.2f}" for goodput in goodputs)


def _spread(seconds: Sequence[float]) -> str:
    if not seconds:
        return "-"
    p50_ms, p99_ms = np.percentile(seconds, (50, 99)) * 1000
    return f"p50 {p50_ms:.0f}, p99 {p99_ms:.0f} ms"


SCENARIOS = (Scenario("overload", measure_overload),)
