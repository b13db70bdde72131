"""Cases from bug reports of others: the right row, at the right time, by the right id.

Each runs the commands of an operator on files as other tools write them.
"""

import asyncio
import json
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from understudy.domain.features import FeatureRef
from understudy.features.cli.commands import app
from understudy.features.serving.online import OnlineFeatures
from understudy.features.stores import open_store
from understudy.features.views import load_views
from understudy.runtime import exit_codes

NOON = datetime(2025, 11, 1, 12, tzinfo=UTC)
LATER = NOON + timedelta(hours=1)
MOMENTS = pa.timestamp("us", tz="UTC")


class Desk:
    """A folder with views of entity `user`, and the commands over it."""

    def __init__(self, folder: Path, features: str = "{name: x, dtype: float64}") -> None:
        self.folder = folder
        self.views = folder / "views.yaml"
        self.views.write_text(
            f"views: [{{name: user, version: 1, entity: user, features: [{features}]}}]"
        )

    def write(self, name: str, **columns: Any) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        columns.setdefault("event_time", pa.array([NOON] * len(columns["user"]), MOMENTS))
        pq.write_table(pa.table(columns), path)
        return path

    def run(self, *arguments: Any, exits: int = exit_codes.OK) -> tuple[str, str]:
        result = CliRunner().invoke(app, [*map(str, arguments), "--views", str(self.views)])
        assert result.exit_code == exits, (result.output, result.exception)
        return result.stdout, result.stderr

    def load(self, path: Path, *options: Any, exits: int = exit_codes.OK) -> str:
        return self.run("load", path, "--store", self.store, *options, exits=exits)[1]

    def history(
        self, asked: Path, files: Any, *options: Any, exits: int = exit_codes.OK
    ) -> tuple[pa.Table, str]:
        out = self.folder / "out.parquet"
        source = f"user@1={files}"
        _, errors = self.run("history", asked, out, "--history", source, *options, exits=exits)
        return (pq.ParquetFile(out).read() if exits == exit_codes.OK else None), errors

    @property
    def store(self) -> str:
        return f"lmdb:{self.folder / 'store'}"


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def _ask(desk: Desk, ids: Any, at: datetime = LATER) -> Path:
    return desk.write("asked.parquet", user=ids, event_time=pa.array([at] * len(ids), MOMENTS))


def test_a_decimal_beyond_the_doubles_keeps_its_last_digit(tmp_path: Path) -> None:
    desk = Desk(tmp_path, "{name: account, dtype: int64}")
    numbers = pa.array([Decimal(9007199254740993)], pa.decimal128(38, 0))
    path = desk.write("in.parquet", user=["u1"], account=numbers)

    desk.load(path)
    found, _ = desk.history(_ask(desk, ["u1"]), path)

    assert found["account"].to_pylist() == [9007199254740993]


@pytest.mark.parametrize("zone", ["Asia/Tokyo", "America/New_York"])
def test_the_zone_of_the_machine_decides_nothing(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, zone: str
) -> None:
    monkeypatch.setenv("TZ", zone)
    naive = pa.array([NOON.replace(tzinfo=None)], pa.timestamp("us"))
    desk.write("h/a.parquet", user=["u1"], event_time=naive, x=[1.0])
    tokyo = pa.array([NOON.astimezone(ZoneInfo("Asia/Tokyo"))], pa.timestamp("ns", tz="Asia/Tokyo"))
    desk.write("h/b.parquet", user=["u2"], event_time=tokyo, x=[2.0])
    files = desk.folder / "h" / "*.parquet"

    before, _ = desk.history(_ask(desk, ["u1", "u2"], NOON - timedelta(hours=1)), files)
    after, _ = desk.history(_ask(desk, ["u1", "u2"]), files)

    assert before["x"].to_pylist() == [None, None]
    assert after["x"].to_pylist() == [1.0, 2.0]


@pytest.mark.parametrize("unit", ["us", "ns"])
def test_a_row_asked_at_the_very_time_of_the_event_has_its_value(desk: Desk, unit: str) -> None:
    moment = NOON.replace(tzinfo=None, microsecond=900)
    times = pa.array([moment], pa.timestamp(unit))
    path = desk.write("h.parquet", user=["u1"], event_time=times, x=[1.0])
    asked = desk.write("asked.parquet", user=["u1"], event_time=times)

    found, _ = desk.history(asked, path)

    assert found["x"].to_pylist() == [1.0]


def test_rows_asked_without_a_time_are_refused_with_their_count(desk: Desk) -> None:
    path = desk.write("h.parquet", user=["u1"], x=[9.0])
    times = pa.array([LATER, None, None], MOMENTS)
    asked = desk.write("asked.parquet", user=["u1"] * 3, event_time=times)

    _, errors = desk.history(asked, path, exits=exit_codes.USAGE)

    assert "rows.event_time: read 2 unusable of 3, the first in row 1: None" in errors


def test_columns_differ_by_the_case_of_their_names(tmp_path: Path) -> None:
    desk = Desk(tmp_path, "{name: age, dtype: int64}")
    path = desk.write("h.parquet", user=["u1"], AGE=[999], age=[42])

    found, _ = desk.history(_ask(desk, ["u1"]), path)

    assert found["age"].to_pylist() == [42]


def test_a_folder_named_like_a_feature_hides_no_column(tmp_path: Path) -> None:
    desk = Desk(tmp_path, "{name: view, dtype: int64}, {name: x, dtype: float64}")
    desk.write("view=user@1/a.parquet", user=["u1"], view=[5], x=[1.0])

    found, _ = desk.history(_ask(desk, ["u1"]), tmp_path / "view=user@1" / "*.parquet")

    assert (found["view"].to_pylist(), found["x"].to_pylist()) == ([5], [1.0])


def test_an_event_from_the_future_hides_no_true_one(desk: Desk) -> None:
    ahead = datetime.now(UTC) + timedelta(days=365 * 30)
    typo = desk.write("typo.parquet", user=["u1"], event_time=pa.array([ahead], MOMENTS), x=[666.0])
    right = desk.write("right.parquet", user=["u1"], x=[1.0])

    errors = desk.load(typo, exits=exit_codes.FAILED)
    desk.load(right)

    assert "event_time" in errors
    assert "not in the future" in errors
    aged = ("freshness", "--store", desk.store, "--output", "json")
    (view,) = json.loads(desk.run(*aged)[0])["views"]
    assert view["newest_age_s"] >= (datetime.now(UTC) - NOON).total_seconds() - 60
    desk.load(typo, "--future-tolerance-s", 1e9)  # on purpose
    desk.run(*aged, "--max-age-s", 3600, exits=exit_codes.FAILED)
    desk.run(*aged, exits=exit_codes.FAILED)


@pytest.mark.parametrize("reverse", [False, True])
def test_a_correction_of_the_same_event_time_is_loaded_in_any_order(
    desk: Desk, reverse: bool
) -> None:
    moments = [pa.array([NOON + timedelta(minutes=n)], MOMENTS) for n in (1, 2)]
    wrong = desk.write("h/a_wrong.parquet", user=["u1"], x=[1.0], made=moments[0])
    corrected = desk.write("h/b_corrected.parquet", user=["u1"], x=[2.0], made=moments[1])
    by = ("--created-time-column", "made")

    for path in (corrected, wrong) if reverse else (wrong, corrected):
        desk.load(path, *by)
    found, _ = desk.history(_ask(desk, ["u1"]), desk.folder / "h" / "*.parquet", *by)

    assert found["x"].to_pylist() == [2.0]
    assert _online(desk) == [2.0]


def test_equal_event_times_have_one_winner_in_any_order_of_loading(desk: Desk) -> None:
    one = desk.write("h/a.parquet", user=["u1"], x=[1.0])
    other = desk.write("h/b.parquet", user=["u1"], x=[2.0])

    found, _ = desk.history(_ask(desk, ["u1"]), desk.folder / "h" / "*.parquet")
    served = []
    for place, order in enumerate([(one, other), (other, one)]):
        (desk.folder / str(place)).mkdir()
        here = Desk(desk.folder / str(place))
        for path in order:
            here.load(path)
        served.append(_online(here))

    assert served == [found["x"].to_pylist()] * 2


def _online(desk: Desk) -> list[float]:
    """Return the store's answer for `u1`, by the library as a service uses it."""

    async def read() -> list[float]:
        store = open_store(desk.store)
        try:
            features = OnlineFeatures(store, [FeatureRef("user", 1, "x")], load_views(desk.views))
            found = await features.get({"user": ["u1"]}, now_s=LATER.timestamp(), timeout_s=60.0)
            return [float(each) for each in found.columns[0]]
        finally:
            await store.close()

    return asyncio.run(read())


def test_a_float_that_holds_an_integer_is_the_id_of_that_integer(desk: Desk) -> None:
    ids = pa.array([17, 1000000000000001, 100000000000000008], pa.int64())
    path = desk.write("h.parquet", user=ids, x=[1.0, 2.0, 3.0])

    found, _ = desk.history(
        _ask(desk, pa.array([17.0, 1000000000000001.0, None], pa.float64())), path
    )
    _, errors = desk.history(
        _ask(desk, pa.array([17.0, 1e17], pa.float64())), path, exits=exit_codes.USAGE
    )

    assert found["x"].to_pylist() == [1.0, 2.0, None]
    assert "rows.user: read 1 unusable of 2, the first in row 1: 1e+17" in errors


def test_files_of_one_history_may_differ_in_the_type_of_ids(desk: Desk) -> None:
    desk.write("h/h1.parquet", user=[1, 2], x=[1.0, 2.0])
    desk.write("h/h2.parquet", user=["a3"], x=[3.0])
    vectors = pa.FixedSizeListArray.from_arrays(pa.array([1.0, 2.0, 3.0], pa.float32()), 1)
    log = desk.folder / "log.parquet"
    columns = {
        "unit_key": ["1", "2", "a3"],
        "at_utc": pa.array([LATER.replace(tzinfo=None)] * 3, pa.timestamp("us")),
        "features": vectors,
        "statuses": pa.array([None] * 3, pa.list_(pa.uint8())),
    }
    pq.write_table(pa.table(columns), log)
    history = ("--history", f"user@1={desk.folder}/h/*.parquet")

    stdout, _ = desk.run("audit", "--log", log, *history, "--log-ids", "plain")

    assert "3 of 3 logged rows" in stdout


NUMBERS = ["0x1A", "1_000", "\uff11\uff17", "1e400", "0b1", "nope"]


@pytest.mark.parametrize("text", NUMBERS)
@pytest.mark.parametrize("dtype", ["int64", "float64"])
def test_a_number_has_the_same_fate_in_any_company(tmp_path: Path, text: str, dtype: str) -> None:
    desk = Desk(tmp_path, f"{{name: n, dtype: {dtype}}}")
    head, row = "user,event_time,n\n", f"u1,{NOON.isoformat()},{text}\n"
    alone, company = tmp_path / "alone.csv", tmp_path / "company.csv"
    alone.write_text(head + row, encoding="utf-8")
    rows = f"u2,{NOON.isoformat()},5\nu3,{NOON.isoformat()}, 1e3 \n"
    company.write_text(head + row + rows, encoding="utf-8")

    told = [desk.load(each, exits=exit_codes.FAILED) for each in (alone, company)]

    assert told[0] == told[1]
    assert f"row 0, n: read {text}" in told[0]


def test_a_reject_shows_the_time_that_was_read(desk: Desk) -> None:
    path = desk.folder / "t.csv"
    path.write_text("user,event_time,x\nu9,2025-11-01 12:00:00 UTC,1\nu1,1793534400,1\n")

    errors = desk.load(path, exits=exit_codes.FAILED)

    assert "row 0, event_time: read 2025-11-01 12:00:00 UTC" in errors
    assert "row 1, event_time: read 1793534400" in errors


@pytest.mark.parametrize(
    "text",
    [
        "0001-01-01T00:00:00+14:00",
        "9999-12-31T23:59:59-05:00",
        "NaT",
        "2025-11-01T24:00:01Z",
        "2016-12-31T23:59:60Z",
    ],
)
def test_a_time_outside_of_the_calendar_is_a_reject(desk: Desk, text: str) -> None:
    path = desk.folder / "t.csv"
    path.write_text(f"user,event_time,x\nu1,{text},1\n")

    errors = desk.load(path, exits=exit_codes.FAILED)

    assert f"read {text}" in errors


def test_a_column_that_is_there_twice_is_a_fault(desk: Desk) -> None:
    columns = [["u1"], pa.array([NOON], MOMENTS), [1.0], [2.0]]
    path = desk.folder / "in.parquet"
    pq.write_table(pa.table(columns, names=["user", "event_time", "x", "x"]), path)

    errors = desk.load(path, exits=exit_codes.USAGE)
    _, same = desk.history(_ask(desk, ["u1"]), path, exits=exit_codes.USAGE)

    assert "more than one column x" in errors
    assert errors == same


def test_a_history_without_the_entity_column_is_a_fault_that_names_it(desk: Desk) -> None:
    times = pa.array([NOON], MOMENTS)
    path = desk.folder / "h.parquet"
    pq.write_table(pa.table({"customer": ["u1"], "event_time": times, "x": [1.0]}), path)
    asked = _ask(desk, ["u1"])

    _, errors = desk.history(asked, path, exits=exit_codes.USAGE)
    found, _ = desk.history(asked, path, "--entity-column", "customer")

    assert "a file that also has user" in errors
    assert found["x"].to_pylist() == [1.0]


@pytest.mark.parametrize(
    "times",
    [
        pa.array([NOON], pa.timestamp("ns", tz="Europe/Zurich")),
        pa.array([NOON], pa.timestamp("s", tz="UTC")),
        pa.array([date(2025, 11, 1)], pa.date32()),
        pa.array([date(2025, 11, 1)], pa.date64()),
        pa.array(["2025-11-01T14:00:00+02:00"]),
        pa.array(["2025-11-01T12:00:00.123456789Z"], pa.string_view()),
    ],
    ids=str,
)
def test_times_of_any_type_are_read_alike_by_loading_and_history(
    desk: Desk, times: pa.Array
) -> None:
    path = desk.write("h.parquet", user=["u1"], event_time=times, x=[1.0])
    asked = desk.write("asked.parquet", user=["u1"], event_time=times)

    desk.load(path)
    found, _ = desk.history(asked, path)

    assert found["x"].to_pylist() == [1.0]
    assert _online(desk) == [1.0]


def test_a_log_without_statuses_and_values_is_not_health(desk: Desk) -> None:
    desk.load(desk.write("h.parquet", user=["u1"], x=[1.0]))
    log = desk.folder / "log.parquet"
    columns = {
        "features": pa.array([None, None], pa.list_(pa.float32())),
        "statuses": pa.array([None, None], pa.list_(pa.uint8())),
    }
    pq.write_table(pa.table(columns), log)
    told = ("freshness", "--store", desk.store, "--log", log, "--output", "json")

    stdout, _ = desk.run(*told, exits=exit_codes.FAILED)

    assert json.loads(stdout)["features"][0]["unknown"] == 1.0


def test_an_int64_in_a_column_of_doubles_is_exact_or_a_reject(tmp_path: Path) -> None:
    desk = Desk(tmp_path, "{name: n, dtype: int64}")
    exact = desk.write("h/a.parquet", user=["a"], n=pa.array([2**53 + 1], pa.int64()))
    numbers = pa.array([2.0**53, 2.0**53 - 1, np.nan], pa.float64())
    double = desk.write("h/b.parquet", user=["b", "c", "d"], n=numbers)

    desk.load(exact)
    errors = desk.load(double, exits=exit_codes.FAILED)
    found, _ = desk.history(_ask(desk, ["a", "b", "c", "d"]), desk.folder / "h" / "*.parquet")

    assert "row 0, n: read 9007199254740992.0" in errors
    assert found["n"].to_pylist() == [2**53 + 1, None, 2**53 - 1, None]
