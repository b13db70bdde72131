"""History gives the same values as a store that was loaded from the same file, for any file."""

import math
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.features.builders import NOW_S, a_view
from tests.features.fakes import FakeFeatureStore
from understudy.domain.features import Feature, FeatureDtype, FeatureRef, FeatureView
from understudy.features.history.history import get_historical_features
from understudy.features.loading.history_files import HistorySource
from understudy.features.loading.load_features import SourceFile, load_features
from understudy.features.loading.write_through import WriteThrough
from understudy.features.serving.feature_values import FeatureValues
from understudy.features.serving.online import OnlineFeatures

NUMBERS = (pa.float64(), [1.0, 3.5, 2.0, math.nan, math.inf, -1e300, None])
TEXTS = (pa.string(), ["1", "3.5", "2", "true", "x", "nan", "a\0b", "", "1e300", None])
WHOLE = (pa.int64(), [0, 1, 2, -5, 2**53 + 1, None])
UNSIGNED = (pa.uint64(), [0, 1, 2**63, 2**64 - 1, None])
FLAGS = (pa.bool_(), [True, False, None])
NARROW = (pa.float32(), [1.0, 0.1, 3.5, math.inf, None])
COLUMNS = [NUMBERS, TEXTS, WHOLE, UNSIGNED, FLAGS, NARROW]
IDS = [
    (pa.string(), ["a", "b", "1", "", "a\0b", "x" * 4097]),
    (pa.int64(), [1, 2]),
    (pa.float64(), [1.0, 2.0]),  # not ids: loading rejects them
]
ASKED = ["a", "b", "1", "2", "1.0"]


@st.composite
def files(draw: st.DrawFn) -> tuple[pa.Table, int]:
    """Draw a file of up to 8 rows, and the second for which values are requested."""
    rows = draw(st.integers(1, 8))
    columns = {"event_time": [_moment(draw(st.integers(0, 6))) for _ in range(rows)]}
    arrays = {"event_time": pa.array(columns["event_time"], pa.timestamp("us"))}
    for name, choices in (("car", IDS), ("value", COLUMNS), ("other", COLUMNS)):
        kind, values = draw(st.sampled_from(choices))
        cells = [draw(st.sampled_from(values)) for _ in range(rows)]
        arrays[name] = pa.array(cells, kind)
    return pa.table(arrays), draw(st.integers(0, 7))


@pytest.mark.parametrize("dtype", FeatureDtype)
@settings(max_examples=15)  # each writes files and joins them
@given(case=files())
async def test_history_at_a_time_equals_what_was_served_then(
    dtype: FeatureDtype, case: tuple[pa.Table, int]
) -> None:
    table, at_s = case
    features = (Feature("value", dtype), Feature("other", FeatureDtype.FLOAT32, default=-1.0))
    view = a_view("car", features, entity="car")
    known = table.filter([each <= _moment(at_s) for each in table["event_time"].to_pylist()])
    with TemporaryDirectory() as folder:
        served = await _served(view, known, Path(folder) / "known.parquet", at_s)
        history = _history(view, table, Path(folder) / "all.parquet", at_s)

    assert history.statuses.tolist() == served.statuses.tolist()
    for mine, theirs in zip(history.columns, served.columns, strict=True):
        assert repr(mine.tolist()) == repr(theirs.tolist())  # so that NaN equals NaN


async def _served(view: FeatureView, table: pa.Table, path: Path, at_s: int) -> FeatureValues:
    pq.write_table(table, path)
    store = FakeFeatureStore()
    load_features(
        SourceFile(path, "car"),
        view,
        store,
        on_reject=lambda _: None,
        on_progress=lambda _: None,
    )
    features = OnlineFeatures(store, _refs(view), [view])
    return await features.get({"car": ASKED}, now_s=NOW_S + at_s, timeout_s=1.0)


def _history(view: FeatureView, table: pa.Table, path: Path, at_s: int) -> FeatureValues:
    pq.write_table(table, path)
    return _history_of(view, str(path), at_s)


def _history_of(view: FeatureView, files: str, at_s: int) -> FeatureValues:
    asked = pa.table(
        {
            "car": ASKED,
            "event_time": pa.array([_moment(at_s)] * len(ASKED), pa.timestamp("us")),
        }
    )
    sources = {"car@1": HistorySource(files, "car")}
    return get_historical_features(asked, _refs(view), [view], sources, use_stale=True)


def _refs(view: FeatureView) -> list[FeatureRef]:
    return [FeatureRef(view.name, view.version, feature.name) for feature in view.features]


def _moment(offset_s: int) -> datetime:
    return datetime.fromtimestamp(NOW_S + offset_s, tz=UTC).replace(tzinfo=None)


@pytest.mark.parametrize(
    "kind", [pa.string(), pa.large_string(), pa.dictionary(pa.int32(), pa.string())], ids=str
)
@pytest.mark.parametrize(
    "second",
    [
        "{date}T{time}Z",
        "{date} {time}",
        "{date}T{time}.123999+00:00",
        "{basic}T{time}Z",
        "{date}",
        "{time}",
        "yesterday",
        "",
        None,
    ],
)
async def test_history_parses_text_times_as_loading_does(
    tmp_path: Path, kind: pa.DataType, second: str | None
) -> None:
    view = a_view("car", (Feature("value", FeatureDtype.INT64),), entity="car")
    at = _moment(-1)
    words = {"date": f"{at:%Y-%m-%d}", "time": f"{at:%H:%M:%S}", "basic": f"{at:%Y%m%d}"}
    times = ["2020-01-01T00:00:00Z", second and second.format(**words)]
    table = pa.table({"car": ["1", "1"], "event_time": pa.array(times, kind), "value": [1, 2]})

    served = await _served(view, table, tmp_path / "served.parquet", 0)
    history = _history(view, table, tmp_path / "history.parquet", 0)

    assert history.columns[0].tolist() == served.columns[0].tolist()
    assert history.columns[0][ASKED.index("1")] in (1, 2)


def test_files_of_one_history_may_differ_in_types(tmp_path: Path) -> None:
    # By the types of the first file 3.5 would be read as 4, which no store ever had.
    view = a_view("car", (Feature("value", FeatureDtype.INT64),), entity="car")
    for place, value in enumerate([7, 3.5]):
        table = pa.table({"car": ["a"], "event_time": pa.array([_moment(place)]), "value": [value]})
        pq.write_table(table, tmp_path / f"{place}.parquet")

    found = _history_of(view, str(tmp_path / "*.parquet"), 5)

    assert found.columns[0].tolist()[0] == 7


@pytest.mark.parametrize(
    "event_time",
    [_moment(-5), _moment(-5).replace(tzinfo=UTC), _moment(-5).isoformat() + "Z"],
    ids=["without a zone", "UTC", "text"],
)
async def test_rows_written_through_are_read_back_by_history(
    tmp_path: Path, event_time: Any
) -> None:
    view = a_view("car", (Feature("value", FeatureDtype.INT64),), entity="car")
    store = FakeFeatureStore()
    through = WriteThrough(view, store, tmp_path)
    through.write(pa.table({"car": [1], "event_time": [event_time], "value": ["3"]}))
    later = pa.table({"car": ["1"], "event_time": [_moment(-1)], "value": [4.0]})
    through.write(later)

    before, after = (_history_of(view, f"{tmp_path}/*/*.parquet", at_s) for at_s in (-2, 0))

    place = ASKED.index("1")
    assert (before.columns[0][place], after.columns[0][place]) == (3, 4)
    served = await OnlineFeatures(store, _refs(view), [view]).get(
        {"car": ASKED}, now_s=NOW_S, timeout_s=1.0
    )
    assert served.columns[0].tolist() == after.columns[0].tolist()
