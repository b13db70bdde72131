"""Integer and bytes keys: one text per key, in loading, reading, history, deletion and display."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aerospike
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from tests.features.aerospike_node import AerospikeNode, running_node
from tests.features.builders import NOW_MS, NOW_S, a_record
from understudy.domain.errors import InvalidInputError
from understudy.domain.features import FeatureRef, KeyKind
from understudy.features.cli.commands import app
from understudy.features.decisions.entity_ids import id_texts
from understudy.features.decisions.entity_keys import check_ids, is_id, store_keys
from understudy.features.history.history import get_historical_features
from understudy.features.loading.history_files import HistorySource
from understudy.features.serving.online import OnlineFeatures
from understudy.features.stores import open_store, open_writer
from understudy.features.views import load_views
from understudy.runtime import exit_codes

VIEWS = """
views:
  - {name: count, version: 1, entity: user, key: integer, features: [{name: age, dtype: int64}]}
  - name: place
    version: 1
    entity: device
    key: bytes
    namespace: archive
    layout: bins
    bins: {set: devices, event_time: at}
    features: [{name: age, dtype: int64}]
"""
AT = datetime.fromtimestamp(NOW_S, UTC)
UNFIT = {
    KeyKind.INTEGER: [
        "007",
        "+7",
        "-0",
        "7.0",
        "1e3",
        " 7",
        "",
        "seven",
        "\u0667",
        f"{2**63}",
        "\ud800",
    ],
    KeyKind.BYTES: ["", "0", "0G", "AB", "0x01", "ab cd", "\0\0", "\u0667\u0667"],
}


@given(st.integers(-(2**63), 2**63 - 1))
def test_an_integer_key_has_one_text(key: int) -> None:
    assert store_keys(KeyKind.INTEGER, [str(key), None]) == [key, None]


@given(st.binary(min_size=1, max_size=40))
def test_a_bytes_key_has_one_text(key: bytes) -> None:
    assert store_keys(KeyKind.BYTES, [key.hex(), None]) == [key, None]


@given(
    st.sampled_from([KeyKind.INTEGER, KeyKind.BYTES]),
    st.text("0123456789abcdefABx+- .", max_size=9),
)
def test_no_two_texts_stand_for_one_key(kind: KeyKind, text: str) -> None:
    (key,) = store_keys(kind, [text])

    assert (key is not None) is is_id(kind, text)
    if key is not None:
        assert text == (str(key) if isinstance(key, int) else bytes(key).hex())  # type: ignore[arg-type]  # not a text


@pytest.mark.parametrize(("kind", "text"), [(kind, each) for kind in UNFIT for each in UNFIT[kind]])
def test_an_id_that_does_not_fit_is_refused_with_the_reason(kind: KeyKind, text: str) -> None:
    assert store_keys(kind, [text]) == [None]
    with pytest.raises(InvalidInputError, match=f"because the view has `key: {kind}`"):
        check_ids(kind, [None, text])


@pytest.mark.parametrize(
    ("kind", "column", "ids"),
    [
        (KeyKind.INTEGER, pa.array([7, -(2**63), None]), ["7", f"{-(2**63)}", None]),
        (KeyKind.INTEGER, pa.array([7.0, 7.5, None]), ["7", None, None]),
        (KeyKind.INTEGER, pa.array([2**64 - 1, 5], pa.uint64()), [None, "5"]),
        (KeyKind.INTEGER, pa.array(["7", "007", "x"]), ["7", None, None]),
        (KeyKind.INTEGER, pa.array([b"7"]), [None]),
        (KeyKind.BYTES, pa.array([b"\x00\xff", b"", None]), ["00ff", None, None]),
        (KeyKind.BYTES, pa.array([b"\x01" * 16], pa.binary(16)), ["01" * 16]),
        (KeyKind.BYTES, pa.array(["00ff", "00FF", "00f"]), ["00ff", None, None]),
        (KeyKind.BYTES, pa.array([12]), [None]),  # digits are hexadecimal digits too
        (KeyKind.TEXT, pa.array([b"7"]), [None]),
    ],
)
def test_a_column_gives_ids_of_the_kind_of_key(
    kind: KeyKind, column: pa.Array, ids: list[str | None]
) -> None:
    assert id_texts(column, kind) == ids


class World:
    """A node with two namespaces, files of rows for both views, and the commands."""

    def __init__(self, node: AerospikeNode, folder: Path) -> None:
        self.node = node
        self.folder = folder
        self.client = aerospike.client({"hosts": [("127.0.0.1", node.port)]})
        (folder / "views.yaml").write_text(VIEWS)
        self.count, self.place = load_views(folder / "views.yaml")
        ids = {"user": pa.array([7, -12]), "device": pa.array([b"\x00\xff", b"\x01"])}
        for entity, column in ids.items():
            rows = {entity: column, "event_time": pa.array([AT] * 2), "age": [1, 2]}
            pq.write_table(pa.table(rows), folder / f"{entity}.parquet")

    def run(self, *words: str, exits: int = exit_codes.OK) -> tuple[Any, str]:
        """Run a command on the store; return its JSON and its errors."""
        places = ("--views", str(self.folder / "views.yaml"), "--store", self.node.url)
        result = CliRunner().invoke(app, [*words, *places, "--output", "json"])
        assert result.exit_code == exits, result.output
        return json.loads(result.stdout or "null"), result.stderr

    def load(self, entity: str, view: str) -> None:
        loaded, _ = self.run("load", str(self.folder / f"{entity}.parquet"), "--view", view)
        assert (loaded["written"], loaded["rejected"]) == (2, 0)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with running_node("archive") as node:
        opened = World(node, tmp_path)
        yield opened
        opened.client.close()


def test_records_are_loaded_shown_and_deleted_under_the_keys_of_other_tools(world: World) -> None:
    world.load("user", "count")
    world.load("device", "place")
    device = ("archive", "devices", bytearray(b"\x00\xff"))

    assert world.client.exists(("features", "count.1", 7))[1] is not None
    assert world.client.get(device)[2].items() >= {"age": 1, "at": NOW_MS}.items()
    assert world.client.exists(("features", *device[1:]))[1] is None
    shown, _ = world.run("get", "00ff", "--view", "place")
    assert shown[0]["values"][0]["value"] == 1
    deleted, _ = world.run("delete", "device", "00ff")
    assert deleted[0]["deleted"]
    assert world.client.exists(device)[1] is None


@pytest.mark.parametrize("words", [("get", "007", "--view", "count"), ("delete", "user", "007")])
def test_commands_refuse_an_id_that_does_not_fit(world: World, words: tuple[str, ...]) -> None:
    _, told = world.run(*words, exits=exit_codes.USAGE)

    assert "read '007'; accepted: an int64 in decimal digits" in told


async def test_history_and_online_reads_take_the_same_ids(world: World) -> None:
    world.load("user", "count")
    features = [FeatureRef("count", 1, "age")]
    store = open_store(world.node.url)
    online = OnlineFeatures(store, features, [world.count])
    source = HistorySource(str(world.folder / "user.parquet"), "user")
    rows = pa.table({"user": ["-12", "5", "7"], "event_time": pa.array([AT] * 3)})

    served = await online.get({"user": ["-12", "5", "7"]}, now_s=NOW_S, timeout_s=60.0)
    joined = get_historical_features(rows, features, [world.count], {"count@1": source})

    assert served.columns[0].tolist() == joined.columns[0].tolist() == [2, 0, 1]
    with pytest.raises(InvalidInputError, match=r"entities\.user: read '007'"):
        await online.get({"user": ["7", "007"]}, now_s=NOW_S, timeout_s=60.0)
    unfit = pa.table({"user": ["7", "007"], "event_time": pa.array([AT] * 2)})
    with pytest.raises(InvalidInputError, match=r"rows\.user: read '?1 unusable of 2"):
        get_historical_features(unfit, features, [world.count], {"count@1": source})
    await store.close()


def test_a_row_whose_id_does_not_fit_is_rejected(world: World) -> None:
    rows = {"user": ["7", "x7"], "event_time": pa.array([AT] * 2), "age": [1, 2]}
    pq.write_table(pa.table(rows), world.folder / "mixed.parquet")

    loaded, _ = world.run(
        "load",
        str(world.folder / "mixed.parquet"),
        "--view",
        "count",
        exits=exit_codes.FAILED,
    )

    assert (loaded["written"], loaded["rejected"]) == (1, 1)
    assert loaded["first_rejects"][0]["read"] == "x7"


def test_writers_refuse_an_id_that_does_not_fit(world: World, tmp_path: Path) -> None:
    for url in (world.node.url, f"lmdb:{tmp_path / 'store'}"):
        writer = open_writer(url)
        with pytest.raises(InvalidInputError, match="entity id: read '007'"):
            writer.write(world.count, [("007", a_record(world.count, {"age": 1}))], mark=None)
        with pytest.raises(InvalidInputError, match="entity id: read '007'"):
            writer.delete(world.count, "007")
        writer.close_now()


def test_a_namespace_is_refused_where_there_are_none(world: World, tmp_path: Path) -> None:
    url = f"lmdb:{tmp_path / 'store'}"
    places = ["--views", str(tmp_path / "views.yaml"), "--store", url, "--view", "place"]

    for words in (("load", str(tmp_path / "device.parquet")), ("get", "00ff")):
        result = CliRunner().invoke(app, [*words, *places])

        assert result.exit_code == exit_codes.USAGE
        assert "namespace of place@1: read 'archive'; accepted: none" in result.stderr
    assert not (tmp_path / "store").exists()
