"""Restarts of an ended process, and their end."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from understudy.domain.restarts import GiveUp, Restart, RestartHistory, RestartPolicy

BUDGET = 3
POLICY = RestartPolicy(first_back_off_s=1, longest_back_off_s=5, budget=BUDGET, window_s=100)


def test_restarts_wait_longer_each_time_and_then_stop() -> None:
    history = RestartHistory(POLICY)
    plans = []
    for at_s in (0, 1, 2, 3):
        history, plan = history.failed(float(at_s), jitter=1.0)
        plans.append(plan)

    assert plans == [Restart(1), Restart(2), Restart(4), GiveUp(3, 100)]


def test_failures_outside_the_window_are_forgiven() -> None:
    history = RestartHistory(POLICY)
    for at_s in (0.0, 1.0, 2.0):
        history, _ = history.failed(at_s, jitter=1.0)

    _, plan = history.failed(101.5, jitter=1.0)

    assert plan == Restart(2)


@given(st.lists(st.floats(0, 50), min_size=1, max_size=12), st.floats(0, 1, exclude_max=True))
def test_back_off_is_bounded_and_spread(gaps_s: list[float], jitter: float) -> None:
    history, now_s = RestartHistory(POLICY), 0.0
    for gap_s in gaps_s:
        now_s += gap_s
        history, plan = history.failed(now_s, jitter)
        if isinstance(plan, Restart):
            assert 0.5 <= plan.after_s <= POLICY.longest_back_off_s
        else:
            assert plan.restarts >= BUDGET


def test_failed_starts_are_retried_without_limit_and_spend_no_budget() -> None:
    history, waits_s = RestartHistory(POLICY), []
    for _ in range(5_000):
        history, plan = history.not_started(jitter=1.0)
        waits_s.append(plan.after_s)

    assert waits_s[:4] == [1, 2, 4, 5]
    assert waits_s[-1] == 5
    assert history.failed(0.0, jitter=1.0)[1] == Restart(1)


def test_a_successful_start_ends_the_series_of_failed_ones() -> None:
    history = RestartHistory(POLICY)
    for _ in range(3):
        history, _ = history.not_started(jitter=1.0)

    _, plan = history.started().not_started(jitter=1.0)

    assert plan == Restart(1)


@given(
    gaps_s=st.lists(st.floats(0, 50), min_size=1, max_size=40),
    jitter=st.floats(0, 1, exclude_max=True),
    budget=st.integers(0, 5),
)
def test_beyond_the_budget_of_a_process_that_must_stay_comes_the_longest_back_off(
    gaps_s: list[float], jitter: float, budget: int
) -> None:
    policy = replace(POLICY, budget=budget)
    history, now_s = RestartHistory(policy), 0.0
    for gap_s in gaps_s:
        now_s += gap_s
        given_up = history.failed(now_s, jitter)[1]
        history, plan = history.failed(now_s, jitter, may_give_up=False)
        assert isinstance(plan, Restart)
        assert plan.is_over_budget == isinstance(given_up, GiveUp)
        if plan.is_over_budget:
            assert plan.after_s == policy.longest_back_off_s * (0.5 + jitter / 2)


def test_what_has_no_budget_is_never_given_up() -> None:
    history = RestartHistory(replace(POLICY, budget=None))
    for at_s in range(1_000):
        history, plan = history.failed(float(at_s), jitter=1.0)
        assert isinstance(plan, Restart)
        assert plan.after_s <= POLICY.longest_back_off_s
