"""The cost of the score log for `Score`: a worker with it and one without, in turns in one run."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from statistics import median

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
from benchmarks.request_path import CHAMPION, RequestPath, open_request_path
from benchmarks.rows import Effort, Row, Scenario

LEAST_RATIO = 0.93
LOGGED, UNLOGGED = "score, logged", "score, not logged"
_MODULES = {LOGGED: "router", UNLOGGED: "benchmarks.unlogged_worker"}


async def measure_logging(effort: Effort, folder: Path) -> list[Row]:
    """Measure one entity over two workers that share scorers, features and registry."""
    async with open_request_path(folder) as path:
        entity_id = (await path.entities_of(CHAMPION, 1))[0]
        targets = [await _target(path, name, entity_id) for name in _MODULES]
        measured = await alternate(targets, effort)
    logged, unlogged = measured[LOGGED], measured[UNLOGGED]
    ratio = median_ratio(logged, unlogged)
    cpu_ratio = median(
        without.cpu_us_per_request[UNLOGGED] / each.cpu_us_per_request[LOGGED]
        for each, without in zip(logged, unlogged, strict=True)
    )
    return [
        _row(
            LOGGED,
            logged,
            goal=f">= {LEAST_RATIO} of the rate without the log",
            met=ratio >= LEAST_RATIO,
            note=f"{ratio:.3f} of the rate without; of the worker's CPU per call, {cpu_ratio:.3f} is "
            "not the log's",
        ),
        _row(UNLOGGED, unlogged, goal="the reference of the row before", met=None, note=""),
    ]


async def _target(path: RequestPath, name: str, entity_id: str) -> Target:
    """Start one worker, and return the load on it without the processes of the other one."""
    target = await path.start_worker_beside(name, [entity_id], module=_MODULES[name])
    others = {each for each in _MODULES if each != name}
    served = {each: pid for each, pid in target.processes.items() if each not in others}
    return replace(target, processes=served)


def _row(name: str, measured: Sequence[Measured], *, goal: str, met: bool | None, note: str) -> Row:
    p99_ms = median_latency_s(measured, 99) * 1000
    return Row(
        name=name,
        requests_per_s=round(median_rate(measured), 1),
        cpu_us_per_request=median_cpu_us(measured),
        others_cpu_share=median_others_share(measured),
        goal=goal,
        met=met,
        note=f"{note}{'; ' if note else ''}p99 {p99_ms:.1f} ms",
    )


SCENARIOS = (Scenario("router_logs", measure_logging),)
