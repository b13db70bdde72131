"""Families: features of a view that are updated together, and apart from the others.

Whatever files update which families in whatever order, history, a store and a search in Python give
the same values with the same ages.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from random import Random

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from tests.features.builders import IN_FAMILIES, NOW_MS, NOW_S, a_record, a_view
from tests.features.fakes import FakeFeatureStore
from understudy.domain.errors import InvalidInputError
from understudy.domain.features import (
    EMPTY_STATUSES,
    Feature,
    FeatureRef,
    FeatureScalar,
    FeatureStatus,
    FeatureView,
    ViewKind,
    view_from_canonical_json,
)
from understudy.domain.record_layouts import BinsLayout
from understudy.features.cli.commands import app
from understudy.features.decisions.families import families_of, family_of
from understudy.features.decisions.statuses import status_when_absent, status_when_null
from understudy.features.decisions.view_changes import changes_between
from understudy.features.decisions.view_rules import contradictions
from understudy.features.history.freshness import view_freshness
from understudy.features.history.history import get_historical_features
from understudy.features.loading.history_files import HistorySource
from understudy.features.loading.load_features import SourceFile, load_features
from understudy.features.loading.write_through import WriteThrough
from understudy.features.serving.feature_values import FeatureValues
from understudy.features.serving.online import OnlineFeatures
from understudy.runtime import exit_codes

VIEW = a_view("user", IN_FAMILIES)
HOURLY, PROFILE = families_of(VIEW)
# A feature set may mix the families.
REFS = [FeatureRef("user", 1, name) for name in ("city", "spent", "country")]
IDS = ["u", "v"]
ASKED_S = (0, 61, 7200)  # after the last event; the ages of the families differ
TIME = pa.timestamp("ms", tz="UTC")
Cell = tuple[FeatureScalar | None, FeatureStatus]


@dataclass(frozen=True)
class Update:
    entity: str
    at_ms: int  # after NOW_MS
    number: int  # the value of each feature; 0: absent


@dataclass(frozen=True)
class DrawnFile:
    families: tuple[str, ...]
    updates: tuple[Update, ...]


# No two updates have the same time, or the fingerprint would decide.
updates = st.builds(Update, st.sampled_from(IDS), st.integers(0, 50_000), st.integers(0, 9))
drawn_files = st.lists(
    st.builds(
        DrawnFile,
        st.sampled_from([("hourly",), ("profile",), ("hourly", "profile")]),
        st.lists(updates, min_size=1, max_size=4).map(tuple),
    ),
    min_size=2,
    max_size=4,
).filter(
    lambda files: (
        len({each.at_ms for file in files for each in file.updates})
        == sum(len(file.updates) for file in files)
        and {name for file in files for name in file.families} == {"hourly", "profile"}
    )
)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    root = tmp_path_factory.mktemp("families")
    return (root / str(number) for number in count())


@settings(max_examples=10, deadline=None)
@given(files=drawn_files, order=st.randoms(use_true_random=False), later_s=st.sampled_from(ASKED_S))
async def test_updates_of_families_in_any_order_history_and_a_search_agree(
    folders: Iterator[Path], files: list[DrawnFile], order: Random, later_s: int
) -> None:
    root = next(folders)
    root.mkdir()
    store = FakeFeatureStore()
    loads = [
        (_written(file, root / f"{number}.parquet"), name)
        for number, file in enumerate(files)
        for name in file.families
    ]
    order.shuffle(loads)
    for path, name in loads:
        _load(path, family_of(VIEW, name, field="family"), store)
    asked_s = NOW_S + 50.001 + later_s

    rows = {"user": IDS, "event_time": pa.array([round(asked_s * 1000)] * len(IDS), TIME)}
    history = get_historical_features(
        pa.table(rows),
        REFS,
        [VIEW],
        {"user@1": HistorySource(f"{root}/*.parquet", "user")},
        use_stale=True,
    )
    online = await OnlineFeatures(store, REFS, [VIEW]).get(
        {"user": IDS}, now_s=asked_s, timeout_s=60.0
    )

    expected = [[_searched(files, entity, ref, asked_s) for ref in REFS] for entity in IDS]
    assert _cells(online) == expected
    assert _cells(history) == expected


def _searched(files: list[DrawnFile], entity: str, ref: FeatureRef, asked_s: float) -> Cell:
    """Return the right value and status, one update at a time."""
    (feature,) = (each for each in VIEW.features if each.name == ref.feature)
    known = [
        (each.at_ms, each.number)
        for file in files
        if feature.family in file.families
        for each in file.updates
        if each.entity == entity
    ]
    at_ms, number = max(known, default=(0, 0))
    age_s = asked_s - NOW_S - at_ms / 1000
    is_stale = feature.max_age_s is not None and age_s > feature.max_age_s
    if not number:
        is_fact = bool(known) and not is_stale
        absent = status_when_null(feature) if is_fact else status_when_absent(feature)
        return feature.default, absent
    return _value(feature, number), FeatureStatus.STALE if is_stale else FeatureStatus.PRESENT


def _value(feature: Feature, number: int) -> FeatureScalar:
    return float(number) if feature.name == "spent" else f"{feature.name} {number}"


def _cells(found: FeatureValues) -> list[list[Cell]]:
    shown: list[list[Cell]] = []
    for row in range(len(found.statuses)):
        cells: list[Cell] = []
        for place, column in enumerate(found.columns):
            status = FeatureStatus(found.statuses[row, place])
            value = column[row]
            given = value.decode() if isinstance(value, bytes) else float(value)
            cells.append((None if status in EMPTY_STATUSES else given, status))
        shown.append(cells)
    return shown


def _written(file: DrawnFile, path: Path) -> Path:
    features = [each for each in VIEW.features if each.family in file.families]
    columns = {
        "user": [each.entity for each in file.updates],
        "event_time": pa.array([NOW_MS + each.at_ms for each in file.updates], TIME),
    }
    for feature in features:
        values = [_value(feature, each.number) if each.number else None for each in file.updates]
        columns[feature.name] = pa.array(
            values, pa.float64() if feature.name == "spent" else pa.string()
        )
    pq.write_table(pa.table(columns), path)
    return path


def _load(path: Path, view: FeatureView, store: FakeFeatureStore) -> None:
    done = load_features(
        SourceFile(path, "user"),
        view,
        store,
        on_reject=lambda reject: pytest.fail(str(reject)),
        on_progress=lambda _: None,
    )
    assert done.rejected == 0


def test_write_through_updates_one_family_in_store_and_history(tmp_path: Path) -> None:
    store = FakeFeatureStore()
    times = pa.array([NOW_MS], TIME)
    profile = WriteThrough(VIEW, store, tmp_path, family="profile")
    hourly = WriteThrough(VIEW, store, tmp_path, family="hourly")

    profile.write(pa.table({"user": ["u"], "event_time": times, "country": ["LI"], "city": ["V"]}))
    hourly.write(pa.table({"user": ["u"], "event_time": times, "spent": [2.5]}))

    asked = pa.table({"user": ["u"], "event_time": times})
    source = HistorySource(f"{tmp_path}/view=user@1/*/*.parquet", "user")
    found = get_historical_features(asked, REFS, [VIEW], {"user@1": source})
    assert [column[0] for column in found.columns] == [b"V", 2.5, b"LI"]
    assert {name for name, _ in store.records} == {"user@1/hourly", "user@1/profile"}
    with pytest.raises(InvalidInputError, match="a family of user@1: hourly, profile"):
        WriteThrough(VIEW, store, tmp_path)


async def test_the_age_of_each_family_is_shown() -> None:
    store = FakeFeatureStore()
    record = a_record(PROFILE, {"city": "V"}, event_time_ms=NOW_MS - 5000)
    store.write(PROFILE, [("u", record)], mark=None)

    found = await view_freshness(store, [VIEW], now_s=NOW_S, timeout_s=60.0)

    assert [(each.view, each.newest_age_s) for each in found] == [
        ("user@1/hourly", None),
        ("user@1/profile", 5.0),
    ]


def test_a_view_with_families_keeps_them_in_its_definition() -> None:
    assert view_from_canonical_json(VIEW.canonical_json) == VIEW
    assert view_from_canonical_json(HOURLY.canonical_json) == HOURLY
    assert len({VIEW.digest, HOURLY.digest, PROFILE.digest}) == 3
    assert families_of(HOURLY) == (HOURLY,)
    plain = a_view("user", [replace(each, family="") for each in IN_FAMILIES])
    assert families_of(plain) == (plain,)
    assert next(each.what for each in changes_between([plain], [VIEW])) == (
        "feature spent, family: '' to 'hourly'"
    )


@pytest.mark.parametrize(
    ("view", "read"),
    [
        (a_view("user", [*IN_FAMILIES, replace(IN_FAMILIES[0], name="x", family="")]), "nothing"),
        (a_view("user", IN_FAMILIES, layout=BinsLayout("user")), "family hourly"),
        (replace(VIEW, kind=ViewKind.REQUEST, entity="request"), "family hourly"),
        (
            a_view(
                "user", [replace(IN_FAMILIES[0], name=f"f{n}", family=f"g{n}") for n in range(17)]
            ),
            "17 families",
        ),
    ],
)
def test_families_that_cannot_act_are_refused(view: FeatureView, read: str) -> None:
    assert read in [each.read for each in contradictions([view], functions={})]


DEFINITION = """
views:
  - name: user
    version: 1
    entity: user
    features:
      - {name: spent, dtype: float64, family: hourly}
      - {name: city, dtype: string, family: profile}
"""


def test_the_commands_load_show_and_delete_by_family(tmp_path: Path) -> None:
    (tmp_path / "views.yaml").write_text(DEFINITION)
    (tmp_path / "hourly.csv").write_text("user,event_time,spent\nu,2025-11-24T17:00Z,2.5\n")
    (tmp_path / "all.csv").write_text("user,event_time,city,spent\nu,2025-11-24T16:00Z,Vaduz,1\n")
    places = ("--views", str(tmp_path / "views.yaml"), "--store", f"lmdb:{tmp_path / 'store'}")

    def run(*words: str) -> tuple[int, str]:
        result = CliRunner().invoke(app, [*words, *places, "--output", "json"])
        return result.exit_code, result.output

    def load(file: str, *words: str) -> tuple[int, str]:
        return run("load", str(tmp_path / file), *words)

    code, told = load("hourly.csv")
    assert (code, "a family of user@1: hourly, profile" in told) == (exit_codes.USAGE, True)
    assert load("hourly.csv", "--family", "yearly")[0] == exit_codes.USAGE
    assert load("hourly.csv", "--family", "profile")[0] == exit_codes.USAGE  # lacks the city
    for file, family in (("hourly.csv", "hourly"), ("all.csv", "hourly"), ("all.csv", "profile")):
        assert load(file, "--family", family)[0] == exit_codes.OK

    shown = json.loads(run("get", "u")[1])
    assert [(each["view"], each["event_time"], each["values"][0]["value"]) for each in shown] == [
        ("user@1/hourly", datetime(2025, 11, 24, 17, tzinfo=UTC).isoformat(), 2.5),
        ("user@1/profile", datetime(2025, 11, 24, 16, tzinfo=UTC).isoformat(), "Vaduz"),
    ]
    deleted = json.loads(run("delete", "user", "u")[1])
    assert [(each["view"], each["deleted"]) for each in deleted] == [
        ("user@1/hourly", True),
        ("user@1/profile", True),
    ]
