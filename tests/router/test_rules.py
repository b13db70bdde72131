"""Rules before the model, over fakes of the ports: they decide whatever happens to the model."""

import asyncio
from dataclasses import replace
from functools import partial

import pytest

from tests.router.fakes import RemoteStore
from tests.router.reading import reasons_of
from tests.router.samples import CONTRACT, as_champion, deployment, spec
from tests.router.world import awaited, open_world, two_arms, until
from understudy.domain.deployments import Challenger, Fallback, Rule, RuleOperator
from understudy.domain.features import FeatureDtype
from understudy.domain.request_contract import RequestFeature
from understudy.scoring.v1 import scoring_pb2 as pb

pytestmark = pytest.mark.virtual_time
LARGE = Rule("large", "amount", RuleOperator.GREATER, 5.0, "review", 1.0)
SMALL = Rule("small", "amount", RuleOperator.LESS, 5.0, "pass", 0.0)
CONSTANT = Fallback(constant_score=0.25)


async def test_rules_decide_before_the_model() -> None:
    async with open_world() as world:
        await two_arms(world, challengers=(), rules=(LARGE,))

        small, large = await world.score("u5"), await world.score("u6")

        assert (small.rule.name, round(small.score, 3)) == ("", 50.001)
        assert (large.rule.name, large.rule.action, large.score) == ("large", "review", 1.0)
        assert world.scorers["one"].batches == [1]
        assert [batch.rules for batch in world.score_logs] == [None, ["large"]]


async def test_a_row_decided_by_a_rule_leaves_others_their_outputs() -> None:
    async with open_world() as world:
        await two_arms(world, challengers=(), rules=(LARGE,))
        scorer = world.scorers["one"]
        scorer.release = asyncio.Event()
        first = world.submit("u0")
        await scorer.entered.wait()
        together = [world.submit(name, outputs=("score",)) for name in ("u9", "u4", "u2")]
        scorer.release.set()

        await awaited(first)
        decided, four, two = [pb.ScoreResponse.FromString(await awaited(call)) for call in together]

        assert scorer.batches == [1, 2]
        assert (decided.rule.name, list(decided.outputs)) == ("large", [])
        assert list(four.outputs[0].values) == [four.score]
        assert list(two.outputs[0].values) == [two.score]


async def test_a_rule_decides_even_if_the_scorer_fails_the_rest_of_the_batch() -> None:
    async with open_world() as world:
        await two_arms(world, challengers=(), rules=(LARGE,), fallback=CONSTANT)
        scorer = world.scorers["one"]
        scorer.failing = True

        large, small = await world.score_together(
            "one", partial(world.submit, "u9"), partial(world.submit, "u2")
        )

        assert (large.rule.name, large.score) == ("large", 1.0)
        assert large.degradation.level == pb.DEGRADATION_LEVEL_FULL
        assert (small.rule.name, small.score) == ("", 0.25)


async def test_a_call_decided_by_a_rule_does_not_wait_for_the_model() -> None:
    async with open_world() as world:
        await two_arms(world, challengers=(), rules=(LARGE,))
        scorer = world.scorers["one"]
        scorer.release = asyncio.Event()
        first = world.submit("u0")
        await scorer.entered.wait()
        scorer.entered.clear()
        held, scorer.release = scorer.release, asyncio.Event()
        large, small = world.submit("u9"), world.submit("u2")
        held.set()
        await awaited(first)
        await scorer.entered.wait()

        assert pb.ScoreResponse.FromString(await awaited(large)).rule.name == "large"
        assert not awaited(small).done()
        scorer.release.set()
        await awaited(small)


async def test_rules_decide_if_no_scorer_is_left() -> None:
    async with open_world() as world:
        await two_arms(world, challengers=(), rules=(LARGE,), fallback=CONSTANT)
        await world.deploy(
            deployment(revision=2, rules=(LARGE,), fallback=CONSTANT), ready={}, specs=[spec(1)]
        )

        large, small = await world.score("u9"), await world.score("u2")

        assert (large.rule.name, large.rule.action, large.score) == ("large", "review", 1.0)
        assert large.served_by.version == 1
        assert reasons_of(small) == ["scorer_unavailable", "constant_score"]
        assert [batch.rules for batch in world.score_logs] == [["large"], None]


async def test_a_rule_may_read_a_feature_that_only_requests_supply() -> None:
    distance = RequestFeature("distance_km", FeatureDtype.FLOAT64)
    country = replace(LARGE, name="abroad", feature="distance_km", request_dtype=distance.dtype)
    contract = replace(CONTRACT, features=(*CONTRACT.features, distance))
    async with open_world() as world:
        await two_arms(world, challengers=(), rules=(country,), contract=contract)

        far = await world.score("u2", features={"distance_km": 900.0})
        near = await world.score("u2", features={"distance_km": 1.0})

        assert (far.rule.name, near.rule.name) == ("abroad", "")


async def test_decisions_of_rules_do_not_count_as_answers_of_the_scorer() -> None:
    async with open_world(cool_down_s=5.0) as world:
        await two_arms(world, challengers=(), rules=(LARGE,), fallback=CONSTANT)
        world.scorers["one"].release = asyncio.Event()
        guarded = world.live().lanes[as_champion(1)].pullers[0].guarded
        await awaited(world.submit("u1", remaining_s=0.05))

        for _ in range(3):
            await world.score("u9")
            await awaited(world.submit("u1", remaining_s=0.05))

        assert not guarded.breaker.is_closed


async def test_a_rule_decides_in_the_name_of_the_units_arm() -> None:
    async with open_world() as world:
        await world.deploy(
            deployment(challengers=(Challenger(2, 9_999),), rules=(SMALL,), fallback=CONSTANT),
            ready={},
            specs=[spec(1), spec(2)],
        )

        answer = await world.score("nobody", unit_key="k")

        assert (answer.rule.name, answer.served_by.version) == ("small", 2)
        assert answer.served_by.arm == pb.ARM_CHALLENGER


async def test_rules_that_wait_for_a_hung_store_do_not_delay_a_call() -> None:
    store = RemoteStore()
    async with open_world(read_from=store) as world:
        await world.deploy(deployment(rules=(LARGE,), fallback=CONSTANT), ready={}, specs=[spec(1)])
        store.hangs = True

        hurried = world.submit("u1", remaining_s=0.05)
        await until(lambda: store.given_s)
        world.live().fall_back_if_due(hurried.answer_by_s)

        assert reasons_of(pb.ScoreResponse.FromString(awaited(hurried).result())) == [
            "deadline_near",
            "constant_score",
        ]
