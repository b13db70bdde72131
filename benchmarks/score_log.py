"""The cost of the score log for the process that writes it: CPU per row, delay of its event loop.

Rows of 200 float32 features are offered at 5,000 a second from an event loop that does
nothing but tick. The log's thread competes with it for the interpreter lock, so the
delay of the ticks, with the log and without, is the effect on a router.
"""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.rows import Effort, Row, Scenario
from router.decisions.assignment import ArmWeight
from understudy.domain.deployments import Arm
from understudy.domain.logged_features import FeatureList, ListedFeatures, LoggedFeatures, Part
from understudy.logs.batches import NO_DECISION, ScoreBatchLog
from understudy.logs.decisions.rolling import RollPolicy
from understudy.logs.writer import LogWriter, WriterLimits

WIDTH = 200
ROWS_PER_S = 5_000
GOAL_CPU_US = 20.0  # a tenth of a core at this rate
_TICK_S = 0.002
_SPLIT = (ArmWeight(Arm.CHAMPION, 7, 10_000),)
_BATCH_ROWS = (1, 6, 32)
_PREPARED = 1_000  # batches, offered repeatedly


@dataclass(frozen=True, slots=True)
class _Run:
    rows: int
    seconds: float
    process_cpu_s: float
    loop_cpu_s: float  # of the event loop's thread: ticks and offers
    delays_s: Sequence[float]  # of the ticks

    def delay_us(self, percentile: float) -> float:
        return float(np.percentile(self.delays_s, percentile)) * 1e6


async def measure_score_log(effort: Effort, folder: Path) -> list[Row]:
    names = tuple(f"view@1:f{index}" for index in range(WIDTH))
    with LogWriter(folder / "warm") as writer:  # the first file includes one-time set-up
        await _offer_all(_batches(6, names), effort.seconds / 4, writer)
    idle = await _offer_all(_batches(6, names), effort.seconds, None)
    rows = []
    for batch_rows in _BATCH_ROWS:
        root = folder / f"batches-of-{batch_rows}"
        limits = WriterLimits(roll=RollPolicy(age_s=effort.seconds / 2))
        with LogWriter(root, limits=limits) as writer:
            run = await _offer_all(_batches(batch_rows, names), effort.seconds, writer)
        counts = writer.counters().score
        size_bytes = sum(path.stat().st_size for path in root.rglob("*.parquet"))
        thread_us = (run.process_cpu_s - run.loop_cpu_s) / run.rows * 1e6
        rows.append(
            Row(
                name=f"score log, batches of {batch_rows}",
                requests_per_s=round(run.rows / run.seconds, 1),
                cpu_us_per_request={"log thread": thread_us},
                mean_batch_rows=batch_rows,
                goal=f"<= {GOAL_CPU_US:.0f} us of the log's thread per row",
                met=thread_us <= GOAL_CPU_US,
                note=f"{counts.written} of {counts.offered} rows written, "
                f"{size_bytes / max(counts.written, 1):.0f} bytes each; event loop late by p99 "
                f"{run.delay_us(99):.0f} us, p99.9 {run.delay_us(99.9):.0f} us "
                f"(without the log {idle.delay_us(99):.0f} and {idle.delay_us(99.9):.0f})",
            )
        )
    return rows


async def _offer_all(
    batches: Sequence[ScoreBatchLog], seconds: float, writer: LogWriter | None
) -> _Run:
    process_s, thread_s = time.process_time(), time.thread_time()
    start_s = next_s = time.perf_counter()
    delays_s, offered = [], 0
    while next_s - start_s < seconds:
        next_s += _TICK_S
        await asyncio.sleep(max(0.0, next_s - time.perf_counter()))
        now_s = time.perf_counter()
        delays_s.append(now_s - next_s)
        due = int((now_s - start_s) * ROWS_PER_S / batches[0].rows)
        for number in range(offered, due):
            if writer is not None:
                writer.offer(batches[number % len(batches)])
        offered = due
    loop_cpu_s = time.thread_time() - thread_s
    if writer is not None:
        await asyncio.to_thread(writer.flush, 60.0)
    return _Run(
        rows=offered * batches[0].rows,
        seconds=time.perf_counter() - start_s,
        process_cpu_s=time.process_time() - process_s,
        loop_cpu_s=loop_cpu_s,
        delays_s=delays_s,
    )


def _batches(rows: int, names: tuple[str, ...]) -> list[ScoreBatchLog]:
    """Return batches whose features are half measurements and half counts, like real ones."""
    random = np.random.default_rng(0)
    listed = ListedFeatures(names, ((FeatureList.FLOATS, names),), ((Part(0),),), ("view@1",))
    found = []
    for number in range(_PREPARED):
        features = random.normal(size=(rows, WIDTH)).astype(np.float32)
        features[:, ::2] = np.round(features[:, ::2] * 10)
        found.append(
            ScoreBatchLog(
                model="fraud",
                version=7,
                arm="champion",
                revision=3,
                at_us=time.time_ns() // 1000,
                request_ids=[f"01934c7e-0000-7000-8000-{number:06d}{i:06d}" for i in range(rows)],
                entity_ids=[f"user-{(number * rows + i) % 5_000}" for i in range(rows)],
                scores=random.random(rows),
                decisions=np.full(rows, NO_DECISION, np.int8),
                levels=np.zeros(rows, np.uint8),
                queue_s=random.uniform(50e-6, 500e-6, rows).tolist(),
                total_s=random.uniform(500e-6, 5_000e-6, rows).tolist(),
                fetch_us=int(random.integers(20, 80)),
                infer_us=int(random.integers(200, 900)),
                split=_SPLIT,
                seats=[0] * rows,
                features=LoggedFeatures(
                    listed, (features,), np.full((rows, 1), 1_795_000_000_000), 1_795_000_001_000
                ),
            )
        )
    return found


SCENARIOS = (Scenario("score_log", measure_score_log),)
