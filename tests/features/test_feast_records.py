"""Records of Feast's Aerospike online store, made by the rules of Feast 0.66, read as a layout."""

import json
import struct
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import aerospike
import pytest
from typer.testing import CliRunner

from tests.features.aerospike_node import running_node
from tests.features.aerospike_servers import WAIT_S, Server
from tests.features.builders import MIXED, NOW_MS, a_record, a_view, floats
from understudy.domain.errors import InvalidInputError
from understudy.domain.features import FeatureScalar, FeatureView, KeyKind, view_from_canonical_json
from understudy.domain.record_layouts import BinsLayout, FeastKeyType, FeastLayout
from understudy.features.adapters.aerospike_keys import record_keys
from understudy.features.cli.commands import app
from understudy.features.loading.write_through import WriteThrough
from understudy.features.ports import ViewRead
from understudy.features.views import load_views, parse_views
from understudy.runtime import exit_codes

# Keys that Feast's own `serialize_entity_key` (0.66, commit f0bc0700, version 3) returned.
KEYS_OF_FEAST = [
    (
        ("driver_id", KeyKind.INTEGER, FeastKeyType.INT64, "1001"),
        "0100000002000000090000006472697665725f69640400000008000000e903000000000000",
    ),
    (
        ("driver_id", KeyKind.INTEGER, FeastKeyType.INT32, "-7"),
        "0100000002000000090000006472697665725f69640300000004000000f9ffffff",
    ),
    (
        ("user", KeyKind.TEXT, FeastKeyType.STRING, "Zürich"),
        "0100000002000000040000007573657202000000070000005ac3bc72696368",
    ),
    (
        ("device", KeyKind.BYTES, FeastKeyType.BYTES, "00ff"),
        "010000000200000006000000646576696365010000000200000000ff",
    ),
]


def feast_view(set_name: str, *, features: Any = MIXED, **given: Any) -> FeatureView:
    """Return a view of int64 drivers in Feast's feature view `stats`."""
    layout = FeastLayout(set_name, "stats", "driver_id", FeastKeyType.INT64, **given)
    return replace(a_view("stats", features, entity="driver", layout=layout), key=KeyKind.INTEGER)


def feast_key(server: Server, set_name: str, driver: int) -> tuple[str, str, bytearray]:
    name = b"driver_id"
    key = struct.pack("<III", 1, 2, len(name)) + name + struct.pack("<IIq", 4, 8, driver)
    return (server.options.namespace, set_name, bytearray(key))


@dataclass
class FeastStore:
    """Writes as `online_write_batch` does; a record has the slots of several feature views."""

    server: Server
    set_name: str

    def put(self, driver: int, **views: tuple[dict[str, Any], Any]) -> None:
        ordered = aerospike.KeyOrderedDict
        bins = {
            "features": ordered({view: ordered(values) for view, (values, _) in views.items()}),
            "event_ts": ordered({view: time for view, (_, time) in views.items()}),
            "created_ts": NOW_MS,
        }
        self.server.client.put(feast_key(self.server, self.set_name, driver), bins)


@pytest.fixture
def feast(server: Server, name: str) -> FeastStore:
    return FeastStore(server, name)


@pytest.mark.parametrize(("given", "key"), KEYS_OF_FEAST)
def test_keys_are_those_of_feast(given: tuple[str, KeyKind, FeastKeyType, str], key: str) -> None:
    join_key, kind, key_type, entity_id = given
    layout = FeastLayout("s", "stats", join_key, key_type)
    view = replace(a_view(layout=layout), key=kind)

    assert record_keys(view, [entity_id, None]) == [bytearray.fromhex(key), None]


def test_an_id_beyond_the_type_of_the_join_key_has_no_record() -> None:
    layout = FeastLayout("s", "stats", "driver_id", FeastKeyType.INT32)
    view = replace(a_view(layout=layout), key=KeyKind.INTEGER)

    keys = record_keys(view, [f"{2**31}", f"{-(2**31)}", "x"])

    assert [key is None for key in keys] == [True, False, True]


async def test_records_are_read_with_their_own_event_times(feast: FeastStore) -> None:
    view = feast_view(feast.set_name)
    values: dict[str, FeatureScalar | None] = {
        "age": 41,
        "amount": 1.5,
        "balance": -2.25,
        "is_new": True,
        "country": "LI",
    }
    feast.put(1, stats=({**values, "city": None}, NOW_MS - 5), other=({"age": 1}, NOW_MS))
    feast.put(2, other=({"age": 1}, NOW_MS))
    feast.put(3, stats=({"age": 7, "unknown to us": [1.0, 2.0]}, NOW_MS))

    found = await feast.server.find(view, "1", "2", "3", "4", "007", None)

    assert found == [
        a_record(view, {**values, "city": None}, event_time_ms=NOW_MS - 5),
        None,
        a_record(view, {"age": 7}),
        None,
        None,
        None,
    ]
    assert feast.server.reader.counts.unusable_values == 0


async def test_values_and_times_that_do_not_fit_are_counted_and_cost_no_other(
    feast: FeastStore,
) -> None:
    view = feast_view(feast.set_name)
    odd = {"age": [1], "amount": {"a": 1.0}, "balance": b"x", "country": 7, "city": "x"}
    feast.put(1, stats=(odd, NOW_MS))
    feast.put(2, stats=({"age": 1}, NOW_MS // 1000))  # seconds, which Feast does not write
    feast.put(3, stats=({"age": 2}, None))
    key = feast_key(feast.server, feast.set_name, 4)
    feast.server.client.put(key, {"features": "text", "event_ts": 5})

    found = await feast.server.find(view, "1", "2", "3", "4")

    assert found == [
        a_record(view, {"city": "x"}, is_lossy=True),
        a_record(view, {"age": 1}, event_time_ms=0, is_lossy=True),
        a_record(view, {"age": 2}, event_time_ms=0, is_lossy=True),
        None,
    ]
    assert feast.server.reader.counts.unusable_values == 4 + 2


async def test_all_layouts_are_read_together_and_features_may_have_other_names(
    feast: FeastStore,
) -> None:
    renamed = feast_view(feast.set_name, features=floats(2), names=(("f0", "trips per day"),))
    packed = a_view(f"{feast.set_name}_packed", entity="driver")
    bins = a_view("b", floats(1), entity="driver", layout=BinsLayout(f"{feast.set_name}_bins", "t"))
    feast.put(1, stats=({"trips per day": 3.0, "f1": 2.0}, NOW_MS))
    records = {
        view: a_record(view, {"f0": 9.0} if view is bins else None) for view in (packed, bins)
    }
    for view, record in records.items():
        feast.server.writer.write(view, [("1", record)], mark=None)

    reads = [ViewRead(view, ["1", "2"]) for view in (bins, renamed, packed)]
    found = await feast.server.reader.read(reads, timeout_s=WAIT_S)

    drivers = a_record(renamed, {"f0": 3.0, "f1": 2.0})
    assert found == [[records[bins], None], [drivers, None], [records[packed], None]]


def test_writes_are_refused_because_feast_writes_the_records(
    server: Server, name: str, tmp_path: Path
) -> None:
    view = feast_view(name)

    with pytest.raises(InvalidInputError, match="layout of stats@1: read 'feast'"):
        server.writer.write(view, [("1", a_record(view))], mark=None)
    with pytest.raises(InvalidInputError, match="layout of stats@1: read 'feast'"):
        WriteThrough(view, server.writer, tmp_path)


ON_FILE = """
views:
  - name: stats
    version: 1
    entity: driver
    key: integer
    layout: feast
    feast: {set: shop_latest, join_key: driver_id, names: {age: driver age}}
    features: [{name: age, dtype: int64}]
"""


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    (tmp_path / "views.yaml").write_text(ON_FILE)
    with running_node() as node:
        client = aerospike.client({"hosts": [("127.0.0.1", node.port)]})
        key = bytearray.fromhex(KEYS_OF_FEAST[0][1])
        bins = {"features": {"stats": {"driver age": 41}}, "event_ts": {"stats": NOW_MS}}
        client.put(("features", "shop_latest", key), bins)
        client.close()
        yield node.url


def test_commands_show_and_delete_a_record_of_feast_and_load_none(url: str, tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("driver,event_time,age\n1001,2026-01-01,3\n")

    def run(*words: str) -> tuple[int, Any]:
        places = ("--views", str(tmp_path / "views.yaml"), "--store", url, "--output", "json")
        result = CliRunner().invoke(app, [*words, *places])
        return result.exit_code, json.loads(result.stdout or "null")

    code, shown = run("get", "1001")
    assert code == exit_codes.OK
    assert shown[0]["event_time"] == "2025-11-24T16:00:00+00:00"
    assert shown[0]["values"] == [{"feature": "age", "value": 41, "status": "present"}]
    assert run("load", str(tmp_path / "rows.csv"))[0] == exit_codes.USAGE
    code, rows = run("delete", "driver", "1001")
    assert (code, rows[0]["deleted"]) == (exit_codes.OK, True)
    assert run("get", "1001")[0] == exit_codes.USAGE


def test_a_view_of_feast_is_declared_with_defaults_and_kept_in_its_digest(tmp_path: Path) -> None:
    (tmp_path / "views.yaml").write_text(ON_FILE)

    (view,) = load_views(tmp_path / "views.yaml")

    names = (("age", "driver age"),)
    assert view.layout == FeastLayout(
        "shop_latest", "stats", "driver_id", FeastKeyType.INT64, names
    )
    assert view_from_canonical_json(view.canonical_json) == view
    other = replace(view, layout=replace(view.layout, join_key="driver"))
    assert view.digest != other.digest


@pytest.mark.parametrize(
    ("old", "new", "field"),
    [
        ("layout: feast", "layout: bins", "feast"),
        (
            "    feast: {set: shop_latest, join_key: driver_id, names: {age: driver age}}\n",
            "",
            "feast",
        ),
        ("set: shop_latest, ", "", "feast.set"),
        ("names: {age: driver age}", "names: {nope: x}", "feast.names.nope"),
        ("names: {age: driver age}", "key_type: string", "feast.key_type"),
    ],
)
def test_a_declaration_that_cannot_act_is_refused(old: str, new: str, field: str) -> None:
    with pytest.raises(InvalidInputError) as refused:
        parse_views(ON_FILE.replace(old, new), where="views.yaml")

    assert f"views[0].{field}" in {fault.field for fault in refused.value.faults}
