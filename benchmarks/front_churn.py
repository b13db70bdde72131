"""Callers that vanish: connections that break with calls open, on either front, beside a steady caller.

Both fronts at the same time, for `--rounds` times `--seconds`.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random

import grpc
import psutil

from benchmarks.h2load import Load
from benchmarks.request_path import CHAMPION, RequestPath, open_request_path, request_of
from benchmarks.rows import Effort, Row, Scenario
from understudy.runtime.front.choice import Front
from understudy.scoring.v1 import scoring_pb2_grpc

_CONNECTIONS, _IN_FLIGHT = 8, 4
_LONGEST_LOAD_S = 0.6
_PAUSE_S = 2.0  # after each break; the machine is to stay usable for an hour
_STEADY_EVERY_S = 0.1
_DEADLINE_S = 60.0  # of the steady caller: speed is not what is measured
_GOAL_GROWTH_BYTES = 64 << 20
# Of a router with more calls than it reads, which a busy machine brings about.
_REFUSALS = {
    grpc.StatusCode.CANCELLED,
    grpc.StatusCode.RESOURCE_EXHAUSTED,
    grpc.StatusCode.UNAVAILABLE,
}


@dataclass(slots=True)
class _Counts:
    broken: int = 0  # connections
    steady: int = 0  # answered calls
    refused: int = 0
    failed: int = 0


async def measure_churn(effort: Effort, folder: Path) -> Sequence[Row]:
    """Break connections on both fronts; workers must live, answer others, and stay in memory."""
    seconds = effort.rounds * effort.seconds
    async with open_request_path(folder) as path:
        entity_id = (await path.entities_of(CHAMPION, 1))[0]
        target = await path.target("churn", [entity_id])
        routers = {}
        for front in (Front.GRPC, Front.ENVOY):
            name = f"vanishing callers, {front.value} front"
            routers[name] = await path.start_router_beside(name, {"ROUTER_FRONT": front.value})
        loads = {
            name: Load(address, target.load.method, target.load.bodies, _CONNECTIONS, _IN_FLIGHT)
            for name, address in routers.items()
        }
        return await asyncio.gather(
            *(_churned(path, name, load, entity_id, seconds) for name, load in loads.items())
        )


async def _churned(path: RequestPath, name: str, load: Load, entity_id: str, seconds: float) -> Row:
    counts = _Counts()
    async with _steady_calls(load.address, entity_id, counts):
        await _break_connections(load, counts, min(30.0, seconds / 10))
        before = _workers_of(path, name)
        await _break_connections(load, counts, seconds)
        after = _workers_of(path, name)
    grown_bytes = sum(after.values()) - sum(before.values())
    lived = set(before) == set(after)
    return Row(
        name=name,
        requests_per_s=counts.steady / seconds,
        goal=f"the same processes, no failed call, below {_GOAL_GROWTH_BYTES >> 20} MiB more",
        met=lived and not counts.failed and grown_bytes < _GOAL_GROWTH_BYTES,
        note=f"{counts.broken} connections broken in {seconds:.0f} s with up to {_IN_FLIGHT} calls "
        f"each; of the steady caller {counts.steady} calls answered, {counts.refused} refused, "
        f"{counts.failed} failed; "
        f"{'the same' if lived else 'other'} processes; {sum(before.values()) >> 20} -> "
        f"{sum(after.values()) >> 20} MiB",
    )


async def _break_connections(load: Load, counts: _Counts, seconds: float) -> None:
    random = Random(int(seconds))  # noqa: S311 - no secret
    end_s = asyncio.get_running_loop().time() + seconds
    while asyncio.get_running_loop().time() < end_s:
        generator = await asyncio.create_subprocess_exec(
            "h2load",
            f"--duration={_LONGEST_LOAD_S * 10:g}",
            f"--clients={load.connections}",
            f"--max-concurrent-streams={load.in_flight}",
            f"--data={load.bodies[0]}",
            "--header=content-type: application/grpc",
            "--header=te: trailers",
            f"http://{load.address}{load.method}",
            stdout=asyncio.subprocess.DEVNULL,
        )
        await asyncio.sleep(random.uniform(0.05, _LONGEST_LOAD_S))
        generator.kill()  # the kernel closes its connections, with calls open
        await generator.wait()
        counts.broken += load.connections
        await asyncio.sleep(_PAUSE_S)


@asynccontextmanager
async def _steady_calls(address: str, entity_id: str, counts: _Counts) -> AsyncIterator[None]:
    async with grpc.aio.insecure_channel(address) as channel, asyncio.TaskGroup() as tasks:
        calls = tasks.create_task(_call(channel, entity_id, counts))
        yield
        calls.cancel()


async def _call(channel: grpc.aio.Channel, entity_id: str, counts: _Counts) -> None:
    stub = scoring_pb2_grpc.ScoringServiceStub(channel)
    while True:
        try:
            await stub.Score(request_of(entity_id), timeout=_DEADLINE_S)
            counts.steady += 1
        except grpc.aio.AioRpcError as error:
            if error.code() in _REFUSALS:
                counts.refused += 1
            else:
                counts.failed += 1
                print(f"a call of the steady caller failed: {error.code()} {error.details()}")
        await asyncio.sleep(_STEADY_EVERY_S)


def _workers_of(path: RequestPath, name: str) -> dict[int, int]:
    """Return the resident bytes of the router's processes by pid."""
    root = psutil.Process(path.supervisor.pids()[name])
    return {each.pid: each.memory_info().rss for each in (root, *root.children(recursive=True))}


SCENARIOS = (Scenario("churn", measure_churn),)
