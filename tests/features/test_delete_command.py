"""`features delete`: the records of one entity, in every view of its type and in every store."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from tests.features.aerospike_node import AerospikeNode, running_node
from tests.features.builders import NOW_MS, a_record, a_view, floats
from tests.features.poison import LATIN_1, TEXT, put_bins
from understudy.domain.features import FeatureView
from understudy.features.cli.commands import app
from understudy.features.decisions.record_format import pack_record, record_format
from understudy.features.stores import open_writer
from understudy.features.views import load_views
from understudy.runtime import exit_codes

ON_FILE = """
views:
  - {name: profile, version: 1, entity: user, features: [{name: age, dtype: int64}]}
  - name: places
    version: 1
    entity: user
    layout: bins
    bins: {set: places, event_time: at}
    features: [{name: city, dtype: string}]
  - {name: shop, version: 1, entity: merchant, features: [{name: age, dtype: int64}]}
  - {name: basket, version: 1, kind: request, features: [{name: amount, dtype: float64}]}
"""
COMMAND = CliRunner()


class Stored:
    """A store with records of two entities in three views."""

    def __init__(self, url: str, folder: Path) -> None:
        self.url = url
        self.path = folder / "views.yaml"
        self.path.write_text(ON_FILE)
        self.views = {view.name: view for view in load_views(self.path)}
        writer = open_writer(url)
        for name in ("profile", "places", "shop"):
            for entity_id in ("u1", "u2"):
                writer.write(
                    self.views[name], [(entity_id, record_of(self.views[name]))], mark=None
                )
        writer.close_now()

    def run(self, *words: str) -> tuple[int, Any]:
        """Run a command on the store; return its exit code and its rows."""
        places = ("--views", str(self.path), "--store", self.url, "--output", "json")
        result = COMMAND.invoke(app, [*words, *places])
        return result.exit_code, json.loads(result.stdout or "null")

    def holds(self, name: str, entity_id: str) -> bool:
        writer = open_writer(self.url)
        try:
            return writer.count_held(self.views[name], [entity_id]) == 1
        finally:
            writer.close_now()


def record_of(view: FeatureView) -> bytes:
    values = {"age": 7} if view.features[0].name == "age" else {"city": "Vaduz"}
    return pack_record(record_format(view), values, event_time_ms=NOW_MS)


@contextmanager
def stored_in(kind: str, folder: Path) -> Iterator[tuple[Stored, AerospikeNode | None]]:
    if kind == "lmdb":
        yield Stored(f"lmdb:{folder / 'store'}", folder), None
        return
    with running_node() as node:
        yield Stored(node.url, folder), node


@pytest.mark.parametrize("kind", ["lmdb", "aerospike"])
def test_an_entity_is_deleted_in_all_views_of_its_type_and_nowhere_else(
    kind: str, tmp_path: Path
) -> None:
    with stored_in(kind, tmp_path) as (stored, _):
        code, rows = stored.run("delete", "user", "u1")

        assert code == exit_codes.OK
        told = [(row["view"], row["found"], row["values"], row["deleted"]) for row in rows]
        assert told == [("profile@1", "a record", 1, True), ("places@1", "a record", 1, True)]
        assert {row["event_time"] for row in rows} == {"2025-11-24T16:00:00+00:00"}
        kept = [("profile", "u2"), ("places", "u2"), ("shop", "u1"), ("shop", "u2")]
        assert all(stored.holds(*each) for each in kept)
        assert not stored.holds("profile", "u1")
        assert not stored.holds("places", "u1")

        code, rows = stored.run("delete", "user", "u1", "--view", "profile")

        assert code == exit_codes.USAGE
        assert [(row["found"], row["deleted"]) for row in rows] == [("nothing", False)]


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (("customer", "u1"), "ENTITY: read 'customer'"),
        (("merchant", "u1", "--view", "profile"), "ENTITY: read 'merchant'"),
        (("user", "u1", "--view", "basket"), "--view: read"),
        (("user", ""), "ID: read ''"),
        (("user", "a\0b"), "ID: read"),
        (("user", "x" * 5000), "ID: read"),
    ],
)
def test_a_deletion_that_cannot_be_meant_is_refused(
    words: tuple[str, ...], named: str, tmp_path: Path
) -> None:
    stored = Stored(f"lmdb:{tmp_path / 'store'}", tmp_path)

    result = COMMAND.invoke(
        app, ["delete", *words, "--views", str(stored.path), "--store", stored.url]
    )

    assert result.exit_code == exit_codes.USAGE
    assert named in result.stderr
    assert stored.holds("profile", "u1")


def test_a_deletion_creates_no_store(tmp_path: Path) -> None:
    (tmp_path / "views.yaml").write_text(ON_FILE)
    url = f"lmdb:{tmp_path / 'none'}"

    result = COMMAND.invoke(
        app, ["delete", "user", "u1", "--views", str(tmp_path / "views.yaml"), "--store", url]
    )

    assert result.exit_code == exit_codes.USAGE
    assert not (tmp_path / "none").exists()


def test_records_that_end_their_reader_or_have_another_definition_are_deleted_too(
    tmp_path: Path,
) -> None:
    with stored_in("aerospike", tmp_path) as (stored, node):
        assert node is not None
        put_bins(node.port, node.namespace, "places", "u1", {"city": (TEXT, LATIN_1)})
        other = pack_record(record_format(stored.views["shop"]), {"age": 1}, event_time_ms=NOW_MS)
        put_bins(node.port, node.namespace, "profile.1", "u1", {"v": (4, other)})

        code, rows = stored.run("delete", "user", "u1")

        assert code == exit_codes.OK
        assert [row["deleted"] for row in rows] == [True, True]
        assert rows[0]["found"] == "a record of another definition"
        assert rows[1]["found"].startswith("a record that cannot be read, or none: ")
        assert not stored.holds("places", "u1")


def test_a_record_of_bins_is_shown_with_its_age_and_without_one_if_its_time_is_unknown(
    tmp_path: Path,
) -> None:
    with stored_in("aerospike", tmp_path) as (stored, node):
        assert node is not None
        put_bins(node.port, node.namespace, "places", "odd", {"at": (TEXT, b"soon")})

        code, (timed,) = stored.run("get", "u1", "--view", "places")
        assert code == exit_codes.OK
        assert timed["event_time"] == "2025-11-24T16:00:00+00:00"
        assert timed["age_s"] > 0
        code, (odd,) = stored.run("get", "odd", "--view", "places")
        assert code == exit_codes.OK
        assert (odd["event_time"], odd["age_s"]) == (None, None)


def test_a_record_is_deleted_as_the_settings_say(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FEATURES_AEROSPIKE_DURABLE_DELETES", "true")
    with running_node() as node:
        view = a_view(features=floats(1))
        writer = open_writer(node.url)
        writer.write(view, [("u1", a_record(view, {"f0": 1.0}))], mark=None)

        assert writer.delete(view, "u1")
        writer.close_now()

        assert node.durable_deletes == 1
