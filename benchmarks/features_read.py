"""Fetch and assembly of a batch: 200 float32 features per row, by batch size and store.

Reads go through a reader process, as in a router; its CPU time is not counted as the caller's.

The store is LMDB or Aerospike: a real server if configured, else the test node in a separate
process (see `benchmarks.features_aerospike`). The test node is Python and answers far slower
than a server, so its rows are reported but not judged.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from time import perf_counter, process_time

import numpy as np

from benchmarks.features_aerospike import open_aerospike
from benchmarks.rows import Effort, Row, Scenario
from understudy.domain.features import Feature, FeatureDtype, FeatureRef, FeatureView
from understudy.domain.record_layouts import BinsLayout
from understudy.domain.versions import TensorSpec
from understudy.features.decisions.record_format import pack_columns, record_format
from understudy.features.ports import FeatureStore, ViewRead
from understudy.features.serving.assembly import AssemblyPlan, compile_plan
from understudy.features.stores import isolated_store, open_writer

WIDTH = 200
ENTITIES = 20_000
GOAL_LMDB_US = 15.0
GOAL_AEROSPIKE_US = 25.0
GOAL_ROWS = 64
_BATCHES = (1, 6, 16, GOAL_ROWS)
_NOW_S = 1_764_000_000.0
_TIMEOUT_S = 1.0
_ROUND_S = 0.25


@dataclass(frozen=True, slots=True)
class _Timed:
    us_per_row: float
    cpu_us_per_row: float


@dataclass(frozen=True, slots=True)
class _Served:
    """A store to measure."""

    name: str
    url: str
    goal_us: float | None  # at GOAL_ROWS rows; None if only reported


async def measure_lmdb(effort: Effort, folder: Path) -> list[Row]:
    served = _Served("lmdb", f"lmdb:{folder / 'store'}", GOAL_LMDB_US)
    return await _measure(served, _view(), effort)


async def measure_aerospike(effort: Effort, folder: Path) -> list[Row]:
    async with open_aerospike(folder) as server:
        name, url = server.title, server.url
        goal_us = GOAL_AEROSPIKE_US if server.is_real else None
        packed = await _measure(_Served(f"{name}, packed", url, goal_us), _view(), effort)
        bins = _view(BinsLayout("bench_bins", "event_ms"))
        return packed + await _measure(
            _Served(f"{name}, bins", url, None), bins, effort, batches=(GOAL_ROWS,)
        )


async def _measure(
    served: _Served, view: FeatureView, effort: Effort, *, batches: Sequence[int] = _BATCHES
) -> list[Row]:
    _load(served.url, view)
    plan = compile_plan(
        [FeatureRef(view.name, 1, feature.name) for feature in view.features],
        [view],
        [TensorSpec("x", "FP32", (-1, WIDTH))],
    )
    async with isolated_store(served.url) as store:
        return [await _row(served, view, plan, store, rows, effort) for rows in batches]


async def _row(
    served: _Served,
    view: FeatureView,
    plan: AssemblyPlan,
    store: FeatureStore,
    rows: int,
    effort: Effort,
) -> Row:
    rng = np.random.default_rng(7)
    picks = rng.integers(0, ENTITIES, size=(200, rows)).tolist()
    reads = [[ViewRead(view, [f"u{pick}" for pick in batch])] for batch in picks]
    rounds = max(3, round(effort.rounds * effort.seconds / _ROUND_S / len(_BATCHES)))
    timed = [await _round(plan, store, reads, rows) for _ in range(rounds)]
    us_per_row = median(each.us_per_row for each in timed)
    goal_us = served.goal_us if rows == GOAL_ROWS else None
    return Row(
        name=f"fetch+assemble, {served.name}, {rows} rows",
        requests_per_s=round(1e6 / us_per_row),
        cpu_us_per_request={"caller": median(each.cpu_us_per_row for each in timed)},
        mean_batch_rows=rows,
        goal="reported" if goal_us is None else f"<= {goal_us:.0f} us a row",
        met=None if goal_us is None else us_per_row <= goal_us,
        note=f"{us_per_row:.2f} us a row, {us_per_row * rows:.1f} us a batch, "
        f"{WIDTH} float32 features",
    )


async def _round(
    plan: AssemblyPlan, store: FeatureStore, reads: Sequence[list[ViewRead]], rows: int
) -> _Timed:
    start_s, start_cpu_s, batches = perf_counter(), process_time(), 0
    while perf_counter() - start_s < _ROUND_S:
        for read in reads:
            records = await store.read(read, timeout_s=_TIMEOUT_S)
            assembled = plan.assemble(records, None, now_s=_NOW_S)
            if assembled.statuses is not None:
                raise AssertionError("a record was not found")
            batches += 1
    took_s, cpu_s = perf_counter() - start_s, process_time() - start_cpu_s
    return _Timed(took_s / batches / rows * 1e6, cpu_s / batches / rows * 1e6)


def _view(bins: BinsLayout | None = None) -> FeatureView:
    features = tuple(
        Feature(f"f{number:03d}", FeatureDtype.FLOAT32, default=0.0, max_age_s=86_400.0)
        for number in range(WIDTH)
    )
    return FeatureView("bench", 1, "user", features, layout=bins)


def _load(url: str, view: FeatureView) -> None:
    form = record_format(view)
    values = np.random.default_rng(1).random((ENTITIES, WIDTH), dtype=np.float32)
    records = pack_columns(
        form,
        [values[:, column] for column in range(WIDTH)],
        np.ones(values.shape, dtype=np.bool_),
        np.full(ENTITIES, round(_NOW_S * 1000), dtype=np.int64),
    )
    writer = open_writer(url)
    try:
        pairs = [(f"u{number}", record) for number, record in enumerate(records)]
        writer.write(view, pairs, mark=None)
    finally:
        writer.close_now()


SCENARIOS = (
    Scenario("features-lmdb", measure_lmdb),
    Scenario("features-aerospike", measure_aerospike),
)
