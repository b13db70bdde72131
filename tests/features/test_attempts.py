"""The limits on a read of Aerospike, derived from the router's limit, the budget and the replicas."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.decisions.budget import fetch_timeout_s
from tests.features.aerospike_node import AerospikeNode, running_node
from tests.stack.waiting import until
from understudy.features.adapters.aerospike_client import AerospikeOptions
from understudy.features.adapters.aerospike_replicas import ASSUMED_COPIES, copies_in
from understudy.features.adapters.aerospike_store import AerospikeStore
from understudy.features.decisions.attempts import Attempts, plan_attempts

SECONDS = st.floats(0.001, 0.2) | st.floats(0.2, 3600)  # most limits are short
REPLICAS = st.integers(1, 8)
MOST = st.integers(1, 11)
SLOW_MS = 20  # such a store is slow, and not away


def planned(*, limit_s: float, left_s: float, replicas: int, most: int = 3) -> Attempts:
    timeout_s = fetch_timeout_s(slow_s=limit_s, left_s=left_s)
    return plan_attempts(timeout_s, replicas=replicas, most=most)


@given(limit_s=SECONDS, left_s=SECONDS, replicas=REPLICAS, most=MOST)
def test_a_read_never_takes_longer_than_the_limit_or_the_budget(
    limit_s: float, left_s: float, replicas: int, most: int
) -> None:
    attempts = planned(limit_s=limit_s, left_s=left_s, replicas=replicas, most=most)

    assert attempts.total_ms <= max(2, 1000 * limit_s, 1000 * left_s)
    assert attempts.total_ms <= max(2, 1000 * min(limit_s, left_s))
    assert 1 <= attempts.each_ms <= attempts.total_ms


@given(limit_s=SECONDS, left_s=SECONDS, replicas=REPLICAS, most=MOST)
def test_a_slow_store_is_answered_whenever_there_is_time_for_one_answer(
    limit_s: float, left_s: float, replicas: int, most: int
) -> None:
    attempts = planned(limit_s=limit_s, left_s=left_s, replicas=replicas, most=most)

    assert attempts.each_ms > SLOW_MS or attempts.each_ms == attempts.total_ms


@given(limit_s=SECONDS, left_s=SECONDS, replicas=st.integers(2, 8), most=st.integers(2, 11))
def test_a_hung_replica_leaves_time_for_another_whenever_there_is_time_for_two(
    limit_s: float, left_s: float, replicas: int, most: int
) -> None:
    attempts = planned(limit_s=limit_s, left_s=left_s, replicas=replicas, most=most)

    if attempts.total_ms >= 2 * (SLOW_MS + 2):
        assert attempts.total_ms >= 2 * attempts.each_ms


@given(limit_s=SECONDS, left_s=SECONDS, most=MOST)
def test_a_single_copy_has_all_the_time(limit_s: float, left_s: float, most: int) -> None:
    attempts = planned(limit_s=limit_s, left_s=left_s, replicas=1, most=most)

    assert attempts.each_ms == attempts.total_ms


@pytest.mark.parametrize(
    ("left_s", "replicas", "expected"),
    [
        (0.09, 1, Attempts(44, 44)),  # a caller without a deadline
        (0.09, 2, Attempts(44, 22)),
        (0.09, 3, Attempts(44, 22)),
        (10.0, 2, Attempts(49, 24)),
        (0.02, 2, Attempts(9, 9)),
    ],
)
def test_the_limits_with_the_default_trip_of_50_ms(
    left_s: float, replicas: int, expected: Attempts
) -> None:
    assert planned(limit_s=0.05, left_s=left_s, replicas=replicas) == expected


@pytest.mark.parametrize(
    ("answer", "copies"),
    [
        ("replicas\tother:0,3,AA==;features:12,2,AA==,AA==\n", 2),
        ("replicas\tfeatures:0,1,AA==;", 1),
        ("replicas\tfeatures:0,0,", 1),
        ("replicas\tother:0,3,AA==\n", None),
        ("replicas\tfeatures\n", None),
        ("replicas\tfeatures:0\n", None),
        ("replicas\tERROR::no\n", None),
        ("", None),
    ],
)
def test_the_number_of_copies_is_read_from_the_answer_of_a_server(
    answer: str, copies: int | None
) -> None:
    assert copies_in(answer, "features") == copies


@pytest.mark.parametrize("copies", [1, 3])
async def test_the_store_follows_the_number_of_copies(copies: int) -> None:
    with running_node() as node:
        node.copies = copies
        store = _store(node)
        try:

            async def is_known() -> bool:
                return store.copies == copies

            await until(is_known)
        finally:
            await store.close()


async def test_without_a_server_two_copies_are_assumed() -> None:
    node = AerospikeNode(port=1)
    store = _store(node)

    assert store.copies == ASSUMED_COPIES
    await store.close()


def _store(node: AerospikeNode) -> AerospikeStore:
    return AerospikeStore(AerospikeOptions((("127.0.0.1", node.port),), node.namespace))
