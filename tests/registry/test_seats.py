"""Seats of calls that stay, and the pace that keeps one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from registry.decisions.seats import Full, Seats, ShareLimits
from registry.decisions.upload_pace import PaceLimits, UploadPace
from registry.settings import RegistrySettings

PEERS = st.sampled_from(["a", "b", "c"])
PACE = PaceLimits(period_s=30.0, period_bytes=1000)


@given(st.data(), st.integers(1, 4), st.integers(1, 4))
def test_seats_are_never_above_a_limit_and_come_back(
    data: st.DataObject, share: int, others: int
) -> None:
    limits = ShareLimits(share + others, share)
    seats = Seats(limits)
    held: list[str] = []
    for _ in range(data.draw(st.integers(0, 30))):
        leaves = data.draw(st.booleans())
        if held and leaves:
            peer = held.pop(data.draw(st.integers(0, len(held) - 1)))
            seats = seats.with_one_less_for(peer)
            continue
        peer = data.draw(PEERS)
        answer = seats.with_one_for(peer)
        is_full = len(held) == limits.total or held.count(peer) == limits.per_peer
        assert isinstance(answer, Full) == is_full
        if isinstance(answer, Seats):
            seats = answer
            held.append(peer)
    assert seats.count == len(held)
    assert seats.taken == {peer: held.count(peer) for peer in set(held)}


def test_a_peer_with_all_of_its_seats_leaves_some_to_others() -> None:
    seats = Seats(ShareLimits(4, 2), {"a": 2})

    assert seats.with_one_for("a") is Full.OF_PEER
    assert isinstance(seats.with_one_for("b"), Seats)


def test_a_share_above_the_total_is_refused_only_if_it_was_set() -> None:
    assert RegistrySettings(unproven=True, dir="d", max_uploads=1).upload_seats == ShareLimits(1, 1)
    with pytest.raises(ValidationError, match="max_watchers_per_peer must not be above"):
        RegistrySettings(unproven=True, dir="d", max_watchers=8, max_watchers_per_peer=9)


def test_the_default_seats_hold_the_documented_fleet() -> None:
    """32 machines of 64 router workers and a scorer host, one of which is being restarted."""
    seats = RegistrySettings(unproven=True, dir="d").watch_seats
    watchers_of_a_machine = 64 + 1

    assert seats.per_peer >= 2 * watchers_of_a_machine
    assert seats.total >= (32 + 1) * watchers_of_a_machine


@given(st.lists(st.tuples(st.floats(1, 10), st.integers(0, 200)), min_size=10, max_size=40))
def test_a_sender_gets_time_by_its_bytes_alone(parts: list[tuple[float, int]]) -> None:
    """Between two moments with time left, a period's bytes came for each period of waiting."""
    pace = UploadPace(PACE)
    waited_s = received_bytes = 0.0
    for part_s, part_bytes in parts:
        if part_s > pace.left_s:
            break
        pace = pace.after(waited_s=part_s, received_bytes=part_bytes)
        waited_s, received_bytes = waited_s + part_s, received_bytes + part_bytes

    whole_periods = (waited_s - 1e-6) // PACE.period_s
    assert received_bytes >= whole_periods * PACE.period_bytes


def test_a_fast_beginning_does_not_pay_for_trickling() -> None:
    pace = UploadPace(PACE).after(waited_s=1.0, received_bytes=1_000_000)

    for _ in range(30):
        pace = pace.after(waited_s=1.0, received_bytes=1)

    assert pace.left_s == 0.0
