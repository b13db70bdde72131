"""The gate counts the bytes of requests too: few rows may hold much memory."""

import pytest

from router.admission.gate import Gate
from router.decisions.priority import Priority
from router.decisions.row_limit import RowLimitPolicy
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
    full.leave(1, 1_000)

    full.enter(1, Priority.LIVE, 1_000)

    assert full.outstanding_bytes == 1_000


def test_a_request_larger_than_the_limit_may_enter_an_empty_router() -> None:
    empty = gate(most_bytes=10)

    empty.enter(1, Priority.LIVE, 1_000)

    assert empty.outstanding_rows == 1
