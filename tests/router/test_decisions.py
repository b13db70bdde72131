"""The small rules of the request path: effective versions, budgets, limits, fallbacks."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.decisions.budget import BudgetPolicy, answer_by_s
from router.decisions.effective import decide_effective
from router.decisions.ladder import AnswerWith, AskVersion, Cause, Fail, next_step
from router.decisions.priority import Priority
from router.decisions.row_limit import RowLimit, RowLimitPolicy, retry_after_ms
from router.decisions.rules import NO_RULE, first_matching_rule
from router.decisions.sampling import is_sampled
from understudy.domain.acting import WithheldReason
from understudy.domain.deployments import (
    Arm,
    Challenger,
    DegradationLevel,
    DegradationReason,
    Deployment,
    Fallback,
    Rule,
    RuleOperator,
    Shadow,
    versions_to_run,
)
from understudy.domain.reports import WithheldPart

DEPLOYMENT = Deployment(
    model="fraud",
    revision=4,
    champion=3,
    salt="s",
    challengers=(Challenger(5, 1_000),),
    shadows=(Shadow(6, 10_000),),
    standby=(2,),
)
ROW_LIMIT = RowLimitPolicy(least_rows=10, most_rows=1000, wanted_queue_s=0.02)
BUDGET = BudgetPolicy(default_s=0.1, largest_s=10.0)


def test_if_all_versions_are_ready_the_declared_shares_apply() -> None:
    effective = decide_effective(DEPLOYMENT, {3, 5, 6}, ())

    assert (effective.champion, effective.challengers, effective.withheld) == (3, (5,), ())


def test_a_challenger_that_is_not_ready_is_withheld_visibly() -> None:
    effective = decide_effective(DEPLOYMENT, {3, 6}, ())

    assert effective.challengers == ()
    assert effective.withheld == (
        WithheldPart(Arm.CHALLENGER, 5, WithheldReason.NOT_READY, declared_bp=1000),
    )
    assert str(effective.withheld[0]) == (
        "challenger @5 is not ready; its 1000 bp stay with the champion"
    )


@pytest.mark.parametrize(
    ("ready", "acting", "champion"),
    [
        ({2, 4, 5}, 4, 4),  # the acting champion stays
        ({2, 5}, 4, 2),  # otherwise the standby
        ({5}, 4, None),  # never a challenger that was not chosen as champion
    ],
)
def test_a_working_champion_is_not_replaced_by_one_that_is_not_ready(
    ready: set[int], acting: int, champion: int | None
) -> None:
    effective = decide_effective(DEPLOYMENT, ready, (acting,))

    assert effective.champion == champion
    assert WithheldPart(Arm.CHAMPION, 3, WithheldReason.NOT_READY) in effective.withheld


VERSIONS = st.sets(st.integers(1, 6))


@given(
    ready=VERSIONS,
    unanswering=VERSIONS,
    acting=st.lists(st.integers(1, 6), max_size=2),
    standby=VERSIONS,
)
def test_a_version_of_the_line_acts_whenever_one_answers(
    ready: set[int], unanswering: set[int], acting: list[int], standby: set[int]
) -> None:
    deployed = replace(DEPLOYMENT, standby=tuple(standby))
    line = {deployed.champion, *acting, *standby}

    effective = decide_effective(deployed, ready, acting, unanswering & ready)

    answering = (line & ready) - unanswering
    assert (effective.champion is None) == (not line & ready)
    assert effective.champion in answering or not answering
    if deployed.champion in answering:
        assert effective.champion == deployed.champion
    else:
        assert set(effective.awaited) <= ready & unanswering, (
            "they are asked, to notice their return"
        )
    if deployed.champion in ready and effective.champion != deployed.champion:
        assert deployed.champion in effective.awaited
    if effective.stand_in is not None:
        assert effective.stand_in in answering - {effective.champion}
    else:
        assert len(answering) < 2 or effective.champion not in answering


@given(
    ready=VERSIONS,
    unanswering=VERSIONS,
    unsteady=VERSIONS,
    acting=st.lists(st.integers(1, 6), max_size=2),
)
def test_an_unsteady_version_acts_only_if_no_steady_one_answers(
    ready: set[int], unanswering: set[int], unsteady: set[int], acting: list[int]
) -> None:
    line = {DEPLOYMENT.champion, *acting, *DEPLOYMENT.standby} & ready

    effective = decide_effective(
        DEPLOYMENT, ready, acting, unanswering & ready, unsteady=dict.fromkeys(unsteady, "why")
    )

    answering = line - unanswering
    for best in (answering - unsteady, answering, line):
        if best:
            assert effective.champion in best
            break
    else:
        assert effective.champion is None
    for part in effective.withheld:
        if part.reason is WithheldReason.NO_ANSWER:
            assert part.why == ("why" if part.version in unsteady else "")


@given(ready=VERSIONS, unproven=VERSIONS, acting=st.lists(st.integers(1, 6), max_size=2))
def test_a_version_that_has_not_answered_yet_does_not_act_and_is_withheld_as_such(
    ready: set[int], unproven: set[int], acting: list[int]
) -> None:
    effective = decide_effective(DEPLOYMENT, ready, acting, unproven=unproven)

    assert effective.champion is None or effective.champion in ready
    assert set(effective.challengers) <= ready
    for part in effective.withheld:
        is_unproven = part.version in unproven - ready
        assert part.reason is (WithheldReason.UNPROVEN if is_unproven else WithheldReason.NOT_READY)


@given(
    ready=VERSIONS,
    unanswering=VERSIONS,
    blocked=VERSIONS,
    acting=st.lists(st.integers(1, 6), max_size=2),
    standby=VERSIONS,
)
def test_a_blocked_version_takes_no_part_in_any_state(
    ready: set[int],
    unanswering: set[int],
    blocked: set[int],
    acting: list[int],
    standby: set[int],
) -> None:
    deployed = replace(DEPLOYMENT, standby=tuple(standby), blocked=tuple(blocked))

    effective = decide_effective(deployed, ready, acting, unanswering & ready)

    parts = {effective.champion, effective.stand_in, *effective.challengers, *effective.awaited}
    assert not parts & blocked
    assert not set(versions_to_run(deployed)) & blocked
    declared = {3, 5, 6} & blocked
    assert {p.version for p in effective.withheld if p.reason is WithheldReason.BLOCKED} == declared
    free = replace(deployed, standby=tuple(standby - blocked), blocked=())
    if deployed.champion not in blocked:
        line = [number for number in acting if number not in blocked]
        same = decide_effective(free, ready - blocked, line, (unanswering & ready) - blocked)
        assert same.champion == effective.champion


def test_a_champion_that_is_reported_but_does_not_answer_is_withheld_visibly() -> None:
    effective = decide_effective(DEPLOYMENT, {3, 2}, (), unanswering={3})

    assert (effective.champion, effective.awaited) == (2, (3,))
    assert str(effective.withheld[0]) == "champion @3 does not answer"


@given(
    now_s=st.floats(0, 1e6),
    remaining_s=st.one_of(st.none(), st.floats(0, 1e4, allow_nan=False)),
)
def test_the_budget_is_never_exceeded(now_s: float, remaining_s: float | None) -> None:
    budget_s = 0.1 if remaining_s is None else min(remaining_s, 10.0)

    assert answer_by_s(BUDGET, now_s=now_s, remaining_s=remaining_s) <= now_s + budget_s


@given(
    batches=st.lists(
        st.tuples(st.floats(0, 1), st.integers(0, 2000), st.floats(0, 0.2)), max_size=200
    )
)
def test_the_limit_stays_in_its_bounds(batches: list[tuple[float, int, float]]) -> None:
    limit = RowLimit(ROW_LIMIT, 500.0)
    now_s = 0.0

    for queue_s, outstanding, passed_s in batches:
        now_s += passed_s
        limit = limit.after_batch(queue_s=queue_s, outstanding_rows=outstanding, now_s=now_s)

        assert 10 <= limit.rows <= 1000


def test_long_queues_shrink_the_limit_once_per_hold() -> None:
    limit = RowLimit(ROW_LIMIT, 500.0)

    once = limit.after_batch(queue_s=0.021, outstanding_rows=500, now_s=1.0)
    twice = once.after_batch(queue_s=0.021, outstanding_rows=500, now_s=1.05)

    assert once.rows == pytest.approx(450.0)
    assert twice is once


@pytest.mark.parametrize(("queue_s", "rows"), [(0.03, 333.3), (0.2, 250.0)])
def test_the_longer_the_queue_the_more_the_limit_shrinks(queue_s: float, rows: float) -> None:
    limit = RowLimit(ROW_LIMIT, 500.0)

    after = limit.after_batch(queue_s=queue_s, outstanding_rows=500, now_s=1.0)

    assert after.rows == pytest.approx(rows, abs=0.1)


def test_the_limit_grows_by_a_row_a_batch_while_it_is_used() -> None:
    limit = RowLimit(ROW_LIMIT, 500.0, moved_s=0.99)

    assert limit.after_batch(queue_s=0.0, outstanding_rows=10, now_s=1.0) is limit
    assert limit.after_batch(queue_s=0.0, outstanding_rows=400, now_s=1.0).rows == 501


def test_time_in_use_is_not_forgotten_at_the_first_quiet_batch() -> None:
    limit = RowLimit(ROW_LIMIT, 60.0)
    for tenth in range(100):
        limit = limit.after_batch(queue_s=0.001, outstanding_rows=100, now_s=tenth / 10)

    quiet = limit.after_batch(queue_s=0.001, outstanding_rows=5, now_s=10.1)

    assert limit.rows == 160.0
    assert quiet.rows < 200.0


def test_an_overload_is_forgotten_within_seconds_of_light_traffic() -> None:
    limit = RowLimit(ROW_LIMIT, 10.0, moved_s=0.0)
    for tenth in range(1, 81):
        limit = limit.after_batch(queue_s=0.001, outstanding_rows=2, now_s=tenth / 10)

    assert limit.rows == 1000.0


def test_single_calls_are_refused_last() -> None:
    live, stream, batch = RowLimit(ROW_LIMIT, 500.0).thresholds()

    assert live > stream > batch
    assert [p.name for p in Priority] == ["LIVE", "STREAM", "BATCH"]


def test_a_refused_caller_waits_longer_the_fuller_the_router() -> None:
    half = retry_after_ms(outstanding_rows=50, limit_rows=100, wanted_queue_s=0.02)
    double = retry_after_ms(outstanding_rows=200, limit_rows=100, wanted_queue_s=0.02)

    assert half == 20
    assert double == 40


LADDER = Fallback(version=2, last_score_max_age_s=3600.0, constant_score=0.5)


@pytest.mark.parametrize(
    ("fallback", "is_ready", "tried", "last", "expected"),
    [
        (LADDER, True, False, 0.1, AskVersion(2)),
        (
            LADDER,
            False,
            False,
            0.1,
            AnswerWith(DegradationLevel.FALLBACK, 0.1, DegradationReason.LAST_SCORE),
        ),
        (
            LADDER,
            True,
            True,
            0.1,
            AnswerWith(DegradationLevel.FALLBACK, 0.1, DegradationReason.LAST_SCORE),
        ),
        (
            LADDER,
            True,
            True,
            None,
            AnswerWith(DegradationLevel.CONSTANT, 0.5, DegradationReason.CONSTANT_SCORE),
        ),
        (Fallback(), True, False, None, Fail()),
    ],
)
def test_the_highest_declared_step_is_taken(
    fallback: Fallback, *, is_ready: bool, tried: bool, last: float | None, expected: object
) -> None:
    step = next_step(fallback, fallback_is_ready=is_ready, tried_fallback=tried, last_score=last)

    assert step == expected


def test_every_cause_has_a_reason_in_answers() -> None:
    assert set(Cause) <= set(DegradationReason)


def test_a_drill_of_the_last_level_skips_the_levels_above() -> None:
    step = next_step(
        LADDER,
        fallback_is_ready=True,
        tried_fallback=False,
        last_score=0.1,
        floor=DegradationLevel.CONSTANT,
    )

    assert step == AnswerWith(DegradationLevel.CONSTANT, 0.5, DegradationReason.CONSTANT_SCORE)


def rule(name: str, operator: str, value: float, feature: str = "amount") -> Rule:
    return Rule(name, feature, RuleOperator(operator), value, "review", 1.0)


def test_the_first_matching_rule_decides() -> None:
    rules = [rule("large", ">", 100.0), rule("any", ">=", 0.0)]

    decided = first_matching_rule(rules, {"amount": np.array([500.0, 5.0, -1.0])}, 3)

    assert decided.tolist() == [0, 1, NO_RULE]


@pytest.mark.parametrize("operator", list(RuleOperator))
def test_a_missing_value_decides_nothing(operator: RuleOperator) -> None:
    decided = first_matching_rule(
        [rule("r", operator.value, 0.0)], {"amount": np.array([math.nan])}, 1
    )

    assert decided.tolist() == [NO_RULE]


@pytest.mark.parametrize(
    ("operator", "expected"),
    [
        (">", [False, False, True]),
        (">=", [False, True, True]),
        ("<", [True, False, False]),
        ("<=", [True, True, False]),
        ("==", [False, True, False]),
        ("!=", [True, False, True]),
    ],
)
def test_each_operator_compares_as_written(operator: str, expected: list[bool]) -> None:
    decided = first_matching_rule([rule("r", operator, 2.0)], {"amount": np.array([1, 2, 3])}, 3)

    assert (decided == 0).tolist() == expected


def test_a_rule_on_an_unknown_feature_does_not_match() -> None:
    assert first_matching_rule([rule("r", ">", 0.0)], {}, 2).tolist() == [NO_RULE, NO_RULE]


def test_samples_are_as_large_as_declared_and_independent_between_shadows() -> None:
    ids = [f"r{index}" for index in range(20_000)]

    one = np.array([is_sampled(i, shadow_version=1, salt="s", sample_bp=3_000) for i in ids])
    two = np.array([is_sampled(i, shadow_version=2, salt="s", sample_bp=3_000) for i in ids])

    assert abs(one.mean() - 0.3) < 4 * (0.21 / len(ids)) ** 0.5
    assert abs((one & two).mean() - 0.09) < 4 * (0.09 * 0.91 / len(ids)) ** 0.5


def test_everything_is_sampled_at_the_full_share() -> None:
    assert is_sampled("r", shadow_version=1, salt="s", sample_bp=10_000)
