"""`Score` with its features in Aerospike, against the no-op floor and the same path over LMDB.

A real server, if configured, shares the machine with everything else. The test node (see
`benchmarks.features_aerospike`) is Python and takes more of the machine than a server would, so
its ratio is reported but not judged.
"""

from pathlib import Path

from benchmarks.features_aerospike import open_aerospike
from benchmarks.measure import (
    alternate,
    median_batch_rows,
    median_cpu_us,
    median_rate,
    median_ratio,
)
from benchmarks.request_path import CHAMPION, open_request_path
from benchmarks.router_score import open_floor_target
from benchmarks.rows import Effort, Row, Scenario
from understudy.control.wire_enums import LEVEL_OF

GOAL_RATIO = 0.5
_KEYS = 4  # in different partitions; as many as there are connections


async def measure_score_over_aerospike(effort: Effort, folder: Path) -> list[Row]:
    async with (
        open_aerospike(folder) as server,
        open_request_path(folder / "path", kept=folder.parent, store_url=server.url) as path,
    ):
        champions = await path.entities_of(CHAMPION, _KEYS)
        answer = await path.score(champions[0])
        async with open_floor_target(path, answer, champions[0]) as floor:
            target = await path.target("score over aerospike", champions)
            measured = await alternate([floor, target], effort)
        last = await path.score(champions[0])
    ratio = median_ratio(measured[target.name], measured[floor.name])
    return [
        Row(
            name=f"score over {server.title}",
            requests_per_s=round(median_rate(measured[target.name]), 1),
            ratio_to_floor=round(ratio, 3),
            cpu_us_per_request=median_cpu_us(measured[target.name]),
            mean_batch_rows=median_batch_rows(measured[target.name]),
            goal=f">= {GOAL_RATIO} of the floor" if server.is_real else "reported",
            met=ratio >= GOAL_RATIO if server.is_real else None,
            note=f"answered after the load at level {LEVEL_OF[last.degradation.level].name}",
        )
    ]


SCENARIOS = (Scenario("score-aerospike", measure_score_over_aerospike),)
