"""The behaviour of Aerospike that our adapter relies on, in the test node and in a real server."""

import asyncio
from dataclasses import replace
from pathlib import Path

import aerospike
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from aerospike import exception as aerospike_errors

from tests.features.aerospike_servers import WAIT_S, Server
from tests.features.builders import a_record, a_view, floats
from understudy.domain.errors import InvalidInputError, UnavailableError
from understudy.domain.features import Feature, FeatureDtype
from understudy.features.adapters.aerospike_client import LOADS_SET, AerospikeOptions
from understudy.features.adapters.aerospike_clock import clock_skew_s
from understudy.features.adapters.aerospike_store import AerospikeStore
from understudy.features.adapters.aerospike_writer import AerospikeWriter
from understudy.features.decisions.record_format import record_format
from understudy.features.decisions.row_values import Reject
from understudy.features.loading.load_features import SourceFile, load_features
from understudy.features.ports import UNANSWERED, LoadMark, ViewRead

LONGEST_TTL_S = 10 * 365 * 86_400.0


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


async def test_a_view_in_a_namespace_that_does_not_exist_costs_no_other_view(
    server: Server, name: str
) -> None:
    view = a_view(name)
    lost = replace(a_view(f"{name}_lost"), namespace="elsewhere")
    server.writer.write(view, [("u", a_record(view))], mark=None)

    reads = [ViewRead(lost, ["u"]), ViewRead(view, ["u"])]
    found = await server.reader.read(reads, timeout_s=WAIT_S)

    assert found == [[UNANSWERED], [a_record(view)]]
    with pytest.raises(UnavailableError, match="namespace does not exist"):
        server.writer.write(lost, [("u", a_record(lost))], mark=None)


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
    assert server.writer.read_mark(name) == 0  # a repeated load must report the refused record


async def test_each_run_of_a_load_rejects_the_row_whose_record_is_too_large(
    server: Server, name: str, tmp_path: Path
) -> None:
    view = a_view(name, (Feature("text", FeatureDtype.STRING),))
    path = tmp_path / "rows.parquet"
    texts = ["small", "x" * (1024 * 1024 + 1), "small too", None]
    ids = ["a", "big", "b", ""]  # the last one is not a valid id
    pq.write_table(pa.table({"id": ids, "text": texts}), path)
    for written in (2, 0):
        rejects: list[Reject] = []
        done = load_features(
            SourceFile(path, "id", event_times=1),
            view,
            server.writer,
            chunk_rows=2,
            on_reject=rejects.append,
            on_progress=lambda _: None,
        )

        assert (done.rows, done.written, done.rejected) == (4, written, 2)
        assert {(each.row, each.column) for each in rejects} == {(3, "id"), (1, "(record)")}


async def test_the_time_to_live_comes_from_the_view(server: Server, name: str) -> None:
    view = a_view(name, floats(1), ttl_s=10_000.0)
    longest = a_view(f"{name}_long", floats(1), ttl_s=LONGEST_TTL_S)
    lasting = a_view(f"{name}_ever", floats(1))
    for each in (view, longest, lasting):
        server.writer.write(each, [("u", a_record(each, {"f0": 1.0}))], mark=LoadMark(each.name, 1))

    def ttl_of(set_name: str, key: str) -> int:
        _, meta = server.client.exists(server.key(set_name, key))
        return int(meta["ttl"])

    assert 9_900 <= ttl_of(f"{name}.1", "u") <= 10_001
    assert LONGEST_TTL_S - 100 <= ttl_of(f"{name}_long.1", "u") <= LONGEST_TTL_S + 1
    assert ttl_of(f"{name}_ever.1", "u") == aerospike.TTL_NEVER_EXPIRE & 0xFFFFFFFF
    assert ttl_of(LOADS_SET, name) == aerospike.TTL_NEVER_EXPIRE & 0xFFFFFFFF


async def test_a_record_expires_after_its_time_to_live(server: Server, name: str) -> None:
    view, lasting = a_view(name, floats(1), ttl_s=1.0), a_view(f"{name}_ever", floats(1))
    for each in (view, lasting):
        written = server.writer.write(each, [("u", a_record(each, {"f0": 1.0}))], mark=None)
        assert written.written == 1

    async with asyncio.timeout(WAIT_S):
        while await server.find(view, "u") != [None]:  # noqa: ASYNC110 - the server sends no event
            await asyncio.sleep(0.05)
    assert await server.find(lasting, "u") != [None]


async def test_an_id_that_the_client_would_truncate_reads_no_other_record(
    server: Server, name: str
) -> None:
    view = a_view(name)
    server.writer.write(view, [("u", a_record(view)), ("ü", a_record(view))], mark=None)

    # A lone surrogate, which is not valid UTF-8, would crash this process.
    ids = ["u\0x", "u", "u\0", None, "\ud800", "ü"]
    expected = [None, a_record(view), None, None, None, a_record(view)]
    assert await server.find(view, *ids) == expected
    for entity_id in ("u\0x", "\ud800"):
        with pytest.raises(InvalidInputError, match="entity id"):
            server.writer.write(view, [(entity_id, a_record(view))], mark=None)


async def test_a_bin_that_is_not_a_record_matches_no_definition(server: Server, name: str) -> None:
    view = a_view(name)
    server.client.put(server.key(f"{name}.1", "u"), {"v": "text"})

    (record,) = await server.find(view, "u")

    assert record
    assert not record.startswith(record_format(view).digest)


def test_conditional_writes_of_other_clients_are_refused_if_the_condition_fails(
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


def test_a_server_on_this_machine_has_no_clock_skew(options: AerospikeOptions) -> None:
    assert clock_skew_s(options) in {-1.0, 0.0, 1.0}
