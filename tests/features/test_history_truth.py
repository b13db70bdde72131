"""History, an LMDB store and a search in Python give one answer, over whatever files hold it.

The rule in Python knows nothing of files: it is over ids, milliseconds and numbers. The files are
drawn: types of ids and times, zones, ties, names of folders, orders of rows, files and loading.
"""

from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from random import Random
from uuid import uuid4

import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.features.aerospike_servers import Server
from tests.features.builders import a_record, a_view
from tests.features.loading_process import RemoteWriter
from understudy.domain.features import (
    Feature,
    FeatureDtype,
    FeatureRef,
    FeatureStatus,
    FeatureView,
)
from understudy.domain.record_layouts import BinsLayout
from understudy.features.decisions.record_format import record_format, unpack_record
from understudy.features.decisions.record_order import fingerprint_of
from understudy.features.history.history import get_historical_features
from understudy.features.loading.history_files import HistorySource
from understudy.features.loading.load_features import SourceFile, load_features
from understudy.features.serving.feature_values import FeatureValues
from understudy.features.serving.online import OnlineFeatures
from understudy.features.stores import open_store

START = datetime(2025, 11, 1, 12, tzinfo=UTC)
VIEW = a_view("user", (Feature("n", FeatureDtype.INT64),), entity="user")
START_MS = round(START.timestamp() * 1000)
REFS = [FeatureRef("user", 1, "n")]
IDS = [1, 2, 17]
ID_TYPES = [pa.string(), pa.large_string(), pa.int64(), pa.uint8(), pa.float64(), pa.float32()]
ID_TYPES += [pa.dictionary(pa.int8(), pa.string())]
TIME_TYPES: list[pa.DataType] = [pa.string()]
TIME_TYPES += [
    pa.timestamp(unit, tz=zone)
    for unit in ("us", "ns")
    for zone in (None, "UTC", "Asia/Tokyo", "America/New_York")
]
NUMBER_TYPES = [pa.int64(), pa.float64(), pa.string(), pa.decimal128(25, 2)]
NAMES = ["a", "view=user@1", "user=7", "n=5", "date=2025-01-01", "with space", "it's", 'q"', "[x]"]


@dataclass(frozen=True)
class Event:
    entity: int
    at_us: int  # after the start; several fall into one millisecond
    created: int
    n: int


@dataclass(frozen=True)
class DrawnFile:
    folder: str
    events: list[Event]
    id_type: pa.DataType
    time_type: pa.DataType
    number_type: pa.DataType
    has_other_case: bool
    is_csv: bool


events = st.builds(
    Event, st.sampled_from(IDS), st.integers(0, 4000), st.integers(0, 2), st.integers(0, 9)
)
tied_events = st.builds(
    Event,
    st.sampled_from(IDS[:2]),
    st.sampled_from([0, 900, 1000]),
    st.integers(0, 1),
    st.integers(0, 9),
)


def files_of(drawn: st.SearchStrategy[Event]) -> st.SearchStrategy[DrawnFile]:
    return st.builds(
        DrawnFile,
        st.sampled_from(NAMES),
        st.lists(drawn, min_size=1, max_size=6),
        st.sampled_from(ID_TYPES),
        st.sampled_from(TIME_TYPES),
        st.sampled_from(NUMBER_TYPES),
        st.booleans(),
        st.booleans(),
    )


drawn_files = files_of(events)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    root = tmp_path_factory.mktemp("truth")
    return (root / str(number) for number in count())


@settings(max_examples=10, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(
    files=st.lists(drawn_files, min_size=1, max_size=3),
    order=st.randoms(use_true_random=False),
    asked_us=st.integers(0, 5000),
    asked_type=st.sampled_from(ID_TYPES),
)
async def test_history_online_and_a_search_agree(
    folders: Iterator[Path],
    loading_process: ProcessPoolExecutor,
    files: list[DrawnFile],
    order: Random,
    asked_us: int,
    asked_type: pa.DataType,
) -> None:
    root = next(folders)
    paths = [_written(each, root, number) for number, each in enumerate(files)]
    asked_ms = asked_us // 1000
    expected = [_searched(files, each, asked_ms) for each in IDS]

    asked = pa.table(
        {
            "user": pa.array([str(each) for each in IDS]).cast(asked_type)
            if not pa.types.is_floating(asked_type)
            else pa.array([float(each) for each in IDS], asked_type),
            "event_time": pa.array(
                [START + timedelta(microseconds=asked_us)] * len(IDS), pa.timestamp("us", tz="UTC")
            ),
        }
    )
    source = HistorySource(f"{root}/*/*", "user", created_time_column="created")
    history = get_historical_features(asked, REFS, [VIEW], {"user@1": source})
    order.shuffle(paths)
    online = await _online(paths, root / "store", loading_process)

    assert _values(history) == expected
    assert online == [_searched(files, each, 10**6) for each in IDS]


@settings(max_examples=30, suppress_health_check=list(HealthCheck), deadline=None)
@given(
    files=st.lists(drawn_files | files_of(tied_events), min_size=2, max_size=3),
    order=st.randoms(use_true_random=False),
    chunk_rows=st.integers(1, 4),
    latest_ms=st.sampled_from([0, 1, 5, 5]),
    event_time_bin=st.sampled_from(["ts", ""]),
)
async def test_bins_loaded_in_any_order_and_a_search_agree(
    server: Server,
    folders: Iterator[Path],
    files: list[DrawnFile],
    order: Random,
    chunk_rows: int,
    latest_ms: int,
    event_time_bin: str,
) -> None:
    root = next(folders)
    view = a_view(
        "user", VIEW.features, entity="user", layout=BinsLayout(uuid4().hex, event_time_bin)
    )
    paths = [_written(each, root, number) for number, each in enumerate(files)]
    order.shuffle(paths)
    for path in paths:
        load_features(
            SourceFile(path, "user", created_time_column="created"),
            view,
            server.writer,
            chunk_rows=chunk_rows,
            future_tolerance_s=0.0,
            now_ms=lambda: START_MS + latest_ms,  # later rows are from the future
            on_reject=lambda _: None,
            on_progress=lambda _: None,
        )

    found = await server.find(view, *map(str, IDS))

    form = record_format(view)
    values = [None if each is None else unpack_record(form, each)["n"] for each in found]
    past = [
        replace(file, events=[event for event in file.events if _is_past(event, latest_ms)])
        for file in files
    ]
    assert values == [_searched(past, each, 10**6, view) for each in IDS]


def _is_past(event: Event, latest_ms: int) -> bool:
    return max(event.at_us // 1000, event.created) <= latest_ms


def _searched(
    files: list[DrawnFile], entity: int, asked_ms: int, view: FeatureView = VIEW
) -> int | None:
    """Return the right answer, one event at a time."""
    form = record_format(view)
    known = [
        ((event.at_us // 1000, event.created, fingerprint_of(form, _record(event, view))), event.n)
        for file in files
        for event in file.events
        if event.entity == entity and event.at_us // 1000 <= asked_ms
    ]
    return max(known)[1] if known else None


def _record(event: Event, view: FeatureView) -> bytes:
    return a_record(
        view,
        {"n": event.n},
        event_time_ms=START_MS + event.at_us // 1000,
        created_time_ms=START_MS + event.created,
    )


def _written(file: DrawnFile, root: Path, number: int) -> Path:
    moments = [START + timedelta(microseconds=event.at_us) for event in file.events]
    ids = [event.entity for event in file.events]
    columns = {
        "user": pa.array(map(float, ids), file.id_type)
        if pa.types.is_floating(file.id_type)
        else pa.array(ids).cast(pa.string()).cast(file.id_type),
        "event_time": pa.array([each.isoformat() for each in moments])
        if file.time_type == pa.string()
        else pa.array(moments, pa.timestamp("us", tz="UTC")).cast(file.time_type),
        "created": pa.array(
            [START + timedelta(milliseconds=event.created) for event in file.events],
            pa.timestamp("ms", tz="UTC"),
        ),
        "n": pa.array([event.n for event in file.events]).cast(file.number_type),
    }
    if file.has_other_case:
        columns["N"] = pa.array([-1] * len(ids))
        columns["USER"] = pa.array(["?"] * len(ids))
    folder = root / file.folder
    folder.mkdir(parents=True, exist_ok=True)
    if file.is_csv:
        path = folder / f"{number}.csv"
        times = columns["event_time"]
        if pa.types.is_timestamp(times.type):
            columns["event_time"] = pa.array([each.isoformat() for each in moments])
        columns["created"] = pa.array([each.as_py().isoformat() for each in columns["created"]])
        columns["user"] = pa.array(map(str, ids))
        pa_csv.write_csv(pa.table(columns), path)
        return path
    path = folder / f"{number}.parquet"
    pq.write_table(pa.table(columns), path)
    return path


async def _online(
    paths: list[Path], store: Path, loading_process: ProcessPoolExecutor
) -> list[int | None]:
    url = f"lmdb:{store}"
    writer = RemoteWriter(loading_process, url)
    try:
        for path in paths:
            done = load_features(
                SourceFile(path, "user", created_time_column="created"),
                VIEW,
                writer,
                on_reject=lambda _: None,
                on_progress=lambda _: None,
            )
            assert done.rejected == 0
    finally:
        writer.close_now()
    reader = open_store(url)
    try:
        found = await OnlineFeatures(reader, REFS, [VIEW]).get(
            {"user": [str(each) for each in IDS]}, now_s=START.timestamp() + 60, timeout_s=60.0
        )
    finally:
        await reader.close()
    return _values(found)


def _values(found: FeatureValues) -> list[int | None]:
    missing = found.statuses[:, 0] == FeatureStatus.MISSING
    return [
        None if lost else int(value) for value, lost in zip(found.columns[0], missing, strict=True)
    ]
