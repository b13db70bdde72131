"""A comparison of many rows: the memory and the CPU time of the process that makes it.

`python -m benchmarks.compare_pairs LOG_DIR pairs|slices|arms` makes one, and prints both as JSON.
"""

import asyncio
import json
import resource
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from benchmarks.rows import Effort, Row, Scenario
from understudy.comparison.compare import compare
from understudy.comparison.compare_arms import compare_live_arms
from understudy.comparison.evidence.rows import Question
from understudy.comparison.plan import Plan
from understudy.domain.logged_ids import IdForm, LoggedIds
from understudy.logs.schema import LogKind, schema_of_kind, with_facts

MODEL = "fraud"
ROWS = 10_000_000
_GOAL_BYTES = 2**30
_GOAL_S = 60.0  # on two quiet cores
_LIMIT_S = 3_600.0  # of a hang
_THRESHOLD = 0.5
_CHAMPION, _SHADOW = 7, 9
_PART_ROWS = 250_000
_DAY = "2026-11-18"
_START_US = 1_795_000_000_000_000  # 2026-11-18T11:06:40Z
_SPREAD_US = 40_000_000_000  # of the answers over the day
_WITH_OUTCOME = 0.6
_POSITIVES = 0.2  # of the outcomes
_ROWS_PER_UNIT = 4  # on average


class Compared(StrEnum):
    """The kinds of comparison of the same logs."""

    PAIRS = "pairs"
    SLICES = "slices"  # pairs, with two columns of slices and all pairs of their values
    ARMS = "arms"


@dataclass(frozen=True, slots=True)
class Spent:
    """The resources of one comparison."""

    rows: int
    seconds: float
    cpu_s: float
    peak_bytes: int  # resident


async def measure_comparison(_effort: Effort, folder: Path) -> Sequence[Row]:
    write_comparison_logs(folder, ROWS)
    rows = []
    for kind in Compared:
        spent = await asyncio.to_thread(compare_in_a_child, folder, kind)
        rows.append(
            Row(
                name=f"compare {ROWS / 1e6:g} M rows: {kind}",
                requests_per_s=spent.rows / spent.seconds,
                goal=f"below {_GOAL_BYTES / 2**30:g} GiB and {_GOAL_S:g} s",
                cpu_us_per_request={"compare": spent.cpu_s / spent.rows * 1e6},
                met=spent.peak_bytes < _GOAL_BYTES and spent.seconds < _GOAL_S,
                note=f"{spent.peak_bytes / 2**20:.0f} MiB at the peak, {spent.seconds:.0f} s",
            )
        )
    return rows


def compare_in_a_child(log_dir: Path, kind: Compared) -> Spent:
    """Compare the rows in a process of its own, whose peak of memory is therefore theirs."""
    command = [sys.executable, "-m", "benchmarks.compare_pairs", str(log_dir), kind]
    printed = subprocess.run(
        command, check=True, stdout=subprocess.PIPE, text=True, timeout=_LIMIT_S
    ).stdout
    return Spent(**json.loads(printed))


def _compare(log_dir: Path, kind: Compared) -> Spent:
    begun_s = time.monotonic()
    rows = _rows_compared(log_dir, kind)
    used = resource.getrusage(resource.RUSAGE_SELF)
    return Spent(
        rows=rows,
        seconds=time.monotonic() - begun_s,
        cpu_s=used.ru_utime + used.ru_stime,
        peak_bytes=_peak_bytes(),
    )


def _rows_compared(log_dir: Path, kind: Compared) -> int:
    plan = Plan(threshold=_THRESHOLD)
    if kind is Compared.ARMS:
        arms = compare_live_arms(log_dir, Question(MODEL), plan)
        return arms.champion.rows + arms.challenger.rows
    if kind is Compared.SLICES:
        plan = replace(plan, slices=("hour", "level"))
    return compare(log_dir, Question(MODEL), plan).rows.pairs


def _peak_bytes() -> int:
    # Not `ru_maxrss`: it survives `exec`, and so tells the peak of a larger parent.
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024  # KiB, whatever the line says
    raise RuntimeError("/proc/self/status has no VmHWM; Linux 2.6.15 or newer would")


def write_comparison_logs(root: Path, rows: int) -> None:
    """Write `rows` answers, their shadow rows, and outcomes of a part of them, below `root`."""
    for part, first in enumerate(range(0, rows, _PART_ROWS)):
        numbers = np.arange(first, min(first + _PART_ROWS, rows))
        columns = _columns(numbers, rows, np.random.default_rng(part))
        for kind in LogKind:
            _write(root, kind, part, columns)


def _columns(
    numbers: NDArray[np.int64], rows: int, random: np.random.Generator
) -> dict[str, pa.Array]:
    count = numbers.size
    label = (random.random(count) < _POSITIVES).astype(np.float64)
    champion = np.clip(0.3 + 0.3 * label + random.normal(0, 0.15, count), 0, 1)
    shadow = np.clip(champion + random.normal(0, 0.03, count), 0, 1)
    at_us = _START_US + numbers * _SPREAD_US // rows
    unit = random.integers(0, max(rows // _ROWS_PER_UNIT, 1), count)
    is_challenger = unit % 2 == 1
    return {
        "request_id": _ids("r", numbers),
        "unit_key": _ids("u", unit),
        "at_utc": pa.array(at_us, pa.timestamp("us")),
        "observed_at_utc": pa.array(at_us + 1_000_000, pa.timestamp("us")),
        "writer_sequence": pa.array(numbers + 1),
        "score": pa.array(champion),
        "level": pa.array((numbers % 50 == 0).astype(np.uint8)),
        "assigned_version": pa.array(np.where(is_challenger, _SHADOW, _CHAMPION).astype(np.int32)),
        "assigned_arm": pa.array(np.where(is_challenger, "challenger", "champion")),
        "shadow_score": pa.array(shadow),
        "label": pa.array(label),
        "has_outcome": pa.array(random.random(count) < _WITH_OUTCOME),
    }


def _ids(prefix: str, numbers: NDArray[np.int64]) -> pa.Array:
    # Spread over all values, as the digests and random ids of real logs are.
    mixed = numbers.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    return pa.array([f"{prefix}{each:031x}" for each in mixed.tolist()])


_FIXED = {
    "bucket": 0, "writer_id": "w1", "version": _CHAMPION, "arm": "champion",
    "assigned_bp": 5_000, "revision": 4, "status": "ok", "shadow_version": _SHADOW,
    "inclusion_probability": 1.0, "queue_us": 0, "fetch_us": 40, "infer_us": 300, "total_us": 500,
}  # fmt: skip


def _write(root: Path, kind: LogKind, part: int, columns: dict[str, pa.Array]) -> None:
    count = len(columns["score"])
    schema = with_facts(schema_of_kind(kind), ids=LoggedIds(IdForm.UNKEYED))
    arrays = [
        columns[field.name]
        if field.name in columns
        else _repeated(_FIXED.get(field.name), count, field.type)
        for field in schema
    ]
    table = pa.table(arrays, schema=schema)
    if kind is LogKind.OUTCOMES:
        table = table.filter(columns["has_outcome"])
    folder = root / kind.value / f"model={MODEL}" / f"date={_DAY}"
    folder.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, folder / f"part-{part:06d}.parquet", compression="zstd")


def _repeated(value: object, count: int, kind: pa.DataType) -> pa.Array:
    if value is None:
        return pa.nulls(count, kind)
    return pa.repeat(pa.scalar(value, kind), count)


SCENARIOS = (Scenario("compare", measure_comparison),)

if __name__ == "__main__":
    print(json.dumps(asdict(_compare(Path(sys.argv[1]), Compared(sys.argv[2])))))
