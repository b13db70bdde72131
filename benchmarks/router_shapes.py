"""The request path under other loads: one in flight, mirrored, streamed, in batches, wider."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from statistics import median

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from benchmarks.h2load import Load, write_frame
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
from benchmarks.model import ENTITY, MODEL, BenchFiles, make_files
from benchmarks.request_path import (
    CHAMPION,
    RequestPath,
    deployment_of,
    open_request_path,
    request_of,
)
from benchmarks.router_score import open_floor_target
from benchmarks.rows import Effort, Row, Scenario
from understudy.artifact.onnx_model import OnnxModel, open_model
from understudy.artifact.session_options import SessionOptions
from understudy.client.requests import batch_request
from understudy.domain.versions import MODEL_FILE
from understudy.scoring.v1 import scoring_pb2

MOST_LATENCY_TIMES = 3.2
LEAST_MIRRORED_RATIO = 0.85
MOST_MIRRORED_P99_TIMES = 1.1
LEAST_STREAM_RATIO = 2.0
LEAST_BATCH_ROWS_PER_S = 60_000
LEAST_SESSION_RATIO = 0.5
MOST_WIDTH_TIMES = 1.3
CANDIDATES = 200
_WIDTH = 200
MESSAGES_PER_STREAM = 200
_STREAM_METHOD = "/understudy.scoring.v1.ScoringService/ScoreStream"
_BATCH_METHOD = "/understudy.scoring.v1.ScoringService/ScoreBatch"


async def measure_latency(effort: Effort, folder: Path) -> list[Row]:
    """Measure one call at a time, relative to the floor's."""
    async with open_request_path(folder) as path:
        entity_id = (await path.entities_of(CHAMPION, 1))[0]
        async with open_floor_target(path, await path.score(entity_id), entity_id) as floor:
            alone = replace(floor, load=replace(floor.load, connections=1, in_flight=1))
            score = await path.target("one in flight", [entity_id], connections=1, in_flight=1)
            measured = await alternate([alone, score], effort)
    times = 1 / median_ratio(measured[score.name], measured[floor.name])
    floor_ms = median_latency_s(measured[floor.name], 50) * 1000
    return [
        _row(
            score.name,
            measured[score.name],
            ratio_to_floor=1 / times,
            goal=f"mean latency <= {MOST_LATENCY_TIMES} x the floor's",
            met=times <= MOST_LATENCY_TIMES,
            note=f"{times:.2f} x the floor's mean latency (its p50: {floor_ms:.2f} ms)",
        )
    ]


async def measure_mirror(effort: Effort, folder: Path) -> list[Row]:
    """Measure with everything mirrored to one shadow, and without, in the same processes."""
    async with open_request_path(folder, shadow=True) as path:
        revisions = iter(range(2, 10_000))

        async def deploy(*, shadow: bool) -> None:
            await path.deploy(deployment_of(next(revisions), shadow=shadow))

        entity_ids = await path.entities_of(CHAMPION, 1)
        targets = [
            await path.target("not mirrored", entity_ids, prepare=lambda: deploy(shadow=False)),
            await path.target("mirrored", entity_ids, prepare=lambda: deploy(shadow=True)),
        ]
        measured = await alternate(targets, effort)
    plain, mirrored = (measured[target.name] for target in targets)
    ratio = median_ratio(mirrored, plain)
    p99_times = median_latency_s(mirrored, 99) / median_latency_s(plain, 99)
    return [
        _row(
            "100 % mirrored",
            mirrored,
            goal=(
                f">= {LEAST_MIRRORED_RATIO} of the rate without, p99 <= {MOST_MIRRORED_P99_TIMES} x"
            ),
            met=ratio >= LEAST_MIRRORED_RATIO and p99_times <= MOST_MIRRORED_P99_TIMES,
            note=f"{ratio:.2f} of the rate without ({median_rate(plain):.0f}/s), p99 {p99_times:.2f} x",
        )
    ]


async def measure_stream(effort: Effort, folder: Path) -> list[Row]:
    """Measure messages over ScoreStream, relative to calls of the unary floor."""
    async with open_request_path(folder) as path:
        entity_id = (await path.entities_of(CHAMPION, 1))[0]
        answer = await path.score(entity_id)
        async with open_floor_target(path, answer, entity_id) as floor:
            body = write_frame(
                path.folder / "stream.frames",
                scoring_pb2.ScoreStreamRequest(request=request_of(entity_id)),
                times=MESSAGES_PER_STREAM,
            )
            stream = Target(
                "stream",
                Load(path.address, _STREAM_METHOD, (body,), connections=4, in_flight=1),
                path.supervisor.pids(),
                answer.ByteSize() * MESSAGES_PER_STREAM,
                path.batches,
            )
            measured = await alternate([floor, stream], effort)
    ratio = median_ratio(measured[stream.name], measured[floor.name]) * MESSAGES_PER_STREAM
    return [
        _row(
            "ScoreStream, messages",
            measured[stream.name],
            units_per_call=MESSAGES_PER_STREAM,
            ratio_to_floor=ratio,
            goal=f">= {LEAST_STREAM_RATIO} x the unary floor",
            met=ratio >= LEAST_STREAM_RATIO,
            note=f"4 streams, {MESSAGES_PER_STREAM} messages each, then the next stream",
        )
    ]


async def measure_batch(effort: Effort, folder: Path) -> list[Row]:
    """Measure ScoreBatch with 200 candidates of 200 features each."""
    async with open_request_path(folder) as path:
        request = batch_request(
            MODEL,
            [f"u{index}" for index in range(CANDIDATES)],
            candidate_entity=ENTITY,
            unit_key=await _unit_of_champion(path),
        )
        answer = await path.score_batch(request)
        if any(result.HasField("error") for result in answer.results):
            raise AssertionError(f"candidates failed: {answer}")
        body = write_frame(path.folder / "batch.frame", request)
        target = Target(
            "batch",
            Load(path.address, _BATCH_METHOD, (body,), connections=4, in_flight=1),
            path.supervisor.pids(),
            answer.ByteSize(),
            path.batches,
        )
        model, rows = _session(
            make_files(folder.parent / f"model-{_WIDTH}", width=_WIDTH, versions=2)
        )
        bare: list[float] = []
        measured: list[Measured] = []
        for _ in range(effort.rounds):
            bare.append(await asyncio.to_thread(_rows_per_s, model, rows, effort.seconds))
            measured += (await alternate([target], Effort(1, effort.seconds)))[target.name]
    rows_per_s = median_rate(measured) * CANDIDATES
    ratio = median(
        each.counted.requests_per_s * CANDIDATES / alone
        for each, alone in zip(measured, bare, strict=True)
    )
    return [
        _row(
            "ScoreBatch beside session.run on the same rows",
            measured,
            goal=f">= {LEAST_SESSION_RATIO} of its rows/s, one thread",
            units_per_call=CANDIDATES,
            met=ratio >= LEAST_SESSION_RATIO,
            note=f"{ratio:.2f} of {median(bare):,.0f} rows/s",
        ),
        _row(
            "ScoreBatch 200 x 200, rows",
            measured,
            units_per_call=CANDIDATES,
            goal=f">= {LEAST_BATCH_ROWS_PER_S:,} rows/s on 2 cores",
            met=rows_per_s >= LEAST_BATCH_ROWS_PER_S,
            note="4 calls in flight; the load generator is on the same cores",
        ),
    ]


def _session(files: BenchFiles) -> tuple[OnnxModel, NDArray[np.float32]]:
    """Return the champion as a scorer opens it, and the features of the candidates."""
    table = pq.read_table(files.features, columns=list(files.feature_names)).slice(0, CANDIDATES)
    rows = np.column_stack([column.to_numpy() for column in table.columns]).astype(np.float32)
    return open_model(files.artifacts[0] / MODEL_FILE, SessionOptions()), rows


def _rows_per_s(model: OnnxModel, rows: NDArray[np.float32], seconds: float) -> float:
    began_s, runs = time.perf_counter(), 0
    while (elapsed_s := time.perf_counter() - began_s) < seconds:
        model.run([rows], model.every_output)
        runs += 1
    return runs * len(rows) / elapsed_s


async def measure_width(effort: Effort, folder: Path) -> list[Row]:
    """Measure the cost of a request with 100 and with 500 features."""
    narrow, wide = folder / "narrow", folder / "wide"
    async with (
        open_request_path(narrow, width=100, kept=folder.parent) as path_100,
        open_request_path(wide, width=500, kept=folder.parent) as path_500,
    ):
        targets = [
            await path.target(name, await path.entities_of(CHAMPION, 1))
            for name, path in (("100 features", path_100), ("500 features", path_500))
        ]
        measured = await alternate(targets, effort)
    times = 1 / median_ratio(measured["500 features"], measured["100 features"])
    return [
        _row("100 features", measured["100 features"], goal="the reference of the next row"),
        _row(
            "500 features",
            measured["500 features"],
            goal=f"cost <= {MOST_WIDTH_TIMES} x that of 100",
            met=times <= MOST_WIDTH_TIMES,
            note=f"{times:.2f} x the cost of a request with 100 (time on the same cores)",
        ),
    ]


async def _unit_of_champion(path: RequestPath) -> str:
    return (await path.entities_of(CHAMPION, 1))[0]


def _row(
    name: str,
    measured: Sequence[Measured],
    *,
    goal: str,
    units_per_call: int = 1,
    ratio_to_floor: float | None = None,
    met: bool | None = None,
    note: str = "",
) -> Row:
    p50_ms, p99_ms = (median_latency_s(measured, percent) * 1000 for percent in (50, 99))
    latency = f"p50 {p50_ms:.2f} ms, p99 {p99_ms:.2f} ms"
    return Row(
        name=name,
        requests_per_s=round(median_rate(measured) * units_per_call, 1),
        ratio_to_floor=None if ratio_to_floor is None else round(ratio_to_floor, 3),
        cpu_us_per_request={
            process: round(cpu_us / units_per_call, 1)
            for process, cpu_us in median_cpu_us(measured).items()
        },
        mean_batch_rows=median_batch_rows(measured),
        others_cpu_share=median_others_share(measured),
        goal=goal,
        met=met,
        note=f"{note}; {latency}" if note else latency,
    )


SCENARIOS = (
    Scenario("latency", measure_latency),
    Scenario("mirror", measure_mirror),
    Scenario("stream", measure_stream),
    Scenario("batch", measure_batch),
    Scenario("width", measure_width),
)
