"""The processes that have hung, and the one of them that is replaced: by table and by property."""

from hypothesis import given
from hypothesis import strategies as st

from understudy.domain.liveness import Liveness, LivenessPolicy, Replacements

POLICY = LivenessPolicy(interval_s=2.0, timeout_s=2.0, misses=3)
CHILDREN = ("a", "b", "c")


def after(*probes: tuple[float, bool]) -> Liveness:
    """Return the state after probes: seconds since the one before, and whether it was answered."""
    liveness, now_s = Liveness(POLICY, 0.0), 0.0
    for took_s, answered in probes:
        now_s += took_s
        liveness = liveness.after_probe(now_s, answered=answered)
    return liveness


def test_three_consecutive_misses_are_a_hang() -> None:
    assert not after((4, False), (2, False)).hangs
    assert after((4, False), (2, False), (2, False)).hangs


def test_an_answer_begins_the_count_anew() -> None:
    assert not after((4, False), (2, False), (2, True), (2, False), (2, False)).hangs


def test_refused_connections_are_misses_too() -> None:
    assert after((2, False), (2, False), (2, False)).hangs


def test_a_supervisor_that_was_held_up_counts_no_miss() -> None:
    suspended_s = 3600.0

    assert not after((4, False), (2, False), (suspended_s, False)).hangs
    assert after((4, False), (2, False), (suspended_s, False), (2, False)).hangs


@given(st.lists(st.tuples(st.floats(0, 100), st.booleans()), max_size=100))
def test_a_hang_is_three_misses_in_time_after_the_last_answer(
    probes: list[tuple[float, bool]],
) -> None:
    answers = [at for at, (_, answered) in enumerate(probes) if answered]
    since = probes[answers[-1] + 1 :] if answers else probes
    now_s, in_time = 0.0, 0
    liveness = Liveness(POLICY, 0.0)
    for took_s, answered in probes:
        before_s, now_s = now_s, now_s + took_s
        liveness = liveness.after_probe(now_s, answered=answered)
        in_time = 0 if answered else in_time + (now_s - (before_s + 4.0) <= 5.0)

    assert liveness.hangs == (in_time >= POLICY.misses)
    assert liveness.misses <= len(since)


@given(
    st.lists(st.tuples(st.sampled_from(["hangs", "ready"]), st.sampled_from(CHILDREN)), max_size=60)
)
def test_of_a_group_one_at_a_time_is_replaced(events: list[tuple[str, str]]) -> None:
    replacements, down = Replacements(), set[str]()
    for event, child in events:
        if event == "ready":
            replacements = replacements.over(child)
            down.discard(child)
        elif replacements.may_begin(0.0):
            replacements = replacements.begun(child, 0.0)
            down.add(child)
        assert len(down) <= 1


def test_a_replacement_holds_up_the_next_one_for_a_limited_time_if_there_is_a_limit() -> None:
    replacing = Replacements(longest_s=60.0).begun("a", 100.0)

    assert not replacing.may_begin(159.0)
    assert replacing.may_begin(160.0)
    assert not Replacements().begun("a", 100.0).may_begin(1e9)
