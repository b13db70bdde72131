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
from router.decisions.hop import Hop
from understudy.runtime.free_port import free_port
from understudy.runtime.front.choice import Front
from understudy.runtime.supervision.supervisor import ProcessSpec, Supervisor

_FLOOR = "floor"
_ENVOY_FLOOR = "floor of the envoy front"
_GRPC = "grpc front"
_ENVOY = "envoy front"
_FRAMES = "envoy front, frames"
_BESIDE = {
    _ENVOY: {"ROUTER_FRONT": Front.ENVOY.value},
    _FRAMES: {"ROUTER_FRONT": Front.ENVOY.value, "ROUTER_HOP": Hop.FRAMES.value},
}
_LEAST_RATIO = {_ENVOY: 1.15, _FRAMES: 1.4}  # of the rate with 4 x 16 to the floor's
_MOST_LONE_P50 = {_ENVOY: 1.0, _FRAMES: 0.75}  # of the grpc front's


async def measure_fronts(effort: Effort, folder: Path) -> list[Row]:
    """Measure both no-op servers, and each router with 4 x 16 and with one call in flight."""
    async with open_request_path(folder) as path:
        addresses = {
            name: await path.start_router_beside(f"router, {name}", environment)
            for name, environment in _BESIDE.items()
        }
        entities = await path.entities_of(CHAMPION, 3) + await path.entities_of(CHALLENGER, 1)
        answer = await path.score(entities[0])
        both = replace(await path.target(_both(_GRPC), entities), read_batches=None)
        lone = replace(
            await path.target(_lone(_GRPC), entities[:1], connections=1, in_flight=1),
            read_batches=None,
        )
        async with (
            open_floor_target(path, answer, entities[0]) as floor,
            _envoy_floor(path, floor) as envoy_floor,
        ):
            targets = [floor, envoy_floor, both]
            targets += [at_router(at, _both(name), both) for name, at in addresses.items()]
            targets += [lone]
            targets += [at_router(at, _lone(name), lone) for name, at in addresses.items()]
            measured = await alternate(targets, effort)
    return [
        _row(_FLOOR, measured, goal="the reference"),
        _row(_ENVOY_FLOOR, measured, goal="for comparison"),
        _row(_both(_GRPC), measured, goal="for comparison"),
        *(_row_of_both(name, measured) for name in _BESIDE),
        _row(_lone(_GRPC), measured, goal="for comparison"),
        *(_row_of_lone(name, measured) for name in _BESIDE),
    ]


def _both(router: str) -> str:
    return f"score, {router}"


def _lone(router: str) -> str:
    return f"score, {router}, one in flight"


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


def _row_of_both(router: str, measured: dict[str, list[Measured]]) -> Row:
    least = _LEAST_RATIO[router]
    row = _row(_both(router), measured, goal=f">= {least} of the floor")
    return replace(row, met=row.ratio_to_floor is not None and row.ratio_to_floor >= least)


def _row_of_lone(router: str, measured: dict[str, list[Measured]]) -> Row:
    p50_s, reference_s = (median_latency_s(measured[_lone(each)], 50) for each in (router, _GRPC))
    most = _MOST_LONE_P50[router]
    goal = f"p50 <= {most} of the grpc front's: {p50_s / reference_s:.2f}"
    return replace(_row(_lone(router), measured, goal=goal), met=p50_s <= most * reference_s)


def _row(name: str, measured: dict[str, list[Measured]], *, goal: str) -> Row:
    p50_ms, p99_ms = (median_latency_s(measured[name], percent) * 1000 for percent in (50, 99))
    cpu_us = median_cpu_us(measured[name])
    return Row(
        name=name,
        requests_per_s=round(median_rate(measured[name]), 1),
        ratio_to_floor=round(median_ratio(measured[name], measured[_FLOOR]), 3),
        cpu_us_per_request=cpu_us,
        others_cpu_share=median_others_share(measured[name]),
        goal=goal,
        note=f"all processes {sum(cpu_us.values()):.0f} us a call; "
        f"latency p50 {p50_ms:.2f} ms, p99 {p99_ms:.1f} ms",
    )


SCENARIOS = (Scenario("fronts", measure_fronts),)
