"""What our adapter relies on in Aerospike, held by the test node and by a real server alike.

The real server is the one that UNDERSTUDY_TEST_AEROSPIKE=host:port/namespace names; its namespace
needs `nsup-period` above 0 and the default `max-record-size`.
"""

import asyncio
import math
import os
import re
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import aerospike
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from aerospike import exception as aerospike_errors

from domain.errors import InvalidInputError, UnavailableError
from domain.features import BinsLayout, Feature, FeatureDtype, FeatureScalar, FeatureView
from features.adapters.aerospike_client import LOADS_SET, AerospikeOptions
from features.adapters.aerospike_clock import clock_skew_s
from features.adapters.aerospike_store import AerospikeStore
from features.adapters.aerospike_writer import AerospikeWriter
from features.decisions.record_format import record_format
from features.decisions.row_values import Reject
from features.load_features import SourceFile, load_features
from features.ports import LoadMark, ViewRead
from tests.features.aerospike_node import running_node
from tests.features.builders import MIXED, NOW_MS, NOW_S, a_record, a_view, floats

REAL_SERVER = os.environ.get("UNDERSTUDY_TEST_AEROSPIKE", "")
LONGEST_TTL_S = 10 * 365 * 86_400.0
WAIT_S = 10.0


@dataclass
class Server:
    """A server, our reader and writer on it, and another tool's client."""

    options: AerospikeOptions
    reader: AerospikeStore
    writer: AerospikeWriter
    client: Any

    def key(self, set_name: str, entity_id: str | int) -> tuple[str, str, str | int]:
        return (self.options.namespace, set_name, entity_id)

    async def find(self, view: FeatureView, *ids: str | None) -> list[bytes | None]:
        (records,) = await self.reader.read([ViewRead(view, ids)], timeout_s=WAIT_S)
        return records


@pytest.fixture(params=["node", *(["real"] if REAL_SERVER else [])])
def options(request: pytest.FixtureRequest) -> Iterator[AerospikeOptions]:
    if request.param == "real":
        found = re.fullmatch(r"(.+):(\d+)/(.+)", REAL_SERVER)
        assert found is not None, REAL_SERVER
        yield _patient(found[1], int(found[2]), found[3])
        return
    with running_node() as node:
        yield _patient("127.0.0.1", node.port, node.namespace)


def _patient(host: str, port: int, namespace: str) -> AerospikeOptions:
    """These tests are about what is answered, not when: a busy machine takes its time."""
    return AerospikeOptions(
        ((host, port),), namespace, total_timeout_ms=4000, socket_timeout_ms=2000
    )


@pytest.fixture
async def server(options: AerospikeOptions) -> AsyncIterator[Server]:
    opened = Server(
        options,
        AerospikeStore(options, now_s=lambda: NOW_S),
        AerospikeWriter(options),
        aerospike.client({"hosts": list(options.hosts)}),
    )
    yield opened
    opened.client.close()
    opened.writer.close_now()
    await opened.reader.close()


@pytest.fixture
def name() -> str:
    """A name that no other test has, on a server that all of them may share."""
    return f"v{uuid4().hex[:12]}"


async def test_a_namespace_that_does_not_exist_is_named(options: AerospikeOptions) -> None:
    elsewhere = replace(options, namespace="elsewhere")
    reader, writer = AerospikeStore(elsewhere), AerospikeWriter(elsewhere)
    view = a_view()

    with pytest.raises(UnavailableError, match="namespace does not exist"):
        await reader.ping(timeout_s=WAIT_S)
    with pytest.raises(UnavailableError, match="namespace does not exist"):
        writer.write(view, [("u", a_record(view))], mark=None)

    writer.close_now()
    await reader.close()


async def test_a_record_beyond_the_servers_limit_is_refused_and_the_others_are_written(
    server: Server, name: str
) -> None:
    view = a_view(name, (Feature("text", FeatureDtype.STRING),))
    fits = a_record(view, {"text": "x" * (1024 * 1024 - 1024)})
    too_large = a_record(view, {"text": "x" * (1024 * 1024 + 1)})

    counts = server.writer.write(
        view, [("before", fits), ("big", too_large), ("after", fits)], mark=LoadMark(name, 3)
    )

    assert (counts.written, counts.older) == (2, 0)
    assert [(each.place, each.read) for each in counts.refused] == [(1, "the record of 'big'")]
    assert "max-record-size" in counts.refused[0].accepted
    assert await server.find(view, "before", "big", "after") == [fits, None, fits]
    assert server.writer.read_mark(name) == 3


async def test_a_load_rejects_the_row_whose_record_is_too_large(
    server: Server, name: str, tmp_path: Path
) -> None:
    view = a_view(name, (Feature("text", FeatureDtype.STRING),))
    path = tmp_path / "rows.parquet"
    texts = ["small", "x" * (1024 * 1024 + 1), "small too", None]
    ids = ["a", "big", "b", ""]  # the last one is no id
    pq.write_table(pa.table({"id": ids, "text": texts}), path)
    rejects: list[Reject] = []

    done = load_features(
        SourceFile(path, "id", event_times=1),
        view,
        server.writer,
        on_reject=rejects.append,
        on_progress=lambda _: None,
    )

    assert (done.rows, done.written, done.rejected) == (4, 2, 2)
    assert [(each.row, each.column) for each in rejects] == [(3, "id"), (1, "(record)")]


async def test_the_time_to_live_is_the_views(server: Server, name: str) -> None:
    view = a_view(name, floats(1), ttl_s=100.0)
    longest = a_view(f"{name}_long", floats(1), ttl_s=LONGEST_TTL_S)
    lasting = a_view(f"{name}_ever", floats(1))
    for each in (view, longest, lasting):
        server.writer.write(each, [("u", a_record(each, {"f0": 1.0}))], mark=LoadMark(each.name, 1))

    def ttl_of(set_name: str, key: str) -> int:
        _, meta = server.client.exists(server.key(set_name, key))
        return int(meta["ttl"])

    assert 95 <= ttl_of(f"{name}.1", "u") <= 101
    assert LONGEST_TTL_S - 5 <= ttl_of(f"{name}_long.1", "u") <= LONGEST_TTL_S + 1
    assert ttl_of(f"{name}_ever.1", "u") == aerospike.TTL_NEVER_EXPIRE & 0xFFFFFFFF
    assert ttl_of(LOADS_SET, name) == aerospike.TTL_NEVER_EXPIRE & 0xFFFFFFFF


async def test_a_record_is_gone_when_its_time_to_live_is_over(server: Server, name: str) -> None:
    view = a_view(name, floats(1), ttl_s=1.0)
    server.writer.write(view, [("u", a_record(view, {"f0": 1.0}))], mark=None)
    assert await server.find(view, "u") != [None]

    async with asyncio.timeout(WAIT_S):
        while await server.find(view, "u") != [None]:  # noqa: ASYNC110 - the server tells no event
            await asyncio.sleep(0.05)


async def test_a_record_whose_values_are_all_absent_is_none(server: Server, name: str) -> None:
    # A record of Aerospike has bins; without a bin for the event time this one has nothing left.
    view = a_view(name, floats(2), bins=BinsLayout(name))
    there = a_record(view, {"f0": 1.0})
    server.writer.write(view, [("there", there), ("other", there)], mark=None)

    empty = a_record(view, {})
    counts = server.writer.write(view, [("there", empty), ("new", empty)], mark=None)

    assert (counts.written, counts.older) == (2, 0)
    found = await server.find(view, "there", "new", "other")
    assert found[:2] == [None, None]
    assert found[2] is not None


async def test_an_id_that_the_client_would_cut_short_reads_nobody_elses_record(
    server: Server, name: str
) -> None:
    view = a_view(name)
    server.writer.write(view, [("u", a_record(view)), ("ü", a_record(view))], mark=None)

    # A lone surrogate, which is no UTF-8, would end this process.
    ids = ["u\0x", "u", "u\0", None, "\ud800", "ü"]
    expected = [None, a_record(view), None, None, None, a_record(view)]
    assert await server.find(view, *ids) == expected
    for entity_id in ("u\0x", "\ud800"):
        with pytest.raises(InvalidInputError, match="entity id"):
            server.writer.write(view, [(entity_id, a_record(view))], mark=None)


async def test_a_number_as_key_is_another_record(server: Server, name: str) -> None:
    view = a_view(name, MIXED, bins=BinsLayout(name))
    server.client.put(server.key(name, 77), {"age": 3})
    server.client.put(server.key(name, "78"), {"age": 4})

    found = await server.find(view, "77", "78")

    assert found == [None, a_record(view, {"age": 4}, event_time_ms=NOW_MS)]


async def test_what_other_tools_wrote_is_read_by_bins(server: Server, name: str) -> None:
    view = a_view(name, MIXED, bins=BinsLayout(name, "ts", (("balance", "bal"),)))
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
        a_record(view, {"city": "x"}, event_time_ms=0),
        a_record(view, {}, event_time_ms=NOW_MS),
        a_record(view, {"is_new": True}, event_time_ms=NOW_MS),
    ]
    assert server.reader.counts.unusable_values == 5 + 4


async def test_numbers_only_are_converted_at_once_and_judged_alike(
    server: Server, name: str
) -> None:
    features = (*floats(2), Feature("wide", FeatureDtype.FLOAT64))
    view = a_view(name, features, bins=BinsLayout(name))
    server.client.put(server.key(name, "a"), {"f0": 1.5, "f1": 1e300, "wide": 1e300})
    server.client.put(server.key(name, "b"), {"f0": -math.inf, "f1": 2.0, "wide": math.inf})

    assert await server.find(view, "a", "b") == [
        a_record(view, {"f0": 1.5, "wide": 1e300}, event_time_ms=NOW_MS),
        a_record(view, {"f1": 2.0}, event_time_ms=NOW_MS),
    ]
    assert server.reader.counts.unusable_values == 3


@pytest.mark.parametrize("width", [3, 150])
async def test_bins_that_the_view_does_not_name_are_left_alone(
    server: Server, name: str, width: int
) -> None:
    view = a_view(name, floats(width), bins=BinsLayout(name))
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


async def test_a_bin_that_is_no_record_is_of_no_definition(server: Server, name: str) -> None:
    view = a_view(name)
    server.client.put(server.key(f"{name}.1", "u"), {"v": "text"})

    (record,) = await server.find(view, "u")

    assert record
    assert not record.startswith(record_format(view).digest)


def test_writes_of_others_under_a_condition_are_refused_when_it_does_not_hold(
    server: Server, name: str
) -> None:
    key = server.key(name, "u")
    server.client.put(key, {"a": 1})
    only_first = {"gen": aerospike.POLICY_GEN_EQ}
    server.client.put(key, {"a": 2}, meta={"gen": 1}, policy=only_first)

    with pytest.raises(aerospike_errors.RecordGenerationError):
        server.client.put(key, {"a": 3}, meta={"gen": 1}, policy=only_first)
    with pytest.raises(aerospike_errors.RecordExistsError):
        server.client.put(key, {"a": 3}, policy={"exists": aerospike.POLICY_EXISTS_CREATE})

    _, meta, bins = server.client.get(key)
    assert (meta["gen"], bins) == (2, {"a": 2})


def test_the_clock_of_a_server_on_this_machine_is_ours(options: AerospikeOptions) -> None:
    assert clock_skew_s(options) in {-1.0, 0.0, 1.0}
