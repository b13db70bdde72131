"""`Score` over LMDB, 200 features and 100 trees, everything enabled, against the no-op floor."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from benchmarks.h2load import Load
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
    RequestPath,
    open_request_path,
)
from benchmarks.rows import Effort, Row, Scenario
from understudy.runtime.free_port import free_port
from understudy.runtime.supervision.supervisor import ProcessSpec, Supervisor
from understudy.scoring.v1 import scoring_pb2

GOAL_RATIO = 0.75


async def measure_score(effort: Effort, folder: Path) -> list[Row]:
    """Measure the floor, a single entity, and four entities over both arms, in turns."""
    async with open_request_path(folder) as path:
        champions = await path.entities_of(CHAMPION, 3)
        challengers = await path.entities_of(CHALLENGER, 1)
        answer = await path.score(champions[0])
        async with open_floor_target(path, answer, champions[0]) as floor:
            targets = [
                floor,
                await path.target("score", champions[:1]),
                await path.target("score, four entities on both arms", champions + challengers),
            ]
            measured = await alternate(targets, effort)
        await _check_still_scores(path, champions + challengers)
    return [
        _row(targets[0].name, measured, floor=targets[0].name, goal="the reference"),
        *(
            _row(
                target.name,
                measured,
                floor=targets[0].name,
                goal=f">= {GOAL_RATIO} of the floor",
            )
            for target in targets[1:]
        ),
    ]


@asynccontextmanager
async def open_floor_target(
    path: RequestPath, answer: scoring_pb2.ScoreResponse, entity_id: str
) -> AsyncIterator[Target]:
    """Start the floor and yield the load on it: the same request as for `score`."""
    template = await path.target("floor", [entity_id])
    prepared = path.folder / "floor.response"
    prepared.write_bytes(answer.SerializeToString())
    address = f"127.0.0.1:{free_port()}"
    async with Supervisor(path.folder / "process-logs") as supervisor:
        arguments = ("-m", "benchmarks.floor", address, str(prepared))
        await supervisor.start(ProcessSpec("floor", arguments, health_target=address))
        load = Load(address, template.load.method, template.load.bodies)
        yield Target("floor", load, supervisor.pids(), answer.ByteSize())


async def _check_still_scores(path: RequestPath, entity_ids: Sequence[str]) -> None:
    for entity_id in entity_ids:
        answer = await path.score(entity_id)
        is_full = answer.degradation.level == scoring_pb2.DEGRADATION_LEVEL_FULL
        if not 0.0 <= answer.score <= 1.0 or not is_full:
            raise AssertionError(f"after the load {entity_id} is answered with {answer}")


def _row(
    name: str,
    measured: dict[str, list[Measured]],
    *,
    floor: str,
    goal: str,
) -> Row:
    ratio = median_ratio(measured[name], measured[floor])
    p50_ms, p99_ms = (median_latency_s(measured[name], percent) * 1000 for percent in (50, 99))
    return Row(
        name=name,
        requests_per_s=round(median_rate(measured[name]), 1),
        ratio_to_floor=round(ratio, 3),
        cpu_us_per_request=median_cpu_us(measured[name]),
        mean_batch_rows=median_batch_rows(measured[name]),
        others_cpu_share=median_others_share(measured[name]),
        goal=goal,
        met=None if name == floor else ratio >= GOAL_RATIO,
        note=f"latency p50 {p50_ms:.1f} ms, p99 {p99_ms:.1f} ms",
    )


SCENARIOS = (Scenario("score", measure_score),)
