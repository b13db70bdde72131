"""The verdict on a callee after a call that timed out."""

from hypothesis import given
from hypothesis import strategies as st

from understudy.domain.patience import Experience, Verdict


def judged(usual_s: float, given_s: float) -> Verdict:
    _, verdict = Experience(usual_s).after_timeout(given_s=given_s, gone_after_s=1.0)
    return verdict


def test_a_short_limit_gives_no_verdict() -> None:
    assert judged(usual_s=0.003, given_s=0.002) is Verdict.NOTHING
    assert judged(usual_s=0.05, given_s=0.09) is Verdict.NOTHING


def test_a_callee_with_enough_time_failed() -> None:
    assert judged(usual_s=0.003, given_s=0.09) is Verdict.FAILED
    assert judged(usual_s=0.0, given_s=0.02) is Verdict.FAILED


@given(given_s=st.floats(0.001, 0.5), usual_s=st.floats(0.0, 1.0))
def test_a_callee_that_never_answers_is_gone_whatever_the_deadlines(
    given_s: float, usual_s: float
) -> None:
    experience, waited_s = Experience(usual_s), 0.0
    verdict = Verdict.NOTHING
    while verdict is not Verdict.GONE:
        waited_s += given_s
        assert waited_s < 1.0 + 2 * given_s
        experience, verdict = experience.after_timeout(given_s=given_s, gone_after_s=1.0)
    assert experience.after_answer(0.001).unanswered_s == 0.0


def test_an_answer_in_between_means_that_the_callee_is_not_gone() -> None:
    experience = Experience(0.01)
    for _ in range(400):
        experience, verdict = experience.after_timeout(given_s=0.005, gone_after_s=1.0)
        assert verdict is Verdict.NOTHING
        experience = experience.after_answer(0.01)
