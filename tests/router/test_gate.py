"""The gate counts the bytes of requests too: few rows may hold much memory."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.admission.gate import Gate
from router.decisions.priority import Priority
from router.decisions.row_limit import RowLimit, RowLimitPolicy, seen_rows
from understudy.domain.errors import OverloadedError

POLICY = RowLimitPolicy(least_rows=10, most_rows=1_000, wanted_queue_s=0.1)


def gate(most_bytes: int = 1_000) -> Gate:
    return Gate(POLICY, lambda: 0.0, most_bytes=most_bytes)


@pytest.mark.parametrize("priority", Priority)
def test_bytes_beyond_the_limit_are_refused_with_the_time_of_a_retry(priority: Priority) -> None:
    full = gate()
    full.enter(1, priority, 600)

    with pytest.raises(OverloadedError) as refused:
        full.enter(1, priority, 401)

    assert refused.value.retry_after_ms > 0
    assert (full.outstanding_rows, full.outstanding_bytes) == (1, 600)


def test_bytes_that_leave_make_room() -> None:
    full = gate()
    full.enter(1, Priority.LIVE, 1_000)
    full.leave(1, Priority.LIVE, 1_000)

    full.enter(1, Priority.LIVE, 1_000)

    assert full.outstanding_bytes == 1_000


def test_a_request_larger_than_the_limit_may_enter_an_empty_router() -> None:
    empty = gate(most_bytes=10)

    empty.enter(1, Priority.LIVE, 1_000)

    assert empty.outstanding_rows == 1


def test_a_large_batch_leaves_room_for_calls_of_higher_priority() -> None:
    busy = gate(most_bytes=1 << 30)
    busy.enter(10_000, Priority.BATCH)

    for _ in range(250):  # the rest of 1,000 rows beside its share
        busy.enter(1, Priority.LIVE)

    for priority in Priority:
        with pytest.raises(OverloadedError):
            busy.enter(1, priority)


@given(st.lists(st.integers(0, 2_000), min_size=3, max_size=3), st.sampled_from(Priority))
def test_rows_of_lower_priority_count_up_to_their_share(
    rows: list[int], priority: Priority
) -> None:
    thresholds = RowLimit(POLICY, 1_000.0).thresholds()
    seen = seen_rows(rows, thresholds, priority)
    own_and_higher = sum(rows[: priority + 1])
    lower = sum(rows[priority + 1 :])

    assert own_and_higher <= seen <= own_and_higher + lower
    assert seen - own_and_higher <= max(
        (thresholds[each] for each in range(priority + 1, 3)), default=0
    )
    if all(sum(rows[each:]) <= thresholds[each] for each in Priority):
        assert seen == sum(rows)
