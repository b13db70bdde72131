"""CPU and memory of a router for calls that it refuses, by kind, and live calls beside a large one."""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import psutil

from benchmarks.model import ENTITY, MODEL
from benchmarks.request_path import SCORE_METHOD, RequestPath, open_request_path, request_of
from benchmarks.router_overload import Probes, probing
from benchmarks.rows import Effort, Row, Scenario
from understudy.runtime.front.grpc_server import new_server
from understudy.runtime.transport.transport import LOCAL
from understudy.scoring.v1 import scoring_pb2 as pb

_SERVICE = "/understudy.scoring.v1.ScoringService/"
_IN_FLIGHT = 4
_MOST_TIMES = 2  # the CPU of a scored call, plus the transport of the bytes
_MOST_GROWTH_MIB = 32  # of the peak of memory
_SAMPLE_EVERY_S = 0.05
_CALL_LIMIT_S = 60.0
_ENTITY_ID = "u1"
_MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of refused call."""

    name: str
    path: str
    body: bytes


@dataclass(frozen=True, slots=True)
class Spent:
    calls: int
    seconds: float
    cpu_us_per_call: float
    growth_mib: float  # of the peak, from the first half of the calls to the second


async def measure_refused(effort: Effort, folder: Path) -> list[Row]:
    """Measure the CPU of each kind of refused call against a scored one of the same client.

    Transport is the CPU of a server in this process that takes the same bytes and answers none.
    """
    async with (
        open_request_path(folder) as path,
        grpc.aio.insecure_channel(path.address) as channel,
    ):
        await path.score(_ENTITY_ID)
        router = psutil.Process(path.supervisor.pids()["router"])
        scored = await _spend(router, channel, _scored(), effort)
        rows = []
        for kind in refused_kinds():
            spent = await _spend(router, channel, kind, effort)
            transport_us = await _transport_us(kind, effort)
            rows.append(_row(kind, spent, scored, transport_us))
        return [*rows, await _beside_large_calls(path, channel, effort)]


def refused_kinds() -> Sequence[Kind]:
    """Return one call of each kind that once cost more than it should."""
    unknown = {f"x{place:02}": pb.FeatureValue(flag=True) for place in range(20)}
    no_outcome = pb.Outcome(model=MODEL, request_id="r")  # without a label
    return (
        Kind("ScoreBatch, 10,000 x 20 unknown features", _SERVICE + "ScoreBatch", _batch(unknown)),
        Kind("Score, 2 M empty outputs", SCORE_METHOD, b"\x3a\x00" * (2 * _MIB - 8)),
        Kind(
            "ScoreBatch, 2 M empty candidates",
            _SERVICE + "ScoreBatch",
            b"\x3a\x00" * (2 * _MIB - 8),
        ),
        Kind(
            "RecordOutcomes, 10,000 without a label",
            _SERVICE + "RecordOutcomes",
            pb.RecordOutcomesRequest(outcomes=[no_outcome] * 10_000).SerializeToString(),
        ),
        Kind("Score, no message", SCORE_METHOD, b"\x0a\x05abc"),
        Kind("health, no message", "/grpc.health.v1.Health/Check", b"\x0a\x05abc"),
    )


def _scored() -> Kind:
    return Kind("Score", SCORE_METHOD, request_of(_ENTITY_ID).SerializeToString())


def _batch(features: Mapping[str, pb.FeatureValue]) -> bytes:
    candidates = [pb.Candidate(id=f"u{place}", features=features) for place in range(10_000)]
    request = pb.ScoreBatchRequest(model=MODEL, candidate_entity=ENTITY, candidates=candidates)
    return request.SerializeToString()


async def _spend(router: psutil.Process, channel: Any, kind: Kind, effort: Effort) -> Spent:
    call: Any = channel.unary_unary(kind.path)
    half_s = effort.seconds * effort.rounds / 2
    await _repeat(call, kind.body, effort.seconds / 4)
    began_s, cpu_s = time.monotonic(), _cpu_s(router)
    calls, peaks = 0, []
    for _ in range(2):
        async with _peak_bytes(router) as samples:
            calls += await _repeat(call, kind.body, half_s)
        peaks.append(max(samples))
    return Spent(
        calls=calls,
        seconds=time.monotonic() - began_s,
        cpu_us_per_call=(_cpu_s(router) - cpu_s) / calls * 1e6,
        growth_mib=(peaks[1] - peaks[0]) / _MIB,
    )


@asynccontextmanager
async def _peak_bytes(router: psutil.Process) -> AsyncIterator[list[int]]:
    """Sample the resident memory; the allocator keeps some for reuse, so single samples say little."""
    samples = [_resident_bytes(router)]

    async def sample() -> None:
        while True:
            await asyncio.sleep(_SAMPLE_EVERY_S)
            samples.append(_resident_bytes(router))

    async with asyncio.TaskGroup() as tasks:
        sampling = tasks.create_task(sample())
        yield samples
        sampling.cancel()


async def _repeat(call: Any, body: bytes, seconds: float) -> int:
    """Make calls for that time, a few at once; return their number."""
    until_s = time.monotonic() + seconds
    counts = await asyncio.gather(*(_call_until(call, body, until_s) for _ in range(_IN_FLIGHT)))
    return sum(counts)


async def _call_until(call: Any, body: bytes, until_s: float) -> int:
    calls = 0
    while time.monotonic() < until_s or not calls:
        try:
            await call(body, timeout=_CALL_LIMIT_S)
        except grpc.aio.AioRpcError as error:
            if error.code() is not grpc.StatusCode.INVALID_ARGUMENT:
                raise
        calls += 1
    return calls


async def _transport_us(kind: Kind, effort: Effort) -> float:
    """Return the CPU of this process for such a call to a server of its own that reads nothing.

    Half of it: the process is caller and server.
    """
    async with _idle_server(kind.path) as address, grpc.aio.insecure_channel(address) as channel:
        own = psutil.Process()
        call: Any = channel.unary_unary(kind.path)
        await _repeat(call, kind.body, effort.seconds / 4)
        cpu_s = _cpu_s(own)
        calls = await _repeat(call, kind.body, effort.seconds)
        return (_cpu_s(own) - cpu_s) / calls * 1e6 / 2


@asynccontextmanager
async def _idle_server(path: str) -> AsyncIterator[str]:
    async def answer(_received: bytes, _context: Any) -> bytes:
        return b""

    _, service, method = path.split("/")
    server = new_server()
    handler: Any = grpc.unary_unary_rpc_method_handler(answer)
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler(service, {method: handler}),)
    )
    port = LOCAL.bind(server, "127.0.0.1:0")
    await server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        await server.stop(None)


async def _beside_large_calls(path: RequestPath, channel: Any, effort: Effort) -> Row:
    """Score with a deadline of 100 ms beside large legal calls, one after the other."""
    body = _batch({})
    probes = Probes()
    call: Any = channel.unary_unary(_SERVICE + "ScoreBatch")
    took_s: list[float] = []
    until_s = time.monotonic() + effort.seconds * effort.rounds
    async with probing(path, _ENTITY_ID, probes):
        while time.monotonic() < until_s:
            began_s = time.monotonic()
            if await _is_taken(call(body, timeout=_CALL_LIMIT_S)):
                took_s.append(time.monotonic() - began_s)
    return Row(
        name="Score beside ScoreBatch of 10,000",
        requests_per_s=round(len(took_s) / max(sum(took_s), 1e-9), 1),
        goal="no probe late, none failed",
        met=not probes.late and not probes.failed,
        note=f"{probes}; {len(took_s)} ScoreBatch calls, of {_spread_ms(took_s)}",
    )


async def _is_taken(call: Any) -> bool:
    """Return whether the router took it: one larger than the limit enters an empty router only."""
    try:
        await call
    except grpc.aio.AioRpcError as error:
        if error.code() is not grpc.StatusCode.RESOURCE_EXHAUSTED:
            raise
        return False
    return True


def _spread_ms(took_s: Sequence[float]) -> str:
    return f"{np.median(took_s) * 1000:.0f} ms at the median" if took_s else "which none entered"


def _row(kind: Kind, spent: Spent, scored: Spent, transport_us: float) -> Row:
    most_us = _MOST_TIMES * scored.cpu_us_per_call + transport_us
    return Row(
        name=f"refused: {kind.name}",
        requests_per_s=round(spent.calls / spent.seconds, 1),
        goal=f"CPU <= {_MOST_TIMES} x a Score + transport ({most_us:.0f} us), memory flat",
        met=spent.cpu_us_per_call <= most_us and spent.growth_mib <= _MOST_GROWTH_MIB,
        cpu_us_per_request={"router": spent.cpu_us_per_call},
        note=(
            f"{len(kind.body)} bytes, {spent.calls} calls, peak of memory {spent.growth_mib:+.1f} MiB; a Score "
            f"{scored.cpu_us_per_call:.0f} us, transport {transport_us:.0f} us"
        ),
    )


def _resident_bytes(process: psutil.Process) -> int:
    return sum(each.memory_info().rss for each in _with_children(process))


def _cpu_s(process: psutil.Process) -> float:
    times = [each.cpu_times() for each in _with_children(process)]
    return sum(each.user + each.system for each in times)


def _with_children(process: psutil.Process) -> list[psutil.Process]:
    return [process, *process.children(recursive=True)]


SCENARIOS = (Scenario("refused", measure_refused),)
