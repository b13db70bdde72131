"""Loading and history: rows of 200 float32 features per second, and peak memory."""

from collections.abc import Iterator
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from time import perf_counter

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.rows import Effort, Row, Scenario
from understudy.domain.features import Feature, FeatureDtype, FeatureRef, FeatureView

WIDTH = 200
GOAL_GROWTH = 1.25
_ROWS_PER_EFFORT_S = 10_000
_FILE_CHUNK_ROWS = 10_000


async def measure_load(effort: Effort, folder: Path) -> list[Row]:
    """Load two files, one four times as large: the memory must not grow with the rows."""
    large = max(40_000, round(effort.rounds * effort.seconds * _ROWS_PER_EFFORT_S))
    small_mib, _ = _in_a_process(_load_file, folder / "small", large // 4)
    peak_mib, took_s = _in_a_process(_load_file, folder / "large", large)
    return [
        Row(
            name=f"load into lmdb, {large} rows",
            requests_per_s=round(large / took_s),
            goal=f"<= {GOAL_GROWTH} of the memory for a quarter of the rows",
            met=peak_mib <= GOAL_GROWTH * small_mib,
            note=f"{WIDTH} float32 features a row; memory at most {peak_mib:.0f} MiB "
            f"({small_mib:.0f} MiB for {large // 4} rows)",
        )
    ]


async def measure_history(effort: Effort, folder: Path) -> list[Row]:
    """Join request rows to a history of three records per entity."""
    entities = max(5_000, round(effort.rounds * effort.seconds * 1_000))
    peak_mib, took_s = _in_a_process(_join, folder, entities)
    return [
        Row(
            name=f"point-in-time join, {entities} rows",
            requests_per_s=round(entities / took_s),
            goal="reported",
            note=f"history of {entities * 3} records, {WIDTH} float32 features; memory at "
            f"most {peak_mib:.0f} MiB",
        )
    ]


def _in_a_process(work: object, folder: Path, rows: int) -> tuple[float, float]:
    """Return peak MiB and seconds of `work(folder, rows, answer)` in a separate process."""
    context = get_context("spawn")
    here, there = context.Pipe()
    folder.mkdir(parents=True, exist_ok=True)
    process = context.Process(target=work, args=(folder, rows, there))  # type: ignore[arg-type]  # spawn pickles it by name
    process.start()
    there.close()
    try:
        peak_mib, took_s = here.recv()
    finally:
        process.join()
    return float(peak_mib), float(took_s)


def _load_file(folder: Path, rows: int, answer: Connection) -> None:
    from understudy.features.loading.load_features import SourceFile, load_features  # noqa: PLC0415 - in the child
    from understudy.features.stores import open_writer  # noqa: PLC0415 - in the child

    path = folder / "rows.parquet"
    _write(path, rows, times=1)
    writer = open_writer(f"lmdb:{folder / 'store'}")
    used_mib: list[float] = []
    started_s = perf_counter()
    done = load_features(
        SourceFile(path, "user"),
        _view(),
        writer,
        on_reject=print,
        on_progress=lambda _: used_mib.append(_anonymous_mib()),
    )
    took_s = perf_counter() - started_s
    writer.close_now()
    if done.written != rows:
        raise AssertionError(f"{done.written} of {rows} rows were written")
    answer.send((max(used_mib), took_s))


def _join(folder: Path, entities: int, answer: Connection) -> None:
    from understudy.features.history.history import get_historical_features  # noqa: PLC0415 - in the child
    from understudy.features.loading.history_files import HistorySource  # noqa: PLC0415 - in the child

    path = folder / "history.parquet"
    _write(path, entities, times=3)
    asked = pa.table(
        {
            "user": pa.array([f"u{number}" for number in range(entities)]),
            "event_time": pa.array(np.full(entities, 2_500, dtype="datetime64[ms]")),
        }
    )
    view = _view()
    refs = [FeatureRef(view.name, 1, feature.name) for feature in view.features]
    started_s = perf_counter()
    found = get_historical_features(
        asked, refs, [view], {str(view): HistorySource(str(path), "user")}
    )
    took_s = perf_counter() - started_s
    if found.statuses.any():
        raise AssertionError("a record was not found")
    answer.send((_anonymous_mib(), took_s))


def _view() -> FeatureView:
    features = tuple(Feature(f"f{number:03d}", FeatureDtype.FLOAT32) for number in range(WIDTH))
    return FeatureView("bench", 1, "user", features)


def _write(path: Path, entities: int, *, times: int) -> None:
    with pq.ParquetWriter(path, _tables(1, 0).__next__().schema) as writer:
        for time in range(times):
            for table in _tables(entities, time):
                writer.write_table(table)


def _tables(entities: int, time: int) -> Iterator[pa.Table]:
    rng = np.random.default_rng(time)
    for start in range(0, entities, _FILE_CHUNK_ROWS):
        rows = min(_FILE_CHUNK_ROWS, entities - start)
        values = rng.random((WIDTH, rows), dtype=np.float32)
        yield pa.table(
            {
                "user": pa.array([f"u{start + row}" for row in range(rows)]),
                "event_time": pa.array(np.full(rows, time * 1_000, dtype="datetime64[ms]")),
                **{f"f{column:03d}": pa.array(values[column]) for column in range(WIDTH)},
            }
        )


def _anonymous_mib() -> float:
    """Return the memory of this process that is not backed by files: the store is mapped whole."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    (line,) = [line for line in status.splitlines() if line.startswith("RssAnon")]
    return int(line.split()[1]) / 1024


SCENARIOS = (
    Scenario("features-load", measure_load),
    Scenario("features-history", measure_history),
)
