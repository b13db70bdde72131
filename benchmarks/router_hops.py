"""`Score` over both hops to the scorers in turns: the same scorers and features, two routers, and the no-op floor."""

from dataclasses import replace
from functools import partial
from pathlib import Path

from benchmarks.measure import (
    Measured,
    Target,
    alternate,
    median_batch_rows,
    median_cpu_us,
    median_latency_s,
    median_others_share,
    median_rate,
    median_ratio,
)
from benchmarks.request_path import (
    CHALLENGER,
    CHAMPION,
    at_router,
    open_request_path,
)
from benchmarks.router_score import open_floor_target
from benchmarks.rows import Effort, Row, Scenario

_FLOOR = "floor"
_ROUTER = "router, frames"
# Entities, connections, calls in flight on each.
_SHAPES = {
    "both arms, 4 x 16": (4, 4, 16),
    "one arm, 4 x 16": (1, 4, 16),
    "one in flight": (1, 1, 1),
}
_LEAST_RATIO = 1.0  # of the frames' rate to that of gRPC


async def measure_hops(effort: Effort, folder: Path) -> list[Row]:
    """Measure a router of each hop in each shape of load."""
    async with open_request_path(folder) as path:
        address = await path.start_router_beside(_ROUTER, {"ROUTER_HOP": "frames"})
        entities = await path.entities_of(CHAMPION, 3) + await path.entities_of(CHALLENGER, 1)
        answer = await path.score(entities[0])
        async with open_floor_target(path, answer, entities[0]) as floor:
            targets: list[Target] = [floor]
            for shape, (count, connections, in_flight) in _SHAPES.items():
                over_grpc = await path.target(
                    _name("grpc", shape),
                    entities[:count],
                    connections=connections,
                    in_flight=in_flight,
                )
                over_frames = at_router(address, _name("frames", shape), over_grpc)
                read_batches = partial(path.batches, _ROUTER)
                targets += [over_grpc, replace(over_frames, read_batches=read_batches)]
            measured = await alternate(targets, effort)
    rows = [_row(_FLOOR, measured[_FLOOR], measured[_FLOOR], goal="the reference")]
    for shape in _SHAPES:
        grpc, frames = (measured[_name(hop, shape)] for hop in ("grpc", "frames"))
        ratio = median_ratio(frames, grpc)
        rows += [
            _row(_name("grpc", shape), grpc, measured[_FLOOR], goal="for comparison"),
            replace(
                _row(
                    _name("frames", shape),
                    frames,
                    measured[_FLOOR],
                    goal=f">= {_LEAST_RATIO} of the rate over grpc: {ratio:.2f}",
                ),
                met=ratio >= _LEAST_RATIO,
            ),
        ]
    return rows


def _name(hop: str, shape: str) -> str:
    return f"score over {hop}, {shape}"


def _row(name: str, measured: list[Measured], floor: list[Measured], *, goal: str) -> Row:
    p50_ms, p99_ms = (median_latency_s(measured, percent) * 1000 for percent in (50, 99))
    return Row(
        name=name,
        requests_per_s=round(median_rate(measured), 1),
        ratio_to_floor=round(median_ratio(measured, floor), 3),
        cpu_us_per_request=median_cpu_us(measured),
        mean_batch_rows=median_batch_rows(measured),
        others_cpu_share=median_others_share(measured),
        goal=goal,
        note=f"latency p50 {p50_ms:.2f} ms, p99 {p99_ms:.1f} ms",
    )


SCENARIOS = (Scenario("hops", measure_hops),)
