"""One scorer, ModelInfer with raw tensors: 200 FP32 features, 100 trees, against its floor."""

import re
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any
from urllib.request import urlopen

import grpc
import numpy as np

from benchmarks.h2load import Load, write_frame
from benchmarks.measure import (
    Batches,
    Measured,
    Target,
    alternate,
    median_batch_rows,
    median_cpu_us,
    median_rate,
    median_ratio,
)
from benchmarks.model import make_files
from benchmarks.rows import Effort, Row, Scenario
from benchmarks.scorer_floor import SERVICE
from scorer.decisions.run_place import RunPlace
from scorer.server.load_model import LoadedModel, load_model
from scorer.server.request_reader import RequestLimits, RequestReader
from scorer.server.response_writer import ResponseWriter
from understudy.artifact.expectation import Expectation
from understudy.artifact.load_checks import CheckOptions
from understudy.artifact.session_options import SessionOptions
from understudy.domain.versions import MODEL_FILE, VersionRef
from understudy.oip import inference_pb2 as pb
from understudy.runtime.free_port import free_ports
from understudy.runtime.supervision.supervisor import ProcessSpec, Supervisor

WIDTH = 200
RE_RANK_ROWS = 200
LEAST_RATIO = 0.8
MOST_LATENCY_RATIO = 1.5
_MODEL = "bench"
_METHOD = f"/{SERVICE}/ModelInfer"
_KEPT = Path(".understudy") / "benchmarks" / "scorer"
_BARE_RUNS = 3_000


@dataclass(frozen=True, slots=True)
class Shape:
    """The shape of a load: rows per request, connections, calls in flight on each."""

    name: str
    rows: int
    connections: int
    in_flight: int


CROWD = Shape("64 in flight", 1, 4, 16)
LONE = Shape("1 in flight", 1, 1, 1)
RE_RANK = Shape(f"batches of {RE_RANK_ROWS}", RE_RANK_ROWS, 2, 2)


@dataclass(frozen=True, slots=True)
class Server:
    """A server that answers ModelInfer, its pid by name, and the port of its metrics."""

    kind: str
    address: str
    pids: Mapping[str, int]
    metrics_port: int | None = None


async def measure_infer(effort: Effort, folder: Path) -> list[Row]:
    """Measure floor and scorer in turns, in three shapes of load."""
    artifact = make_files(_KEPT, width=WIDTH, versions=1).artifacts[0]
    async with open_servers(artifact, folder) as (floor, scorer):
        targets = [
            _target(server, shape, folder, await infer(scorer.address, shape.rows))
            for shape in (CROWD, LONE, RE_RANK)
            for server in (floor, scorer)
        ]
        measured = await alternate(targets, effort)
    return [*_rows(measured), _overhead_row(artifact, measured)]


@asynccontextmanager
async def open_servers(artifact: Path, folder: Path) -> AsyncIterator[tuple[Server, Server]]:
    """Start a scorer, and a floor that returns the scorer's answers."""
    *ports, metrics_port = free_ports(3)
    addresses = [f"127.0.0.1:{port}" for port in ports]
    prepared = folder / "scorer-floor.response"
    async with Supervisor(folder / "process-logs") as supervisor:
        await supervisor.start(scorer_spec(artifact, addresses[0], metrics_port))
        answer = await infer(addresses[0], 1)
        prepared.write_bytes(answer.SerializeToString())
        floor = ("-m", "benchmarks.scorer_floor", addresses[1], str(prepared))
        await supervisor.start(ProcessSpec("floor", floor, health_target=addresses[1]))
        pids = supervisor.pids()
        yield (
            Server("floor", addresses[1], {"floor": pids["floor"]}),
            Server("scorer", addresses[0], {"scorer": pids["scorer"]}, metrics_port),
        )


def scorer_spec(artifact: Path, address: str, metrics_port: int) -> ProcessSpec:
    arguments = ("-m", "scorer", "serve", str(artifact), "--name", _MODEL)
    where = ("--listen", address, "--metrics-port", str(metrics_port))
    return ProcessSpec("scorer", (*arguments, *where), health_target=address)


def infer_request(rows: int) -> pb.ModelInferRequest:
    """Return a request of `rows` rows of 200 raw FP32."""
    values = np.random.default_rng(rows).normal(size=(rows, WIDTH)).astype(np.float32)
    request = pb.ModelInferRequest(model_name=_MODEL)
    request.inputs.add(name="features", datatype="FP32", shape=values.shape)
    request.raw_input_contents.append(values.tobytes())
    return request


async def infer(address: str, rows: int) -> pb.ModelInferResponse:
    async with grpc.aio.insecure_channel(address) as channel:
        call: Any = channel.unary_unary(
            _METHOD,
            request_serializer=pb.ModelInferRequest.SerializeToString,
            response_deserializer=pb.ModelInferResponse.FromString,
        )
        response: pb.ModelInferResponse = await call(infer_request(rows), timeout=10)
    return response


def _target(server: Server, shape: Shape, folder: Path, answer: pb.ModelInferResponse) -> Target:
    body = write_frame(folder / f"infer-{shape.rows}.frame", infer_request(shape.rows))
    load = Load(server.address, _METHOD, (body,), shape.connections, shape.in_flight)
    # The floor answers each shape with one row: this compares the transport, not the payload.
    due_bytes = answer.ByteSize() if server.kind == "scorer" else 1
    port = server.metrics_port
    return Target(
        f"{server.kind}, {shape.name}",
        load,
        server.pids,
        due_bytes,
        None if port is None else lambda: _batches_at(port),
    )


async def _batches_at(port: int) -> Batches:
    with urlopen(f"http://127.0.0.1:{port}/metrics") as answer:  # noqa: ASYNC210 - between loads
        text = answer.read().decode()
    return Batches(
        rows=int(_sample(text, "understudy_scorer_batch_rows_sum")),
        batches=int(_sample(text, "understudy_scorer_batch_rows_count")),
    )


def _sample(text: str, name: str) -> float:
    found = re.search(rf"^{name} (\S+)$", text, re.MULTILINE)
    return float(found[1]) if found else 0.0


def _rows(measured: Mapping[str, Sequence[Measured]]) -> list[Row]:
    crowd, crowd_floor = _pair(measured, CROWD)
    lone, lone_floor = _pair(measured, LONE)
    re_rank, re_rank_floor = _pair(measured, RE_RANK)
    crowd_ratio = median_ratio(crowd, crowd_floor)
    latency_ratio = _latency_ratio(lone, lone_floor)
    return [
        _row(
            f"scorer floor, {CROWD.name}", crowd_floor, goal="the reference", note=_ms(crowd_floor)
        ),
        _row(
            f"scorer ModelInfer, {CROWD.name}",
            crowd,
            ratio=crowd_ratio,
            goal=f">= {LEAST_RATIO} of the floor",
            met=crowd_ratio >= LEAST_RATIO,
            note=f"1 x {WIDTH} FP32 raw, 100 trees; {_ms(crowd)}",
        ),
        _row(
            f"scorer ModelInfer, {LONE.name}",
            lone,
            ratio=median_ratio(lone, lone_floor),
            goal=f"mean latency <= {MOST_LATENCY_RATIO} x the floor's",
            met=latency_ratio <= MOST_LATENCY_RATIO,
            note=f"mean latency {latency_ratio:.2f} x the floor's; {_ms(lone)}",
        ),
        _row(
            f"scorer ModelInfer, {RE_RANK.name}",
            re_rank,
            ratio=median_ratio(re_rank, re_rank_floor),
            goal="reported",
            note=f"{median_rate(re_rank) * RE_RANK_ROWS:,.0f} rows/s; {_ms(re_rank)}",
        ),
    ]


def _pair(
    measured: Mapping[str, Sequence[Measured]], shape: Shape
) -> tuple[Sequence[Measured], Sequence[Measured]]:
    return measured[f"scorer, {shape.name}"], measured[f"floor, {shape.name}"]


def _row(
    name: str,
    measured: Sequence[Measured],
    *,
    goal: str,
    ratio: float | None = None,
    met: bool | None = None,
    note: str = "",
) -> Row:
    return Row(
        name=name,
        requests_per_s=round(median_rate(measured), 1),
        ratio_to_floor=None if ratio is None else round(ratio, 3),
        cpu_us_per_request=median_cpu_us(measured),
        mean_batch_rows=median_batch_rows(measured),
        goal=goal,
        met=met,
        note=note,
    )


def _latency_ratio(measured: Sequence[Measured], floor: Sequence[Measured]) -> float:
    return median(
        each.counted.mean_latency_s / ground.counted.mean_latency_s
        for each, ground in zip(measured, floor, strict=True)
    )


def _ms(measured: Sequence[Measured]) -> str:
    latency_ms = [each.counted.mean_latency_s * 1000 for each in measured]
    return f"mean latency {min(latency_ms):.2f} to {max(latency_ms):.2f} ms over rounds"


def _overhead_row(artifact: Path, measured: Mapping[str, Sequence[Measured]]) -> Row:
    """Report the cost of a call over a bare `session.run` of the same row, one at a time."""
    checks = CheckOptions(SessionOptions(), golden_tolerance=1e-4, require_golden=True, warm_rows=1)
    loaded = load_model(artifact, VersionRef(_MODEL, 1), Expectation(), checks, RunPlace(1.0))
    bare_us, own_us = _bare_and_own_us(loaded)
    lone, floor = _pair(measured, LONE)
    call_us = median(each.counted.mean_latency_s for each in lone) * 1e6
    floor_us = median(each.counted.mean_latency_s for each in floor) * 1e6
    return Row(
        name="scorer overhead over session.run",
        requests_per_s=round(1e6 / bare_us, 1),
        goal="reported",
        note=(
            f"bare run of {MODEL_FILE} {bare_us:.1f} us; reading and writing the messages "
            f"{own_us:.1f} us; a call {call_us:.0f} us, of which grpc (the floor) {floor_us:.0f} us"
        ),
    )


def _bare_and_own_us(loaded: LoadedModel) -> tuple[float, float]:
    raw = infer_request(1).SerializeToString()
    reader = RequestReader(loaded.signature, RequestLimits(4_096, refuse_non_finite=False))
    writer = ResponseWriter(loaded.signature)
    read = reader.read(pb.ModelInferRequest.FromString(raw))
    arrays = loaded.model.run(read.inputs, read.outputs)
    started_s = perf_counter()
    for _ in range(_BARE_RUNS):
        loaded.model.run(read.inputs, read.outputs)
    ran_s = perf_counter()
    for _ in range(_BARE_RUNS):
        again = reader.read(pb.ModelInferRequest.FromString(raw))
        writer.write("", again.outputs, arrays)
    written_s = perf_counter()
    per_call_us = 1e6 / _BARE_RUNS
    return (ran_s - started_s) * per_call_us, (written_s - ran_s) * per_call_us


SCENARIOS = (Scenario("scorer", measure_infer),)
