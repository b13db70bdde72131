"""Loading of files: checked row by row, resumable, idempotent, in bounded chunks."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.features.builders import MIXED, NOW_MS, NOW_S, a_view, floats
from tests.features.fakes import FakeFeatureStore
from understudy.domain.errors import InvalidInputError, NotFoundError, UnavailableError
from understudy.domain.features import Feature, FeatureDtype, FeatureView
from understudy.features.decisions.record_format import record_format, unpack_record
from understudy.features.decisions.row_values import Reject
from understudy.features.loading.load_features import (
    LoadProgress,
    SourceFile,
    load_features,
    utc_now_ms,
)
from understudy.features.loading.write_through import WriteThrough
from understudy.features.ports import LoadMark, WriteCounts

VIEW = a_view("user", MIXED)
AT = datetime.fromtimestamp(NOW_S, tz=UTC)


class _FailingWriter(FakeFeatureStore):
    """Fails at the write with this number, from 0, after storing part of it."""

    def __init__(self, fails_at: int) -> None:
        super().__init__()
        self._left = fails_at

    def write(self, view: FeatureView, records: Any, *, mark: LoadMark | None) -> WriteCounts:
        self._left -= 1
        if self._left < 0:
            super().write(view, records[: len(records) // 2], mark=None)
            raise UnavailableError("fake feature store", "disk full")
        return super().write(view, records, mark=mark)


def _load(
    path: Path,
    store: FakeFeatureStore,
    *,
    view: FeatureView = VIEW,
    chunk_rows: int = 8192,
    now_ms: Callable[[], int] = utc_now_ms,
) -> tuple[LoadProgress, list[Reject]]:
    rejects: list[Reject] = []
    steps: list[LoadProgress] = []
    done = load_features(
        SourceFile(path, "user"),
        view,
        store,
        chunk_rows=chunk_rows,
        now_ms=now_ms,
        on_reject=rejects.append,
        on_progress=steps.append,
    )
    assert not steps or steps[-1] == done
    return done, rejects


def _values(store: FakeFeatureStore, entity_id: str, view: FeatureView = VIEW) -> dict[str, Any]:
    return unpack_record(record_format(view), store.records[str(view), entity_id])


def _table(**columns: Any) -> pa.Table:
    rows = len(columns["user"])
    whole = {
        "event_time": [AT] * rows,
        "age": [1] * rows,
        "amount": [1.0] * rows,
        "balance": [1.0] * rows,
        "is_new": [True] * rows,
        "country": ["LI"] * rows,
        "city": ["c"] * rows,
        **columns,
    }
    return pa.table(whole)


def _write(folder: Path, **columns: Any) -> Path:
    path = folder / "rows.parquet"
    pq.write_table(_table(**columns), path)
    return path


def test_values_arrive_in_their_types_and_null_and_nan_are_absent(tmp_path: Path) -> None:
    path = _write(
        tmp_path,
        user=["u1", "u2"],
        age=pa.array([2**62 + 1, None]),
        amount=pa.array([0.1, float("nan")], pa.float64()),
        is_new=pa.array([1, 0], pa.int8()),
        country=pa.array(["Ö", None]).dictionary_encode(),
        city=pa.array([7, 8]),
    )
    store = FakeFeatureStore()

    done, rejects = _load(path, store)

    assert (done.written, rejects) == (2, [])
    assert _values(store, "u1") == {
        "age": 2**62 + 1,
        "amount": float(np.float32(0.1)),
        "balance": 1.0,
        "is_new": True,
        "country": "Ö",
        "city": "7",
    }
    assert _values(store, "u2") == {
        "age": None,
        "amount": None,
        "balance": 1.0,
        "is_new": False,
        "country": None,
        "city": "8",
    }


def test_a_row_with_an_unusable_value_is_rejected_and_reported(tmp_path: Path) -> None:
    path = _write(
        tmp_path,
        user=["ok", "inf", "half", "", None, "huge", "two"],
        event_time=[AT] * 7,
        age=pa.array([1.0, 1.0, 1.5, 1.0, 1.0, 1.0, 1.0]),
        amount=pa.array([1.0, float("inf"), 1.0, 1.0, 1.0, 1e39, 1.0]),
        is_new=pa.array([1, 1, 1, 1, 1, 1, 2]),
    )
    store = FakeFeatureStore()

    done, rejects = _load(path, store, chunk_rows=3)

    assert (done.rows, done.written, done.rejected) == (7, 1, 6)
    assert [each for _, each in store.records] == ["ok"]
    assert sorted((each.row, each.column, each.read) for each in rejects) == [
        (1, "amount", "inf"),
        (2, "age", "1.5"),
        (3, "user", ""),
        (4, "user", "None"),
        (5, "amount", "1e+39"),
        (6, "is_new", "2"),
    ]


def test_a_column_of_another_kind_rejects_its_rows(tmp_path: Path) -> None:
    path = _write(tmp_path, user=["a"], age=pa.array([[1]]), city=pa.array([1.5]))

    done, rejects = _load(path, FakeFeatureStore())

    assert done.rejected == 1
    assert {each.column for each in rejects} == {"age", "city"}


def test_a_failed_load_resumes_where_it_stopped(tmp_path: Path) -> None:
    users = [f"u{number}" for number in range(100)]
    path = _write(tmp_path, user=users)
    store = _FailingWriter(fails_at=4)
    with pytest.raises(UnavailableError):
        _load(path, store, chunk_rows=10)
    written_before = len(store.records)
    assert 40 <= written_before < 100

    whole = FakeFeatureStore()
    whole.records, whole.marks = store.records, store.marks
    done, _ = _load(path, whole, chunk_rows=10)

    assert (done.rows, done.skipped) == (100, 40)
    assert done.written == 100 - written_before
    assert {entity_id for _, entity_id in whole.records} == set(users)


def test_a_repeated_load_reports_earlier_rejects(tmp_path: Path) -> None:
    users = [f"u{number}" for number in range(40)]
    amounts = [float("inf") if number in {3, 38} else 1.0 for number in range(40)]
    path = _write(tmp_path, user=users, amount=pa.array(amounts, pa.float64()))
    store = _FailingWriter(fails_at=2)
    with pytest.raises(UnavailableError):
        _load(path, store, chunk_rows=10)
    whole = FakeFeatureStore()
    whole.records, whole.marks = store.records, store.marks

    resumed, rejects = _load(path, whole, chunk_rows=10)
    again, same_rejects = _load(path, whole, chunk_rows=10)

    assert (resumed.skipped, resumed.rejected) == (19, 2)
    assert (again.skipped, again.rejected, again.written) == (38, 2, 0)
    assert [(each.row, each.column) for each in rejects] == [(3, "amount"), (38, "amount")]
    assert same_rejects == rejects


def test_loading_again_changes_nothing_even_with_other_chunks(tmp_path: Path) -> None:
    path = _write(tmp_path, user=[f"u{number}" for number in range(25)])
    store = FakeFeatureStore()
    _load(path, store, chunk_rows=10)

    again, _ = _load(path, store, chunk_rows=7)
    store.marks.clear()
    anew, _ = _load(path, store)

    assert (again.written, again.skipped) == (0, 25)
    assert (anew.written, anew.older) == (0, 25)


@pytest.mark.parametrize("chunk_rows", [7, 10, 8192])
def test_a_load_into_a_truncated_store_writes_everything_again_and_says_so(
    tmp_path: Path, chunk_rows: int
) -> None:
    path = _write(tmp_path, user=[f"u{number}" for number in range(25)])
    store = FakeFeatureStore()
    first, _ = _load(path, store, chunk_rows=10)
    store.records.clear()  # the mark stays, as in a set of its own

    again, _ = _load(path, store, chunk_rows=chunk_rows)
    at_last, _ = _load(path, store, chunk_rows=chunk_rows)

    assert (first.reloaded, first.written) == (False, 25)
    assert (again.reloaded, again.written, again.skipped) == (True, 25, 0)
    assert (at_last.reloaded, at_last.written, at_last.skipped) == (False, 0, 25)


def test_records_that_have_expired_are_not_written_again(tmp_path: Path) -> None:
    path = _write(tmp_path, user=["u1", "u2"])
    view = a_view("user", MIXED, ttl_s=60.0)
    store = FakeFeatureStore()
    _load(path, store, view=view)
    store.records.clear()

    again, _ = _load(path, store, view=view)

    assert (again.reloaded, again.written, again.skipped) == (False, 0, 2)


@pytest.mark.parametrize(("deleted", "is_lost"), [(16, False), (17, True)])
def test_a_set_that_lost_most_records_is_loaded_again_and_one_with_deletions_is_not(
    tmp_path: Path, deleted: int, *, is_lost: bool
) -> None:
    users = [f"u{number}" for number in range(32)]
    path = _write(tmp_path, user=users)
    store = FakeFeatureStore()
    _load(path, store)
    for each in users[:deleted]:
        store.delete(VIEW, each)

    again, _ = _load(path, store)

    assert (again.reloaded, again.skipped) == (is_lost, 0 if is_lost else 32)


def test_lost_records_within_their_time_to_live_are_loaded_again(tmp_path: Path) -> None:
    now = datetime.now(UTC)
    view = a_view("user", MIXED, ttl_s=3600.0)
    path = _write(tmp_path, user=["expired", "lost"], event_time=[now - timedelta(hours=2), now])
    store = FakeFeatureStore()
    _load(path, store, view=view)
    store.records.clear()

    again, _ = _load(path, store, view=view)

    assert (again.reloaded, again.written, again.skipped) == (True, 2, 0)


def test_unsigned_numbers_do_not_turn_negative(tmp_path: Path) -> None:
    view = a_view("user", (Feature("n", FeatureDtype.INT64), Feature("x", FeatureDtype.FLOAT64)))
    numbers = pa.array([2**63 - 1, 2**63, 2**64 - 1], pa.uint64())
    path = _write(tmp_path, user=["a", "b", "c"], n=numbers, x=numbers)
    store = FakeFeatureStore()

    _, rejects = _load(path, store, view=view)

    assert _values(store, "a", view) == {"n": 2**63 - 1, "x": float(2**63)}
    assert [(each.row, each.column) for each in rejects] == [(1, "n"), (2, "n")]


def test_strings_that_a_client_would_truncate_are_rejected(tmp_path: Path) -> None:
    path = _write(
        tmp_path, user=["a", "b\0c", "d"], city=["x", "y", "z\0"], country=["", None, "Ö"]
    )
    store = FakeFeatureStore()

    done, rejects = _load(path, store)

    assert (done.written, done.rejected) == (1, 2)
    assert [(each.row, each.column) for each in rejects] == [(1, "user"), (2, "city")]
    assert [entity_id for _, entity_id in store.records] == ["a"]


def test_older_rows_never_replace_newer_ones(tmp_path: Path) -> None:
    times = [AT, AT - timedelta(seconds=1), AT + timedelta(seconds=1), AT]
    path = _write(tmp_path, user=["u"] * 4, event_time=times, age=[1, 2, 3, 4])
    store = FakeFeatureStore()

    done, _ = _load(path, store, chunk_rows=1)

    assert (done.written, done.older) == (2, 2)
    assert _values(store, "u")["age"] == 3


def test_a_rate_limit_paces_the_load(tmp_path: Path) -> None:
    path = _write(tmp_path, user=[f"u{number}" for number in range(30)])
    taken: list[int] = []

    done = load_features(
        SourceFile(path, "user", NOW_MS),
        VIEW,
        FakeFeatureStore(),
        chunk_rows=10,
        rows_per_s=1e6,
        on_reject=lambda _: None,
        on_progress=lambda step: taken.append(step.rows),
    )

    assert (done.written, taken) == (30, [10, 20, 30])


def test_missing_columns_are_named_together(tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    pq.write_table(pa.table({"user": ["a"], "age": [1]}), path)

    with pytest.raises(InvalidInputError, match="also has event_time, amount, balance"):
        _load(path, FakeFeatureStore())


@pytest.mark.parametrize("name", ["rows.parquet", "rows.csv"])
def test_a_missing_or_invalid_file_is_refused(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    with pytest.raises(NotFoundError):
        _load(path, FakeFeatureStore())
    path.write_bytes(b"\0\1\2")

    with pytest.raises(InvalidInputError):
        _load(path, FakeFeatureStore())


def test_many_features_are_packed_alike(tmp_path: Path) -> None:
    view = a_view("wide", (*floats(70), Feature("last", FeatureDtype.INT64)))
    columns: dict[str, Any] = {f"f{n}": pa.array([n / 2, None]) for n in range(70)}
    path = tmp_path / "rows.parquet"
    rows = {"user": ["a", "b"], "event_time": [AT] * 2, "last": [None, 5], **columns}
    pq.write_table(pa.table(rows), path)
    store = FakeFeatureStore()

    _load(path, store, view=view)

    assert _values(store, "a", view) == {**{f"f{n}": n / 2 for n in range(70)}, "last": None}
    assert _values(store, "b", view) == {**{f"f{n}": None for n in range(70)}, "last": 5}


def test_rows_written_through_are_the_same_in_history_and_store(tmp_path: Path) -> None:
    store = FakeFeatureStore()
    now_ms = utc_now_ms()
    through = WriteThrough(VIEW, store, tmp_path, now_ms=lambda: now_ms)

    written = through.write(_table(user=["a", "bad"], age=pa.array([1.0, 1.5])))
    nothing = through.write(_table(user=["bad"], age=pa.array([1.5])))

    assert written.counts == WriteCounts(1, 0)
    assert [(each.row, each.column) for each in written.rejects] == [(1, "age")]
    assert nothing.path is None
    assert written.path is not None
    assert pq.read_table(written.path)["user"].to_pylist() == ["a"]
    again = FakeFeatureStore()
    done, _ = _load(written.path, again, now_ms=lambda: now_ms)
    assert done.written == 1
    assert again.records == store.records
    with pytest.raises(InvalidInputError, match="age, once each"):
        through.write(_table(user=["a"]).drop_columns("age"))


def test_history_is_written_before_the_store(tmp_path: Path) -> None:
    through = WriteThrough(VIEW, _FailingWriter(fails_at=0), tmp_path)

    with pytest.raises(UnavailableError):
        through.write(_table(user=["a", "b"]))

    (path,) = tmp_path.rglob("*.parquet")
    assert pq.read_table(path, partitioning=None)["user"].to_pylist() == ["a", "b"]
