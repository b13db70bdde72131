"""The real Aerospike client against a node that misbehaves."""

import asyncio
import os
from collections.abc import AsyncIterator, Iterator

import pytest

from tests.features.aerospike_node import AerospikeNode, Faults, running_node
from tests.features.builders import MIXED, NOW_S, a_record, a_view, floats
from tests.stack.waiting import until
from tests.virtual_time import skip, turns
from understudy.domain.errors import UnavailableError
from understudy.features.adapters.aerospike_client import AerospikeOptions
from understudy.features.adapters.aerospike_clock import clock_skew_s
from understudy.features.adapters.aerospike_store import AerospikeStore
from understudy.features.adapters.aerospike_writer import AerospikeWriter
from understudy.features.ports import UNANSWERED, ViewRead

BUDGET_S = 0.05
PATIENT_S = 60.0
VIEW = a_view("user", MIXED)
pytestmark = pytest.mark.fault


@pytest.fixture
def node() -> Iterator[AerospikeNode]:
    with running_node() as started:
        yield started


def options_for(node: AerospikeNode, *, namespace: str = "features") -> AerospikeOptions:
    return AerospikeOptions((("127.0.0.1", node.port),), namespace)


@pytest.fixture
async def store(node: AerospikeNode) -> AsyncIterator[AerospikeStore]:
    opened = AerospikeStore(options_for(node), now_s=lambda: NOW_S)
    yield opened
    node.resume()
    await opened.close()


@pytest.fixture
async def patient(node: AerospikeNode) -> AsyncIterator[AerospikeStore]:
    """Yield a store for reads with long limits, in tests about answers and not about speed."""
    opened = AerospikeStore(options_for(node), now_s=lambda: NOW_S)
    yield opened
    node.resume()
    await opened.close()


@pytest.fixture
def loaded(node: AerospikeNode) -> list[str]:
    """Return the ids of three entities whose records are in the node."""
    writer = AerospikeWriter(options_for(node))
    ids = ["u0", "u1", "u2"]
    writer.write(VIEW, [(each, a_record(VIEW)) for each in ids], mark=None)
    writer.close_now()
    return ids


async def _find(
    store: AerospikeStore, ids: list[str], *, timeout_s: float = BUDGET_S
) -> list[bytes | None]:
    (records,) = await store.read([ViewRead(VIEW, ids)], timeout_s=timeout_s)
    return records


async def _answers(store: AerospikeStore, ids: list[str]) -> None:
    """Return when a read succeeds again."""

    async def succeeds() -> bool:
        try:
            await _find(store, ids)
        except UnavailableError:
            return False
        return True

    await until(succeeds)


@pytest.mark.stopped_clock
async def test_a_hung_node_costs_no_more_than_the_budget(
    node: AerospikeNode, patient: AerospikeStore, loaded: list[str]
) -> None:
    node.hang()
    read = asyncio.ensure_future(_find(patient, loaded, timeout_s=PATIENT_S))
    await turns()

    skip(PATIENT_S - 0.001)
    await turns()
    assert not read.done()
    skip(0.002)
    with pytest.raises(UnavailableError, match="no answer within 60000 ms"):
        await read


async def test_a_hung_node_is_used_again_when_it_answers(
    node: AerospikeNode, store: AerospikeStore, loaded: list[str]
) -> None:
    await _answers(store, loaded)
    node.hang()

    with pytest.raises(UnavailableError):
        await _find(store, loaded)

    node.resume()
    await _answers(store, loaded)


async def test_while_a_node_hangs_reads_do_not_pile_up(
    node: AerospikeNode, store: AerospikeStore, loaded: list[str]
) -> None:
    node.hang()

    async def attempt() -> bool:
        try:
            await _find(store, loaded)
        except UnavailableError:
            return True
        return False

    async with asyncio.timeout(PATIENT_S):
        assert all(await asyncio.gather(*[attempt() for _ in range(40)]))

    node.resume()
    await _answers(store, loaded)


async def test_a_slow_node_is_unavailable_and_then_recovers(
    node: AerospikeNode, store: AerospikeStore, loaded: list[str]
) -> None:
    node.faults = Faults(delay_s=1.0)
    with pytest.raises(UnavailableError):
        await _find(store, loaded)

    node.faults = Faults()
    await _answers(store, loaded)


async def test_dropped_connections_are_unavailable_and_then_recover(
    node: AerospikeNode, store: AerospikeStore, loaded: list[str]
) -> None:
    node.faults = Faults(drop=True)
    with pytest.raises(UnavailableError):
        await _find(store, loaded)

    node.faults = Faults()
    await _answers(store, loaded)


async def test_a_killed_node_is_found_again_after_its_restart(
    node: AerospikeNode, store: AerospikeStore, loaded: list[str]
) -> None:
    node.stop()
    for _ in range(20):
        with pytest.raises(UnavailableError):
            await _find(store, loaded)

    node.start()
    await _answers(store, loaded)


async def test_a_store_opens_without_a_server_and_finds_it_later(node: AerospikeNode) -> None:
    node.stop()
    store = AerospikeStore(options_for(node))
    try:
        with pytest.raises(UnavailableError):
            await store.ping(timeout_s=BUDGET_S)

        node.start()
        await _answers(store, ["u"])
        await store.ping(timeout_s=PATIENT_S)
    finally:
        await store.close()


async def test_a_node_is_found_once_it_has_joined_its_cluster(
    node: AerospikeNode, store: AerospikeStore, loaded: list[str]
) -> None:
    # A server 8.1 behaves like this for about two seconds after its port is open.
    await _answers(store, loaded)
    node.is_forming = True
    newcomer = AerospikeStore(options_for(node))
    try:
        for each in (store, newcomer):
            with pytest.raises(UnavailableError):
                await _find(each, loaded)
            with pytest.raises(UnavailableError):  # its port is open, but it is not ready
                await each.ping(timeout_s=PATIENT_S)
        with pytest.raises(UnavailableError, match="no node that has joined its cluster"):
            AerospikeWriter(options_for(node))

        node.is_forming = False
        for each in (store, newcomer):
            await _answers(each, loaded)
            await each.ping(timeout_s=PATIENT_S)
    finally:
        await newcomer.close()


async def test_the_rows_that_were_answered_stay_usable(
    node: AerospikeNode, patient: AerospikeStore, loaded: list[str]
) -> None:
    node.faults = Faults(answer_rows=2)

    assert await _find(patient, loaded, timeout_s=PATIENT_S) == [
        a_record(VIEW),
        a_record(VIEW),
        UNANSWERED,
    ]
    assert patient.counters() == {
        "unanswered_keys": 1,
        "undecodable_records": 0,
        "unusable_values": 0,
    }


@pytest.mark.parametrize(
    ("faults", "why"),
    [
        (Faults(row_result_code=18), "device overloaded"),
        (Faults(row_result_code=14), "record busy"),
        (Faults(result_code=11), "cluster is forming"),
        (Faults(result_code=22), "forbidden"),
        (Faults(answer_rows=0), "no response"),
    ],
)
async def test_a_batch_without_any_answer_is_unavailable(
    node: AerospikeNode, patient: AerospikeStore, loaded: list[str], faults: Faults, why: str
) -> None:
    node.faults = faults

    with pytest.raises(UnavailableError, match=why):
        await _find(patient, loaded, timeout_s=PATIENT_S)


async def test_a_client_opened_in_another_process_is_not_used(
    store: AerospikeStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    # After a fork both processes would read each other's answers from shared sockets.
    pid = os.getpid()
    monkeypatch.setattr(os, "getpid", lambda: pid + 1)

    with pytest.raises(UnavailableError, match="another process"):
        await _find(store, ["u0"])
    monkeypatch.undo()


def test_a_time_to_live_that_the_namespace_forbids_is_reported(node: AerospikeNode) -> None:
    node.lets_expire = False
    view = a_view("brief", floats(1), ttl_s=100.0)
    writer = AerospikeWriter(options_for(node))

    with pytest.raises(UnavailableError, match="needs nsup-period above 0"):
        writer.write(view, [("u", a_record(view, {"f0": 1.0}))], mark=None)
    writer.close_now()
    assert clock_skew_s(options_for(node)) is None


def test_a_writer_without_a_server_reports_the_cause(node: AerospikeNode) -> None:
    node.stop()

    with pytest.raises(UnavailableError, match="no connection"):
        AerospikeWriter(options_for(node))
