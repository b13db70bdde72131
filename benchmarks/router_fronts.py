"""`Score` on both fronts in turns, over the same scorers and features, against the no-op floor.

The rates depend on the machine's other work; the CPU of a call hardly does.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

from benchmarks.measure import (
    Measured,
    Target,
    alternate,
    median_cpu_us,
    median_latency_s,
    median_others_share,
    median_rate,
    median_ratio,
)
from benchmarks.request_path import (
    CHALLENGER,
    CHAMPION,
    RequestPath,
    at_router,
    open_request_path,
)
from benchmarks.router_score import open_floor_target
from benchmarks.rows import Effort, Row, Scenario
from understudy.runtime.free_port import free_port
from understudy.runtime.front.choice import Front
from understudy.runtime.supervision.supervisor import ProcessSpec, Supervisor

_FLOOR = "floor"
_ENVOY_FLOOR = "floor of the envoy front"
_ENVOY_ROUTER = "router, envoy"
_GRPC = "score, grpc front"
_ENVOY = "score, envoy front"
_GRPC_LONE = "score, grpc front, one in flight"
_ENVOY_LONE = "score, envoy front, one in flight"
_LEAST_RATIO = 1.15


async def measure_fronts(effort: Effort, folder: Path) -> list[Row]:
    """Measure both no-op servers, and both fronts with 4 x 16 and with one call in flight."""
    async with open_request_path(folder) as path:
        envoy = await path.start_router_beside(_ENVOY_ROUTER, {"ROUTER_FRONT": Front.ENVOY.value})
        entities = await path.entities_of(CHAMPION, 3) + await path.entities_of(CHALLENGER, 1)
        answer = await path.score(entities[0])
        both = await path.target(_GRPC, entities)
        lone = await path.target(_GRPC_LONE, entities[:1], connections=1, in_flight=1)
        async with (
            open_floor_target(path, answer, entities[0]) as floor,
            _envoy_floor(path, floor) as envoy_floor,
        ):
            targets = [
                floor,
                envoy_floor,
                replace(both, read_batches=None),
                at_router(envoy, _ENVOY, both),
                replace(lone, read_batches=None),
                at_router(envoy, _ENVOY_LONE, lone),
            ]
            measured = await alternate(targets, effort)
    return [_row(target.name, measured) for target in targets]


@asynccontextmanager
async def _envoy_floor(path: RequestPath, floor: Target) -> AsyncIterator[Target]:
    """Start a server inside Envoy that answers as the floor does."""
    address, folder = f"127.0.0.1:{free_port()}", path.folder / "envoy-floor"
    folder.mkdir()
    arguments = ("-m", "benchmarks.envoy_floor", address, str(path.folder / "floor.response"))
    async with Supervisor(path.folder / "process-logs") as supervisor:
        spec = ProcessSpec(_ENVOY_FLOOR, (*arguments, str(folder)), health_target=address)
        await supervisor.start(spec)
        load = replace(floor.load, address=address)
        yield replace(floor, name=_ENVOY_FLOOR, load=load, processes=supervisor.pids())


def _row(name: str, measured: dict[str, list[Measured]]) -> Row:
    p50_ms, p99_ms = (median_latency_s(measured[name], percent) * 1000 for percent in (50, 99))
    cpu_us = median_cpu_us(measured[name])
    ratio = median_ratio(measured[name], measured[_FLOOR])
    return Row(
        name=name,
        requests_per_s=round(median_rate(measured[name]), 1),
        ratio_to_floor=round(ratio, 3),
        cpu_us_per_request=cpu_us,
        others_cpu_share=median_others_share(measured[name]),
        goal=f">= {_LEAST_RATIO} of the floor" if name == _ENVOY else "for comparison",
        met=ratio >= _LEAST_RATIO if name == _ENVOY else None,
        note=f"all processes {sum(cpu_us.values()):.0f} us a call; "
        f"latency p50 {p50_ms:.2f} ms, p99 {p99_ms:.1f} ms",
    )


SCENARIOS = (Scenario("fronts", measure_fronts),)
