"""Records of one bin per feature, as other tools write them to a node and to a real server."""

import math
from typing import Any

import pytest

from tests.features.aerospike_node import running_node
from tests.features.aerospike_servers import WAIT_S, Server, patient_options
from tests.features.builders import MIXED, NOW_MS, NOW_S, a_record, a_view, floats
from understudy.domain.features import Feature, FeatureDtype, FeatureScalar
from understudy.domain.record_layouts import BinsLayout, TimeUnit
from understudy.features.adapters.aerospike_store import AerospikeStore
from understudy.features.ports import LoadMark, ViewRead


async def test_a_later_record_without_values_removes_those_that_are_there(
    server: Server, name: str
) -> None:
    view = a_view(name, floats(2), layout=BinsLayout(name))
    there = a_record(view, {"f0": 1.0})
    server.writer.write(view, [("there", there), ("other", there)], mark=None)

    empty = a_record(view, {}, event_time_ms=NOW_MS + 1)
    counts = server.writer.write(view, [("there", empty), ("new", empty)], mark=None)

    assert (counts.written, counts.older) == (2, 0)
    found = await server.find(view, "there", "new", "other")
    blank = a_record(view, {})  # without a bin for it, the event time is that of the reading
    assert found == [blank, blank, there]


async def test_a_number_as_key_is_another_record(server: Server, name: str) -> None:
    view = a_view(name, MIXED, layout=BinsLayout(name))
    server.client.put(server.key(name, 77), {"age": 3})
    server.client.put(server.key(name, "78"), {"age": 4})

    found = await server.find(view, "77", "78")

    assert found == [None, a_record(view, {"age": 4}, event_time_ms=NOW_MS)]


async def test_records_of_other_tools_are_read_by_bins(server: Server, name: str) -> None:
    view = a_view(name, MIXED, layout=BinsLayout(name, "ts", (("balance", "bal"),)))
    good = {"age": 3, "amount": 2, "bal": 0.25, "is_new": 1, "country": "LI", "ts": NOW_S - 5}
    odd = {
        "age": 1.5,
        "amount": "12",
        "bal": math.inf,
        "is_new": 2,
        "country": 7,
        "city": "x",
        "ts": "yesterday",
    }
    stranger = {"age": [1], "amount": {"a": 1}, "bal": b"x", "is_new": True, "city": b"y"}
    server.client.put(server.key(name, "good"), good)
    server.client.put(server.key(name, "odd"), odd)
    server.client.put(server.key(name, "nan"), {"amount": math.nan, "other": [1, 2]})
    server.client.put(server.key(name, "stranger"), {**stranger, "ts": NOW_MS})

    records = await server.find(view, "good", "nobody", "odd", "nan", "stranger")

    values: dict[str, FeatureScalar | None] = {
        "age": 3,
        "amount": 2.0,
        "balance": 0.25,
        "is_new": True,
        "country": "LI",
    }
    assert records == [
        a_record(view, values, event_time_ms=NOW_MS - 5000),
        None,
        a_record(view, {"city": "x"}, event_time_ms=0, is_lossy=True),
        a_record(view, {}, event_time_ms=NOW_MS),
        a_record(view, {"is_new": True}, event_time_ms=NOW_MS, is_lossy=True),
    ]
    assert server.reader.counts.unusable_values == 6 + 4


ODD: dict[str, Any] = {  # values that another tool may write, by name
    "list": [1.0, 2.0],
    "map": {"a": 1},
    "bytes": b"1.0",
    "text": "1.0",
    "flag": True,
    "whole number": 3,
    "fraction": 2.5,
    "huge whole number": 2**63 - 1,
    "huge float": 1e300,
    "infinity": -math.inf,
    "NaN": math.nan,
}
FITS = {
    "age": {"whole number", "huge whole number"},
    "amount": {"whole number", "fraction", "huge whole number"},
    "balance": {"whole number", "fraction", "huge whole number", "huge float"},
    "is_new": {"flag"},
    "city": {"text"},
}


@pytest.mark.parametrize("feature", FITS)
@pytest.mark.parametrize("odd", ODD)
async def test_each_bin_is_checked_separately(
    server: Server, name: str, feature: str, odd: str
) -> None:
    view = a_view(name, MIXED, layout=BinsLayout(name))
    good: dict[str, Any] = {
        "age": 3,
        "amount": 0.5,
        "balance": 0.25,
        "is_new": True,
        "country": "LI",
        "city": "Z",
    }
    server.client.put(server.key(name, "odd"), {**good, feature: ODD[odd]})
    server.client.put(server.key(name, "good"), good)

    (alone,) = await server.find(view, "odd")
    beside = await server.find(view, "good", "odd", "good")

    fits = odd in FITS[feature]
    is_lossy = not fits and odd != "NaN"
    given = {**good, feature: ODD[odd] if fits else None}
    expected = a_record(view, given, is_lossy=is_lossy)
    assert alone == expected
    assert beside == [a_record(view, good), expected, a_record(view, good)]
    assert server.reader.counts.unusable_values == (2 if is_lossy else 0)


@pytest.mark.parametrize(
    ("given", "event_time_ms"),
    [
        (NOW_MS, NOW_MS),
        (NOW_S, NOW_MS),
        (100_000_000_000, 100_000_000_000),
        (99_999_999_999, None),
        *((each, None) for each in (0, -1.5, int(NOW_S), NOW_MS * 1000, float(NOW_MS), 1.7e308)),
        *((each, None) for each in ([NOW_MS], {"ms": NOW_MS}, b"x", str(NOW_MS), True)),
        *((each, None) for each in (1.7e18, math.nan, -math.inf, NOW_MS * 10**6, -(2**63))),
    ],
    ids=str,
)
async def test_an_unreadable_event_time_counts_as_the_oldest(
    server: Server, name: str, given: Any, event_time_ms: int | None
) -> None:
    view = a_view(name, floats(1), layout=BinsLayout(name, "ts"))
    server.client.put(server.key(name, "odd"), {"f0": 1.0, "ts": given})
    server.client.put(server.key(name, "good"), {"f0": 2.0, "ts": NOW_MS})
    is_lossy = event_time_ms is None

    assert await server.find(view, "odd", "good") == [
        a_record(view, {"f0": 1.0}, event_time_ms=event_time_ms or 0, is_lossy=is_lossy),
        a_record(view, {"f0": 2.0}, event_time_ms=NOW_MS),
    ]
    assert server.reader.counts.unusable_values == (1 if is_lossy else 0)


@pytest.mark.parametrize("unit", TimeUnit)
async def test_an_event_time_is_read_and_loaded_in_the_declared_unit(
    server: Server, name: str, unit: TimeUnit
) -> None:
    per_s = {TimeUnit.S: 1, TimeUnit.MS: 10**3, TimeUnit.US: 10**6, TimeUnit.NS: 10**9}[unit]
    view = a_view(name, floats(1), layout=BinsLayout(name, "ts", event_time_unit=unit))
    server.client.put(server.key(name, "u"), {"f0": 1.0, "ts": int(NOW_S) * per_s})
    for other in set(TimeUnit) - {unit}:
        wrong = int(NOW_S) * {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}[other]
        server.client.put(server.key(name, other.value), {"f0": 1.0, "ts": wrong})
    later = a_record(view, {"f0": 2.0}, event_time_ms=NOW_MS + 1000)

    found = await server.find(view, "u", *set(TimeUnit) - {unit})
    written = server.writer.write(view, [("u", later)], mark=None)
    again = server.writer.write(view, [("u", a_record(view, {"f0": 3.0}))], mark=None)

    assert found[0] == a_record(view, {"f0": 1.0}, event_time_ms=NOW_MS)
    assert found[1:] == [a_record(view, {"f0": 1.0}, event_time_ms=0, is_lossy=True)] * 3
    assert server.reader.counts.unusable_values == 3
    assert (written.written, again.older) == (1, 1)
    assert await server.find(view, "u") == [later]
    assert server.client.get(server.key(name, "u"))[2]["ts"] == (int(NOW_S) + 1) * per_s


async def test_a_time_that_the_bin_cannot_hold_is_refused(server: Server, name: str) -> None:
    layout = BinsLayout(name, "ts", event_time_unit=TimeUnit.S)
    view = a_view(name, floats(1), layout=layout)
    times_ms = {"whole": NOW_MS, "finer": NOW_MS + 1, "old": 1000}
    records = [
        (each, a_record(view, {"f0": 1.0}, event_time_ms=times_ms[each])) for each in times_ms
    ]

    counts = server.writer.write(view, records, mark=LoadMark(name, 3))

    assert (counts.written, counts.older) == (1, 0)
    assert [(each.place, each.read) for each in counts.refused] == [
        (1, f"event time {NOW_MS + 1} ms of 'finer'"),
        (2, "event time 1000 ms of 'old'"),
    ]
    assert "in whole seconds" in counts.refused[0].accepted
    assert await server.find(view, *times_ms) == [records[0][1], None, None]
    assert server.writer.read_mark(name) == 0


async def test_columns_of_numbers_are_converted_at_once_and_checked_alike(
    server: Server, name: str
) -> None:
    features = (*floats(2), Feature("wide", FeatureDtype.FLOAT64))
    view = a_view(name, features, layout=BinsLayout(name))
    server.client.put(server.key(name, "a"), {"f0": 1.5, "f1": 1e300, "wide": 1e300})
    server.client.put(server.key(name, "b"), {"f0": -math.inf, "f1": 2.0, "wide": math.inf})

    assert await server.find(view, "a", "b") == [
        a_record(view, {"f0": 1.5, "wide": 1e300}, event_time_ms=NOW_MS, is_lossy=True),
        a_record(view, {"f1": 2.0}, event_time_ms=NOW_MS, is_lossy=True),
    ]
    assert server.reader.counts.unusable_values == 3


@pytest.mark.parametrize("width", [3, 150])
async def test_bins_that_the_view_does_not_name_are_left_alone(
    server: Server, name: str, width: int
) -> None:
    view = a_view(name, floats(width), layout=BinsLayout(name))
    values: dict[str, FeatureScalar | None] = {f"f{number}": number / 2 for number in range(width)}
    strangers = {"more": 1.0, "text": "x", "list": [1, 2], "map": {"a": 1}, "blob": b"x"}
    server.client.put(server.key(name, "u"), {**strangers, **values})
    server.client.put(server.key(name, "none_of_ours"), strangers)

    found = await server.find(view, "u", "none_of_ours", "nobody")

    assert found == [
        a_record(view, values, event_time_ms=NOW_MS),
        a_record(view, {}, event_time_ms=NOW_MS),
        None,
    ]
    assert server.reader.counts.unusable_values == 0


@pytest.mark.parametrize("width", [2, 100])
async def test_views_of_both_layouts_are_read_together_and_kept_apart(
    server: Server, name: str, width: int
) -> None:
    packed = a_view(f"{name}_packed")
    small = a_view(f"{name}_small", (Feature("v", FeatureDtype.FLOAT32),), layout=BinsLayout(name))
    wide = a_view(f"{name}_wide", floats(width), layout=BinsLayout(f"{name}_wide", "t"))
    wide_record = a_record(wide, {"f0": 3.0})
    server.writer.write(packed, [("u", a_record(packed))], mark=None)
    server.client.put(server.key(name, "u"), {"v": 2.0, "f0": 9.0})
    server.writer.write(wide, [("u", wide_record)], mark=None)

    reads = [ViewRead(view, ["u", "nobody", None]) for view in (wide, packed, small)]
    found = await server.reader.read(reads, timeout_s=WAIT_S)

    small_record = a_record(small, {"v": 2.0})
    records = (wide_record, a_record(packed), small_record)
    assert found == [[record, None, None] for record in records]


async def test_views_of_both_layouts_cost_one_request() -> None:
    with running_node() as node:
        store = AerospikeStore(patient_options("127.0.0.1", node.port, node.namespace))
        layouts = [None, BinsLayout("one"), BinsLayout("two", "ts")]
        views = [a_view(f"v{place}", layout=bins) for place, bins in enumerate(layouts)]
        await store.ping(timeout_s=WAIT_S)
        before = node.requests

        await store.read([ViewRead(view, ["u", "w"]) for view in views], timeout_s=WAIT_S)

        assert node.requests == before + 1
        await store.close()
