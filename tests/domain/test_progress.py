"""The time that a start is given."""

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from understudy.domain.progress import Patience, Wait

PATIENCE = Patience(stalled_after_s=60.0, ceiling_s=600.0, least_cpu_share=1 / 60)
Look = tuple[float, str]  # CPU seconds, state


def ends_after_s(looks: Iterable[Look], *, every_s: float = 2.0) -> tuple[float, str]:
    """Return when a wait with these looks is given up, and why."""
    wait, now_s = Wait(PATIENCE, looked_at_s=0.0), 0.0
    for cpu_s, state in looks:
        now_s += every_s
        wait = wait.after_look(now_s, cpu_s=cpu_s, state=state)
        if wait.given_up:
            return now_s, wait.given_up
    raise AssertionError(f"still waited for after {now_s} s")


def test_what_does_nothing_is_given_up_when_it_has_stalled() -> None:
    ended_s, why = ends_after_s([(0.2, "NONE")] * 100)

    assert ended_s == 62.0  # the first look brought a state
    assert why == "no progress for 60 s"


@pytest.mark.parametrize("share", [0.02, 0.1, 1.0])
def test_what_uses_cpu_time_is_waited_for_up_to_the_ceiling_however_slow_the_machine(
    share: float,
) -> None:
    ended_s, why = ends_after_s((at * 2 * share, "NONE") for at in range(1_000))

    assert ended_s == 600.0
    assert why == "still busy after 600 s, the longest wait"


def test_what_idles_makes_no_progress() -> None:
    ended_s, _ = ends_after_s((3.0 + at * 2 * 0.01, "NOT_SERVING") for at in range(1_000))

    assert ended_s == 62.0


def test_what_is_started_over_and_over_makes_no_progress() -> None:
    rounds = [(0.5, "NONE"), (1.5, "NOT_SERVING"), (0.0, "NONE")] * 100

    ended_s, why = ends_after_s(rounds)

    assert ended_s == 64.0  # the second look was the last with anything new
    assert why == "no progress for 60 s"


def test_each_state_not_seen_before_is_progress() -> None:
    states = [(0.0, f"step {at // 20}") for at in range(100)]

    ended_s, _ = ends_after_s([*states, *states])

    assert ended_s == 2 * 81 + 60  # the fifth of them came at look 81


def test_time_in_which_nothing_could_be_looked_at_hardly_counts() -> None:
    wait = Wait(PATIENCE, looked_at_s=0.0).after_look(1.0)

    held_up = wait.after_look(10_000.0)

    assert held_up.given_up is None
    assert held_up.waited_s == 6.0


@given(st.lists(st.tuples(st.floats(0, 100), st.sampled_from("abc")), max_size=400))
def test_every_wait_ends_by_the_ceiling(looks: list[Look]) -> None:
    endless = [*looks, *[(0.0, "a")] * 400]

    ended_s, _ = ends_after_s(endless)

    assert PATIENCE.stalled_after_s <= ended_s <= PATIENCE.ceiling_s
