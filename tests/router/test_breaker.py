"""The breaker under any traffic: never stuck, one probe at a time, no effect of late answers."""

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    MultipleResults,
    RuleBasedStateMachine,
    consumes,
    invariant,
    multiple,
    rule,
)

from router.decisions.breaker import Breaker, BreakerPolicy, Closed, Open, Permit, Probing

POLICY = BreakerPolicy(trip_after_failures=3, cool_down_s=2.0, probe_timeout_s=1.0)


class BreakerUnderAnyTraffic(RuleBasedStateMachine):
    permits: Bundle[Permit] = Bundle("permits")

    def __init__(self) -> None:
        super().__init__()
        self.breaker = Breaker(POLICY)
        self.now_s = 0.0
        self.probes: set[int] = set()

    @rule(seconds=st.floats(0, 30))
    def time_passes(self, seconds: float) -> None:
        self.now_s += seconds

    @rule(target=permits)
    def call(self) -> Permit | MultipleResults[Permit]:
        was = self.breaker
        self.breaker, permit = self.breaker.admit(self.now_s)
        if isinstance(was.state, Open) and self.now_s < was.state.probe_at_s:
            assert permit is None
        if permit is None:
            assert was.due_in_s(self.now_s) > 0
            return multiple()
        assert was.due_in_s(self.now_s) == 0
        if isinstance(self.breaker.state, Probing):
            assert permit.generation not in self.probes, "two calls in one probe"
            self.probes.add(permit.generation)
        return permit

    @rule(permit=consumes(permits), succeeded=st.booleans())
    def answer(self, permit: Permit, *, succeeded: bool) -> None:
        was = self.breaker
        self.breaker = was.record(permit, succeeded=succeeded, now_s=self.now_s)
        if permit.generation != was.generation:
            assert self.breaker == was, "a late answer moved the breaker"

    @invariant()
    def never_stuck(self) -> None:
        _, permit = self.breaker.admit(self.now_s + POLICY.cool_down_s + 1)
        assert permit is not None

    @invariant()
    def a_standing_permit_changes_nothing(self) -> None:
        standing = self.breaker.standing
        if standing is not None:
            assert self.breaker.admit(self.now_s) == (self.breaker, standing)
            succeeded = self.breaker.record(standing, succeeded=True, now_s=self.now_s)
            assert succeeded is self.breaker


TestBreaker = BreakerUnderAnyTraffic.TestCase


def failed(breaker: Breaker, times: int) -> Breaker:
    for _ in range(times):
        breaker, permit = breaker.admit(0.0)
        assert permit is not None
        breaker = breaker.record(permit, succeeded=False, now_s=0.0)
    return breaker


def test_a_permit_stands_until_a_call_fails_and_again_once_failures_are_forgotten() -> None:
    breaker = Breaker(POLICY)
    assert breaker.standing is not None

    breaker = failed(breaker, 1)
    assert breaker.standing is None
    for _ in range(POLICY.window_calls):
        breaker, permit = breaker.admit(0.0)
        assert permit is not None
        breaker = breaker.record(permit, succeeded=True, now_s=0.0)

    assert breaker.standing is not None


def test_the_breaker_trips_at_the_limit_and_not_before() -> None:
    assert failed(Breaker(POLICY), 2).is_closed
    assert not failed(Breaker(POLICY), 3).is_closed


def test_a_success_forgives_the_failures_before_it() -> None:
    breaker, permit = failed(Breaker(POLICY), 2).admit(0.0)
    assert permit is not None

    breaker = breaker.record(permit, succeeded=True, now_s=0.0)

    assert isinstance(breaker.state, Closed)
    assert failed(breaker, 2).is_closed


@given(outcomes=st.lists(st.booleans(), max_size=60))
def test_the_breaker_trips_when_half_of_the_recent_calls_failed(outcomes: list[bool]) -> None:
    breaker = Breaker(POLICY)
    for at, succeeded in enumerate(outcomes, start=1):
        breaker, permit = breaker.admit(0.0)
        assert permit is not None
        breaker = breaker.record(permit, succeeded=succeeded, now_s=0.0)
        lately = outcomes[max(0, at - POLICY.window_calls) : at]
        is_over = (
            lately.count(False) * 2 >= POLICY.window_calls or outcomes[:at][-3:] == [False] * 3
        )
        assert breaker.is_closed != is_over
        if is_over:
            return


def test_a_forged_permit_does_not_change_an_open_breaker() -> None:
    breaker = failed(Breaker(POLICY), 3)

    assert breaker.record(Permit(breaker.generation), succeeded=True, now_s=9.0) == breaker


def test_a_failed_probe_reopens_and_a_successful_one_closes() -> None:
    opened = failed(Breaker(POLICY), 3)
    probing, permit = opened.admit(2.0)
    assert permit is not None

    assert isinstance(probing.record(permit, succeeded=False, now_s=2.5).state, Open)
    assert probing.record(permit, succeeded=True, now_s=2.5).is_closed


def test_proof_that_the_dependency_is_gone_opens_at_once_unless_it_is_old() -> None:
    breaker, permit = Breaker(POLICY).admit(0.0)
    assert permit is not None

    opened = breaker.trip(permit, now_s=1.0)

    assert opened.state == Open(3.0)
    assert opened.trip(permit, now_s=2.0) is opened
