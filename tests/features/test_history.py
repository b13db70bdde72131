"""The point-in-time join, against a naive implementation."""

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.features.builders import NOW_MS, NOW_S, a_record, a_view
from understudy.domain.errors import InvalidInputError, NotFoundError
from understudy.domain.features import (
    EMPTY_STATUSES,
    Feature,
    FeatureDtype,
    FeatureRef,
    FeatureStatus,
    FeatureView,
    ViewKind,
)
from understudy.features.decisions.record_format import record_format
from understudy.features.decisions.record_order import fingerprint_of
from understudy.features.history.history import get_historical_features
from understudy.features.loading.history_files import HistorySource
from understudy.features.serving.feature_values import FeatureValues

MAX_AGE_S = 50
SPEED = Feature("speed", FeatureDtype.FLOAT32, default=-1.0, max_age_s=MAX_AGE_S)
COUNT = Feature("count", FeatureDtype.INT64)
NAME = Feature("name", FeatureDtype.STRING)
VIEW = a_view("car", (SPEED, COUNT, NAME), entity="car")
REFS = [FeatureRef("car", 1, name) for name in ("speed", "count", "name")]


@dataclass(frozen=True)
class Row:
    car: str
    at_s: int
    speed: float | None
    count: int | None
    name: str | None


def _moment(offset_s: int) -> datetime:
    return datetime.fromtimestamp(NOW_S + offset_s, tz=UTC).replace(tzinfo=None)


def _history(
    folder: Path,
    rows: list[Row],
    asked: list[tuple[str, int]],
    *,
    use_stale: bool = True,
) -> FeatureValues:
    path = folder / "history.parquet"
    pq.write_table(
        pa.table(
            {
                "car": pa.array([row.car for row in rows], pa.string()),
                "event_time": pa.array([_moment(row.at_s) for row in rows], pa.timestamp("us")),
                "speed": pa.array([row.speed for row in rows], pa.float64()),
                "count": pa.array([row.count for row in rows], pa.int64()),
                "name": pa.array([row.name for row in rows], pa.string()),
            }
        ),
        path,
    )
    questions = pa.table(
        {
            "car": pa.array([car for car, _ in asked], pa.string()),
            "event_time": pa.array([_moment(at_s) for _, at_s in asked], pa.timestamp("us")),
        }
    )
    sources = {"car@1": HistorySource(str(path), "car")}
    return get_historical_features(questions, REFS, [VIEW], sources, use_stale=use_stale)


cars = st.sampled_from(["a", "b", "c"])
times = st.integers(0, 100)
speeds = st.none() | st.floats(width=32, allow_nan=True, allow_infinity=True)
rows_of_history = st.lists(
    st.builds(Row, cars, times, speeds, st.none() | st.integers(-5, 5), st.none() | st.text("xy")),
    max_size=12,
)


@given(rows_of_history, st.lists(st.tuples(cars, times), min_size=1, max_size=8))
def test_each_row_gets_the_latest_usable_record_at_or_before_its_time(
    rows: list[Row], asked: list[tuple[str, int]]
) -> None:
    with TemporaryDirectory() as folder:
        found = _history(Path(folder), rows, asked)

    for place, (car, at_s) in enumerate(asked):
        record = _latest(rows, car, at_s)
        speed = record.speed if record else None
        status = FeatureStatus(found.statuses[place, 0])
        is_stale = record is not None and at_s - record.at_s > MAX_AGE_S
        if record is None or speed is None or np.isnan(speed):
            is_fact = record is not None and not is_stale
            expected = FeatureStatus.NULL_DEFAULTED if is_fact else FeatureStatus.DEFAULTED
            assert status is expected
            assert found.columns[0][place] == -1.0
        else:
            assert status is (FeatureStatus.STALE if is_stale else FeatureStatus.PRESENT)
            assert found.columns[0][place] == np.float32(speed)
        count = record.count if record else None
        assert (found.statuses[place, 1] in EMPTY_STATUSES) == (count is None)
        assert found.columns[1][place] == (count or 0)
        name = record.name if record else None
        assert found.columns[2][place] == (name or "").encode()


def _latest(rows: list[Row], car: str, at_s: int) -> Row | None:
    """Return the latest accepted row at or before `at_s`; the fingerprint breaks ties."""
    known = [
        row
        for row in rows
        if row.car == car and row.at_s <= at_s and (row.speed is None or not np.isinf(row.speed))
    ]
    return max(known, key=lambda row: (row.at_s, _fingerprint_of(row)), default=None)


def _fingerprint_of(row: Row) -> int:
    speed = None if row.speed is None or np.isnan(row.speed) else row.speed
    values = {"speed": speed, "count": row.count, "name": row.name}
    record = a_record(VIEW, values, event_time_ms=NOW_MS + 1000 * row.at_s)
    return fingerprint_of(record_format(VIEW), record)


def test_a_value_past_its_max_age_is_not_in_the_training_data(tmp_path: Path) -> None:
    rows = [Row("a", 0, 5.0, 3, "n")]

    found = _history(tmp_path, rows, [("a", 50), ("a", 51)], use_stale=False)

    assert found.columns[0].tolist() == [5.0, -1.0]
    assert found.statuses[:, 0].tolist() == [FeatureStatus.PRESENT, FeatureStatus.DEFAULTED]
    assert found.columns[1].tolist() == [3, 3]  # this feature has no max age


def test_the_table_has_null_where_there_is_no_value(tmp_path: Path) -> None:
    found = _history(tmp_path, [Row("a", 5, 1.0, None, None)], [("a", 5), ("b", 5)])

    table = found.table(pa.table({"car": ["a", "b"]}))

    assert table["speed"].to_pylist() == [1.0, -1.0]
    assert table["count"].to_pylist() == [None, None]
    assert table["name"].to_pylist() == [None, None]


def test_computed_and_request_features_equal_those_of_serving(tmp_path: Path) -> None:
    request = FeatureView(
        "ask", 1, "request", (Feature("km", FeatureDtype.FLOAT64),), kind=ViewKind.REQUEST
    )
    computed = FeatureView(
        "derived",
        1,
        "request",
        (Feature("hours", FeatureDtype.FLOAT64, expression="km / v"),),
        kind=ViewKind.COMPUTED,
        inputs=(("km", "ask@1:km"), ("v", "car@1:speed")),
    )
    path = tmp_path / "h.parquet"
    pq.write_table(
        pa.table(
            {
                "car": ["a"],
                "event_time": [_moment(0)],
                "speed": [4.0],
                "count": [1],
                "name": ["n"],
            }
        ),
        path,
    )
    rows = pa.table({"car": ["a", "z"], "event_time": [_moment(1)] * 2, "km": [10.0, 10.0]})

    found = get_historical_features(
        rows,
        [FeatureRef("derived", 1, "hours"), FeatureRef("ask", 1, "km")],
        [VIEW, request, computed],
        {"car@1": HistorySource(str(path), "car")},
    )

    assert found.columns[0].tolist() == [2.5, -10.0]
    assert found.columns[1].tolist() == [10.0, 10.0]
    assert found.statuses.tolist() == [[0, 1], [FeatureStatus.DEFAULTED, 1]]


def test_rows_without_the_entity_are_refused(tmp_path: Path) -> None:
    rows = pa.table({"event_time": [_moment(0)]})

    with pytest.raises(InvalidInputError, match="also have car"):
        get_historical_features(rows, REFS, [VIEW], {"car@1": HistorySource("x", "car")})


def test_a_source_without_files_is_named(tmp_path: Path) -> None:
    rows = pa.table({"car": ["a"], "event_time": [_moment(0)]})
    source = HistorySource(str(tmp_path / "none*.parquet"), "car")

    with pytest.raises(NotFoundError, match="none"):
        get_historical_features(rows, REFS, [VIEW], {"car@1": source})


def test_a_feature_named_like_a_column_of_the_rows_asked_does_not_replace_it(
    tmp_path: Path,
) -> None:
    named = (Feature("user", FeatureDtype.STRING), Feature("event_time", FeatureDtype.INT64))
    view = a_view("user", named)
    times = pa.array([NOW_MS], pa.timestamp("ms", tz="UTC"))
    history = pa.table({"id": ["u"], "user": ["name"], "event_time": [5], "at": times})
    pq.write_table(history, tmp_path / "history.parquet")
    rows = pa.table({"user": ["u"], "event_time": times})
    refs = [FeatureRef("user", 1, each.name) for each in named]
    source = HistorySource(str(tmp_path / "history.parquet"), "id", "at")

    found = get_historical_features(rows, refs, [view], {"user@1": source}).table(rows)

    assert found.to_pydict() == {
        **rows.to_pydict(),
        "user:user": ["name"],
        "user:event_time": [5],
    }
