"""Records of other tools that the Aerospike client cannot decode: broken lists and maps."""

import pytest

from tests.features.aerospike_node import running_node
from tests.features.aerospike_servers import WAIT_S, patient_options
from tests.features.builders import a_record, a_view, floats
from tests.features.poison import put_bins
from understudy.domain.errors import UnavailableError
from understudy.domain.record_layouts import BinsLayout
from understudy.features.adapters.aerospike_keys import set_of
from understudy.features.adapters.aerospike_store import AerospikeStore
from understudy.features.adapters.aerospike_writer import AerospikeWriter
from understudy.features.ports import UNANSWERED, ViewRead

BROKEN = {
    "a map that ends early": (19, b"\x82\xa2\x03a"),
    "a list that ends early": (20, b"\x93\x01"),
    "a list longer than its record": (20, b"\xdd\xff\xff\xff\xff\x01"),
    "a deep list": (20, b"\x91" * 100_000 + b"\x01"),
}


@pytest.mark.parametrize("broken", BROKEN.values(), ids=list(BROKEN))
@pytest.mark.parametrize("place", [0, 3, 6])
@pytest.mark.parametrize("layout", [BinsLayout("broken", "ts"), None])
async def test_a_record_that_the_client_cannot_decode_is_unanswered_and_costs_no_other(
    broken: tuple[int, bytes], place: int, layout: BinsLayout | None
) -> None:
    view = a_view("broken", floats(2), layout=layout)
    ids = [f"u{number}" for number in range(7)]
    record = a_record(view, {"f0": 1.0, "f1": 2.0})
    with running_node() as node:
        options = patient_options("127.0.0.1", node.port, node.namespace)
        store, writer = AerospikeStore(options), AerospikeWriter(options)
        writer.write(view, [(each, record) for each in ids if each != "u5"], mark=None)
        bins = {"f0": (2, b"\0" * 8), "f1": broken} if layout else {"v": broken}
        put_bins(node.port, node.namespace, set_of(options, view), ids[place], bins)

        reads = [ViewRead(view, ids), ViewRead(view, [ids[place]])]
        together, alone = await store.read(reads, timeout_s=WAIT_S)
        (only,) = await store.read([ViewRead(view, [ids[place]])], timeout_s=WAIT_S)
        await store.close()
        writer.close_now()

    expected = {each: None if each == "u5" else record for each in ids} | {ids[place]: UNANSWERED}
    assert together == list(expected.values())
    assert alone == only == [UNANSWERED]
    assert store.counts.undecodable_records == 3


async def test_a_store_that_fails_for_another_reason_is_not_asked_in_halves() -> None:
    view = a_view("down", floats(1))
    with running_node() as node:
        store = AerospikeStore(patient_options("127.0.0.1", node.port, node.namespace))
        await store.ping(timeout_s=WAIT_S)
        node.faults.row_result_code = 18
        before = node.requests

        with pytest.raises(UnavailableError, match="device overloaded"):
            await store.read([ViewRead(view, [f"u{n}" for n in range(64)])], timeout_s=WAIT_S)

        assert node.requests == before + 1
        await store.close()
