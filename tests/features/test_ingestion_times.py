"""Ingestion times: written with every record, and the history as it was known at a time."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from tests.features.builders import NOW_MS, NOW_S, a_record, a_view, floats
from tests.features.fakes import FakeFeatureStore
from understudy.domain.errors import InvalidInputError
from understudy.domain.features import Feature, FeatureDtype, FeatureRef, FeatureStatus
from understudy.domain.logged_ids import IdForm, LoggedIds
from understudy.features.cli.commands import app
from understudy.features.decisions.ingestion_times import (
    KnownAt,
    KnownBy,
    KnownWhenAsked,
    ingestion_time_ms_of,
    parse_known_at,
)
from understudy.features.decisions.record_format import record_format
from understudy.features.decisions.record_order import fingerprint_of, is_later
from understudy.features.history.audit import AuditReport, audit_faults, audit_features
from understudy.features.history.history import get_historical_features, read_history
from understudy.features.history.served_columns import ScoreLog
from understudy.features.loading.history_files import HistorySource
from understudy.features.loading.load_features import SourceFile, load_features, utc_now_ms
from understudy.features.loading.write_through import WriteThrough
from understudy.runtime import exit_codes

VIEW = a_view("user", (Feature("n", FeatureDtype.INT64),), entity="user")
FORM = record_format(VIEW)
REFS = [FeatureRef("user", 1, "n")]
MOMENTS = pa.timestamp("ms", tz="UTC")
MINUTE_MS = 60_000


@dataclass(frozen=True)
class Event:
    entity: int
    at: int  # ms after the start, as all times here
    created: int
    ingested: int | None
    n: int

    @property
    def record(self) -> bytes:
        return a_record(
            VIEW,
            {"n": self.n},
            event_time_ms=NOW_MS + self.at,
            created_time_ms=NOW_MS + self.created,
        )


few = st.integers(0, 3)
events = st.builds(Event, st.integers(0, 1), few, few, st.none() | st.integers(0, 6), few)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    files=st.lists(st.lists(events, min_size=1, max_size=9), min_size=1, max_size=2),
    known_at=st.none()
    | st.builds(KnownBy, st.integers(NOW_MS - 1, NOW_MS + 7))
    | st.builds(KnownWhenAsked, st.integers(0, 2))
    | st.just(KnownWhenAsked()),
)
def test_history_as_known_equals_a_search(
    tmp_path: Path, files: list[list[Event]], known_at: KnownAt | None
) -> None:
    for place, file in enumerate(files):
        _write(tmp_path / f"{place}.parquet", file, may_lack_times=place > 0)
    asked = [(entity, at) for entity in range(2) for at in range(-1, 9)]
    rows = pa.table(
        {
            "user": [str(entity) for entity, _ in asked],
            "event_time": pa.array([NOW_MS + at for _, at in asked], MOMENTS),
        }
    )
    paths = ",".join(str(place) for place in range(len(files)))
    source = HistorySource(f"{tmp_path}/[{paths}].parquet", "user", created_time_column="created")

    found = get_historical_features(rows, REFS, [VIEW], {"user@1": source}, known_at=known_at)

    all_events = [event for file in files for event in file]
    expected = [_searched(all_events, entity, at, known_at) for entity, at in asked]
    missing = found.statuses[:, 0] == FeatureStatus.MISSING
    values = [None if lost else int(n) for n, lost in zip(found.columns[0], missing, strict=True)]
    assert values == expected


def _searched(found: list[Event], entity: int, at: int, known_at: KnownAt | None) -> int | None:
    """Return the right answer, one record at a time."""
    copies: dict[tuple[int, int, int], list[int]] = {}
    for each in found:
        if each.entity == entity:
            times = copies.setdefault((each.at, each.created, each.n), [])
            times += [] if each.ingested is None else [each.ingested]
    candidates = []
    for (event_at, created, n), ingested in copies.items():
        known = min(ingested) if ingested else event_at
        is_known = True
        if isinstance(known_at, KnownBy):
            is_known = NOW_MS + known <= known_at.at_ms
        elif isinstance(known_at, KnownWhenAsked):
            is_known = known + (known_at.delay_ms if ingested else 0) <= at
        if event_at <= at and is_known:
            record = Event(entity, event_at, created, None, n).record
            candidates.append((event_at, created, fingerprint_of(FORM, record), n))
    return max(candidates)[-1] if candidates else None


def _write(path: Path, file: list[Event], *, may_lack_times: bool = False) -> None:
    columns = {
        "user": pa.array([str(event.entity) for event in file]),
        "event_time": pa.array([NOW_MS + event.at for event in file], MOMENTS),
        "created": pa.array([NOW_MS + event.created for event in file], MOMENTS),
        "n": pa.array([event.n for event in file]),
    }
    ingested = [None if each.ingested is None else NOW_MS + each.ingested for each in file]
    if not may_lack_times or any(each is not None for each in ingested):
        columns["ingestion_time"] = pa.array(ingested, MOMENTS)
    pq.write_table(pa.table(columns), path)


def test_the_ingestion_time_is_no_part_of_the_order() -> None:
    early = a_record(VIEW, {"n": 1}, ingestion_time_ms=NOW_MS)
    late = a_record(VIEW, {"n": 1}, ingestion_time_ms=NOW_MS + 1)

    assert fingerprint_of(FORM, early) == fingerprint_of(FORM, late)
    assert not is_later(FORM, late, than=early)


def test_a_record_loaded_again_keeps_its_first_ingestion_time(tmp_path: Path) -> None:
    path = tmp_path / "in.parquet"
    _write(path, [Event(1, 0, 0, None, 7)])
    store = FakeFeatureStore()

    for minute, name in enumerate(("in", "same")):
        path = path.rename(tmp_path / f"{name}.parquet")  # another load
        _load(path, store, NOW_MS + minute * MINUTE_MS)

    (record,) = store.records.values()
    assert ingestion_time_ms_of(FORM, record) == NOW_MS


def test_rows_written_through_have_one_ingestion_time_in_store_and_history(tmp_path: Path) -> None:
    store = FakeFeatureStore()
    through = WriteThrough(VIEW, store, tmp_path, now_ms=lambda: NOW_MS + MINUTE_MS)
    rows = pa.table({"user": ["1"], "event_time": pa.array([NOW_MS], MOMENTS), "n": [7]})

    path = through.write(rows).path

    assert path is not None
    (written,) = pq.ParquetFile(path).read()["ingestion_time"].cast(pa.int64()).to_pylist()
    (record,) = store.records.values()
    assert ingestion_time_ms_of(FORM, record) == written == NOW_MS + MINUTE_MS
    source = {"user@1": HistorySource(str(path), "user")}
    asked = rows.select(["user", "event_time"])
    found = read_history(asked, REFS, [VIEW], source, use_stale=False, known_at=KnownWhenAsked())
    assert found.values.statuses.tolist() == [[FeatureStatus.MISSING]]


def test_a_column_of_the_rows_cannot_be_the_ingestion_time(tmp_path: Path) -> None:
    view = a_view("user", (Feature("ingestion_time", FeatureDtype.INT64),), entity="user")

    with pytest.raises(InvalidInputError, match="ingestion_time_column"):
        WriteThrough(view, FakeFeatureStore(), tmp_path)

    WriteThrough(view, FakeFeatureStore(), tmp_path, ingestion_time_column="loaded_at")


def _load(path: Path, store: FakeFeatureStore, now_ms: int) -> None:
    done = load_features(
        SourceFile(path, "user", created_time_column="created"),
        VIEW,
        store,
        now_ms=lambda: now_ms,
        on_reject=lambda _: None,
        on_progress=lambda _: None,
    )
    assert done.rejected == 0


USER = a_view("user", floats(1))
KEYS = LoggedIds(IdForm.PLAIN)
SERVED_REFS = [FeatureRef("user", 1, "f0")]


def _audit_of_late_batch(
    folder: Path, served: list[tuple[float, float, int]], *, has_times: bool = True
) -> AuditReport:
    """Audit answers as (minute, value, status) over a batch of minute 0 ingested in minute 10."""
    history = {
        "user": ["a", "a"],
        "event_time": pa.array([NOW_MS - 60 * MINUTE_MS, NOW_MS], MOMENTS),
        "f0": [1.0, 2.0],
    }
    if has_times:
        ingested = [NOW_MS - 50 * MINUTE_MS, NOW_MS + 10 * MINUTE_MS]
        history["ingestion_time"] = pa.array(ingested, MOMENTS)
    pq.write_table(pa.table(history), folder / "history.parquet")
    at = [datetime.fromtimestamp(NOW_S + 60 * each, UTC) for each, _, _ in served]
    log = {
        "unit_key": ["a"] * len(served),
        "at_utc": pa.array([each.replace(tzinfo=None) for each in at], pa.timestamp("us")),
        "features": pa.array([[value] for _, value, _ in served], pa.list_(pa.float32())),
        "statuses": pa.array([[status] for _, _, status in served], pa.list_(pa.uint8())),
    }
    pq.write_table(pa.table(log), folder / "log.parquet")
    return audit_features(
        ScoreLog(str(folder / "log.parquet")),
        SERVED_REFS,
        [USER],
        {"user@1": HistorySource(str(folder / "history.parquet"), "user")},
        entity="user",
        keys=KEYS,
    )


def test_an_honest_batch_that_was_loaded_late_is_no_skew(tmp_path: Path) -> None:
    report = _audit_of_late_batch(
        tmp_path, [(1, 1.0, 0), (9, 1.0, 0), (10.05, 1.0, 0), (10.05, 2.0, 0), (11, 2.0, 0)]
    )

    (feature,) = report.features
    assert (feature.compared, feature.late, feature.mismatches) == (5, 3, 0)
    assert report.rows_of_unknown_ingestion == 0
    assert audit_faults(report, max_mismatch_rate=0, max_unknown_rate=0) == []


def test_a_value_that_was_never_known_is_skew_although_a_batch_was_late(tmp_path: Path) -> None:
    report = _audit_of_late_batch(tmp_path, [(1, 7.0, 0), (11, 1.0, 0), (-55, float("nan"), 5)])

    (feature,) = report.features
    assert (feature.late, feature.mismatches) == (1, 2)
    assert feature.by_status[0].mismatches == 2


def test_without_ingestion_times_the_audit_says_that_it_cannot_know(tmp_path: Path) -> None:
    report = _audit_of_late_batch(tmp_path, [(1, 1.0, 0), (11, 2.0, 0)], has_times=False)

    assert (report.features[0].late, report.features[0].mismatches) == (0, 1)
    assert report.rows_of_unknown_ingestion == 2


def test_the_store_tells_the_ingestion_of_records_whose_history_does_not(tmp_path: Path) -> None:
    now_ms = utc_now_ms()
    views = tmp_path / "views.yaml"
    views.write_text(
        "views: [{name: user, version: 1, entity: user, features: [{name: n, dtype: int64}]}]"
    )
    ages = {"early": ("a", 60, 1), "late": ("a", 20, 2)}  # entity, age in minutes, value
    for name, (entity, age, n) in ages.items():
        at = pa.array([now_ms - age * MINUTE_MS], MOMENTS)
        pq.write_table(
            pa.table({"user": [entity], "event_time": at, "n": [n]}), tmp_path / f"h-{name}.parquet"
        )
    log = {
        "unit_key": ["a", "a"],
        "at_utc": pa.array([(now_ms - 10 * MINUTE_MS) * 1000] * 2, pa.timestamp("us")),
        "features": pa.array([[1.0], [1.0]], pa.list_(pa.float32())),
        "statuses": pa.array([None, None], pa.list_(pa.uint8())),
    }
    pq.write_table(pa.table(log), tmp_path / "log.parquet")
    store = f"lmdb:{tmp_path / 'store'}"

    def run(*words: str, exits: int = exit_codes.OK) -> str:
        result = CliRunner().invoke(app, [*words, "--views", str(views)])
        assert result.exit_code == exits, result.output
        return result.stdout

    for name in ages:  # the second one now, 20 minutes late
        run("load", f"{tmp_path}/h-{name}.parquet", "--store", store)
    files = ("--log", f"{tmp_path}/log.parquet", "--history", f"user={tmp_path}/h-*.parquet")
    audit = ("audit", *files, "--log-ids", "plain", "--output", "json")
    blind = json.loads(run(*audit, exits=exit_codes.FAILED))
    told = json.loads(run(*audit, "--store", store))

    assert (blind["rows_of_unknown_ingestion"], blind["features"][0]["mismatches"]) == (2, 2)
    assert (told["rows_of_unknown_ingestion"], told["features"][0]["late"]) == (0, 2)


def _history(folder: Path, *options: str, exits: int = exit_codes.OK) -> dict[str, int] | str:
    (folder / "views.yaml").write_text(
        "views: [{name: user, version: 1, entity: user, features: [{name: n, dtype: int64}]}]"
    )
    asked = {"user": ["1"], "event_time": pa.array([NOW_MS + 10 * MINUTE_MS], MOMENTS)}
    pq.write_table(pa.table(asked), folder / "asked.parquet")
    words = ["history", f"{folder}/asked.parquet", f"{folder}/out.parquet", "--output", "json"]
    files = ["--views", f"{folder}/views.yaml", "--history", f"user={folder}/h.parquet"]
    result = CliRunner().invoke(app, [*words, *files, *options])
    assert result.exit_code == exits, result.output
    return json.loads(result.stdout) if exits == exit_codes.OK else result.stderr


@pytest.mark.parametrize(
    ("as_known_at", "n"), [("row", 1), ("2025-11-24", None), ("2025-11-25", 2)]
)
def test_history_is_given_as_known_at_a_time(
    tmp_path: Path, as_known_at: str, n: int | None
) -> None:
    columns = {
        "user": ["1", "1"],
        "event_time": pa.array([NOW_MS, NOW_MS + MINUTE_MS], MOMENTS),
        "n": [1, 2],
        "loaded": pa.array([None, NOW_MS + 11 * MINUTE_MS], MOMENTS),
    }
    pq.write_table(pa.table(columns), tmp_path / "h.parquet")

    told = _history(tmp_path, "--as-known-at", as_known_at, "--ingestion-time-column", "loaded")

    assert isinstance(told, dict)
    assert pq.ParquetFile(tmp_path / "out.parquet").read()["n"].to_pylist() == [n]
    assert told["rows_of_unknown_ingestion"] == (1 if n == 1 else 0)


def test_a_history_without_ingestion_times_cannot_be_given_as_known(tmp_path: Path) -> None:
    columns = {"user": ["1"], "event_time": pa.array([NOW_MS], MOMENTS), "n": [1]}
    pq.write_table(pa.table(columns), tmp_path / "h.parquet")

    told = _history(tmp_path, "--as-known-at", "row", exits=exit_codes.USAGE)
    named = _history(tmp_path, "--ingestion-time-column", "loaded", exits=exit_codes.USAGE)

    assert "no column ingestion_time" in told
    assert "no column loaded" in named


def test_as_known_at_is_the_row_or_a_time() -> None:
    assert parse_known_at("row", "f") == KnownWhenAsked()
    assert parse_known_at("1970-01-01T01:00:00.001+01:00", "f") == KnownBy(1)
    for wrong in ("now", "1764000000", ""):
        with pytest.raises(InvalidInputError, match=r"f: read .*; accepted: row, or a timestamp"):
            parse_known_at(wrong, "f")
