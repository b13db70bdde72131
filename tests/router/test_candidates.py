"""The result of each candidate of a ScoreBatch: rule, failure, order; and the summary."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.admission.admit import AskedCandidates
from router.admission.candidates import CandidateChecks
from tests.router.reading import reasons_of
from tests.router.samples import deployment, spec
from tests.router.world import open_world, two_arms
from understudy.domain.deployments import Rule, RuleOperator
from understudy.domain.errors import InvalidInputError
from understudy.scoring.v1 import scoring_pb2 as pb

pytestmark = pytest.mark.virtual_time


def names(answer: pb.ScoreBatchResponse) -> list[str]:
    return [result.id for result in answer.results]


async def test_a_candidate_that_a_rule_decided_names_it() -> None:
    rule = Rule("large", "amount", RuleOperator.GREATER, 5.0, "review", 1.0)
    async with open_world() as world:
        await two_arms(world, challengers=(), rules=(rule,))

        answer = await world.score_batch(["u9", "u4", "u7"], is_sorted=True)

    assert [(r.id, r.rule.name, r.rule.action) for r in answer.results] == [
        ("u4", "", ""),
        ("u9", "large", "review"),
        ("u7", "large", "review"),
    ]


async def test_an_infinite_score_takes_no_place_among_the_best() -> None:
    async with open_world() as world:
        await two_arms(world, challengers=())
        world.scorers["one"].answers_inf_for = 3.0

        best = await world.score_batch(["u3", "u9", "u7"], top_k=1)
        in_order = await world.score_batch(["u3", "u9", "u7"], is_sorted=True)
        as_asked = await world.score_batch(["u3", "u9", "u7"])

    assert names(best) == ["u9", "u3"]
    assert names(in_order) == ["u9", "u7", "u3"]
    assert names(as_asked) == ["u3", "u9", "u7"]
    assert [result.HasField("error") for result in in_order.results] == [False, False, True]


async def test_failed_candidates_of_all_kinds_follow_in_request_order() -> None:
    async with open_world() as world:
        await two_arms(world, challengers=())
        scorer = world.scorers["one"]
        scorer.answers_nan_for, scorer.answers_inf_for = 2.0, 3.0

        answer = await world.score_batch(["u3", "", "u9", "u2"], top_k=4)

    assert [(result.index, result.HasField("error")) for result in answer.results] == [
        (2, False),
        (0, True),
        (1, True),
        (3, True),
    ]


async def test_a_batch_lists_the_reasons_and_names_of_all_its_candidates() -> None:
    async with open_world() as world:
        await two_arms(world, challengers=())

        answer = await world.score_batch(
            ["u1", "nobody", "no-one"], features=[{}, {"count": 1.0}, {"amount": 1.0}], top_k=1
        )

    assert answer.degradation.level == pb.DEGRADATION_LEVEL_FEATURES
    assert reasons_of(answer) == ["features_defaulted", "features_missing"]
    assert list(answer.degradation.defaulted_features) == ["amount"]
    assert list(answer.degradation.missing_features) == ["count"]


async def test_candidates_at_full_level_are_not_degraded_by_others() -> None:
    async with open_world() as world:
        await two_arms(world, challengers=())
        await world.deploy(deployment(revision=2), ready={1: ["one"]}, specs=[spec(1)])

        answer = await world.score_batch(["nobody", "u2", "u1"], is_sorted=True)

    assert [(result.id, result.level) for result in answer.results] == [
        ("u2", pb.DEGRADATION_LEVEL_FULL),
        ("u1", pb.DEGRADATION_LEVEL_FULL),
        ("nobody", pb.DEGRADATION_LEVEL_FEATURES),
    ]


@pytest.mark.parametrize("own_threshold", [None, 40.0])
async def test_a_candidate_is_answered_like_a_call_of_its_own(own_threshold: float | None) -> None:
    rule = Rule("large", "amount", RuleOperator.GREATER, 7.0, "review", 1.0)
    units = ["u3", "u9", "u7", "u2"]
    async with open_world() as world:
        await two_arms(world, challengers=(), rules=(rule,), decision_threshold=25.0)

        answer = await world.score_batch(
            units, threshold=own_threshold, outputs=("score",), include_digests=True
        )
        singles = [
            await world.score(
                unit, threshold=own_threshold, outputs=("score",), include_digests=True
            )
            for unit in units
        ]

    assert [(r.score, r.decision, r.rule, list(r.outputs)) for r in answer.results] == [
        (s.score, s.decision, s.rule, list(s.outputs)) for s in singles
    ]
    assert len({result.decision for result in answer.results}) == 2
    assert answer.served_by == singles[0].served_by
    assert answer.served_by.digests.artifact


@given(st.lists(st.sampled_from(["a", "b" * 256, "", "c" * 257]), min_size=1, max_size=30))
def test_candidates_checked_together_are_those_checked_one_by_one(ids: list[str]) -> None:
    def add_each(checks: CandidateChecks) -> None:
        for each in ids:
            checks.add(each, {})

    assert checked_by(lambda checks: checks.add_all(ids, None)) == checked_by(add_each)


def checked_by(add: Callable[[CandidateChecks], None]) -> object:
    """Return the candidates after `add`, or the faults for which all are refused."""
    checks = CandidateChecks(None)
    try:
        add(checks)
        return checks.checked(AskedCandidates("user", 1, None, is_sorted=False))
    except InvalidInputError as error:
        return error.faults
