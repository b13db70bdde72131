"""A scorer with its breaker: what a failed call means."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.decisions.breaker import BreakerPolicy
from router.lanes.guarded_scorer import GuardedScorer
from router.ports import ScorerHungError
from tests.router.fakes import FakeScorer
from understudy.domain.errors import DeadlinePassedError, InvalidInputError, UnavailableError

GONE_AFTER_S = 1.0


def judged(*failures: Exception | None, took_s: float) -> GuardedScorer:
    """Return a scorer whose breaker opens at the third failure, after these calls in a row."""
    policy = BreakerPolicy(trip_after_failures=3, cool_down_s=60.0, probe_timeout_s=1.0)
    guarded = GuardedScorer(FakeScorer("one"), policy, gone_after_s=GONE_AFTER_S)
    now_s = 0.0
    for failure in failures:
        permit = guarded.admit(now_s)
        assert permit is not None
        guarded.judge(permit, failure, asked_s=now_s, now_s=now_s + took_s)
        now_s += took_s
    return guarded


@pytest.mark.parametrize(
    ("failure", "took_s", "opens"),
    [
        (ScorerHungError("scorer one", "no answer within 20 ms"), 0.02, True),
        (DeadlinePassedError("the scorer answered"), GONE_AFTER_S, True),  # silent for this long
        (DeadlinePassedError("the scorer answered"), 0.1, False),
        (UnavailableError("scorer one", "unavailable"), 0.1, False),
        (InvalidInputError.of("x", read=1, accepted="2"), 0.1, False),
    ],
)
def test_only_a_hung_scorer_is_closed_by_a_single_call(
    failure: Exception, took_s: float, *, opens: bool
) -> None:
    assert judged(failure, took_s=took_s).breaker.is_closed == (not opens)


@given(
    outcomes=st.lists(st.sampled_from([None, UnavailableError("scorer one", "gone")]), max_size=40),
    pause_s=st.sampled_from([0.1, 30.0]),
)
def test_its_attribute_agrees_with_the_state_of_the_breaker(
    outcomes: list[Exception | None], pause_s: float
) -> None:
    guarded = judged(took_s=0.0)
    for turn, failure in enumerate(outcomes):
        now_s = turn * pause_s
        permit = guarded.admit(now_s)
        assert guarded.is_closed == guarded.breaker.is_closed
        if permit is not None:
            guarded.judge(permit, failure, asked_s=now_s, now_s=now_s)
            assert guarded.is_closed == guarded.breaker.is_closed


def test_an_ordinary_failure_closes_it_at_the_limit_and_not_before() -> None:
    failure = UnavailableError("scorer one", "unavailable")

    assert judged(failure, failure, took_s=0.1).breaker.is_closed
    assert not judged(failure, failure, failure, took_s=0.1).breaker.is_closed
