"""The mirror's ledger."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from understudy.logs.ledger import MirrorLedger

COUNTS = st.integers(0, 10**9)
ENDS = (
    "sampled_out",
    "dropped_queue_full",
    "dropped_expired",
    "dropped_not_ready",
    "dropped_defaulted",
    "dropped_at_stop",
    "ok",
    "error",
    "timeout",
)


@given(ends=st.lists(COUNTS, min_size=len(ENDS), max_size=len(ENDS)), in_flight=COUNTS)
def test_a_ledger_balances_if_and_only_if_every_offered_row_is_accounted_for(
    ends: list[int], in_flight: int
) -> None:
    counts = dict(zip(ENDS, ends, strict=True))
    ledger = MirrorLedger(offered=sum(ends) + in_flight, **counts)

    assert ledger.balances(in_flight)
    assert ledger.balances() == (in_flight == 0)
    assert not ledger.balances(in_flight + 1)
    assert ledger.sent == counts["ok"] + counts["error"] + counts["timeout"]


@given(
    first=st.lists(COUNTS, min_size=1 + len(ENDS), max_size=1 + len(ENDS)),
    second=st.lists(COUNTS, min_size=1 + len(ENDS), max_size=1 + len(ENDS)),
)
def test_the_sum_of_ledgers_sums_every_count(first: list[int], second: list[int]) -> None:
    names = ("offered", *ENDS)
    total = MirrorLedger(**dict(zip(names, first, strict=True))) + MirrorLedger(
        **dict(zip(names, second, strict=True))
    )

    assert [getattr(total, name) for name in names] == [
        a + b for a, b in zip(first, second, strict=True)
    ]


def test_a_row_counted_twice_does_not_balance() -> None:
    assert not MirrorLedger(offered=1, ok=1, timeout=1).balances()
    assert MirrorLedger(offered=1, ok=1, timeout=1).in_flight == -1


def test_a_negative_count_is_refused() -> None:
    with pytest.raises(ValueError, match="negative"):
        MirrorLedger(ok=-1)
