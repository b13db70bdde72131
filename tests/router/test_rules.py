"""Rules before the model, over fakes of the ports: they decide whatever becomes of the model."""

import asyncio
from dataclasses import replace
from functools import partial

from domain.deployments import Fallback, Rule, RuleOperator
from tests.router.world import awaited, deployment, open_world, spec, two_arms
from understudy.v1 import scoring_pb2 as pb

LARGE = Rule("large", "amount", RuleOperator.GREATER, 5.0, "review", 1.0)
CONSTANT = Fallback(constant_score=0.25)


async def test_rules_decide_before_the_model() -> None:
    async with open_world() as world:
        await two_arms(world, challengers=(), rules=(LARGE,))

        small, large = await world.score("u5"), await world.score("u6")

        assert (small.rule, round(small.score, 3)) == ("", 50.001)
        assert (large.rule, large.rule_action, large.score) == ("large", "review", 1.0)
        assert world.scorers["one"].batches == [1]
        assert [batch.rules for batch in world.score_logs] == [None, ["large"]]


async def test_a_row_that_a_rule_decides_leaves_its_neighbours_their_outputs() -> None:
    async with open_world() as world:
        await two_arms(world, challengers=(), rules=(LARGE,))
        scorer = world.scorers["one"]
        scorer.release = asyncio.Event()
        first = world.submit("u0")
        await scorer.entered.wait()
        together = [world.submit(name, outputs=("score",)) for name in ("u9", "u4", "u2")]
        scorer.release.set()

        await awaited(first)
        decided, four, two = [pb.ScoreResponse.FromString(await awaited(work)) for work in together]

        assert scorer.batches == [1, 2]
        assert (decided.rule, list(decided.outputs)) == ("large", [])
        assert list(four.outputs[0].values) == [four.score]
        assert list(two.outputs[0].values) == [two.score]


async def test_a_rule_holds_when_the_scorer_fails_the_rest_of_the_batch() -> None:
    async with open_world() as world:
        await two_arms(world, challengers=(), rules=(LARGE,), fallback=CONSTANT)
        scorer = world.scorers["one"]
        scorer.failing = True

        large, small = await world.score_together(
            "one", partial(world.submit, "u9"), partial(world.submit, "u2")
        )

        assert (large.rule, large.score) == ("large", 1.0)
        assert large.degradation.level == pb.DEGRADATION_LEVEL_FULL
        assert (small.rule, small.score) == ("", 0.25)


async def test_who_is_decided_by_a_rule_does_not_wait_for_the_model() -> None:
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

        assert pb.ScoreResponse.FromString(await awaited(large)).rule == "large"
        assert not awaited(small).done()
        scorer.release.set()
        await awaited(small)


async def test_rules_decide_where_no_scorer_is_left() -> None:
    async with open_world() as world:
        await two_arms(world, challengers=(), rules=(LARGE,), fallback=CONSTANT)
        await world.deploy(
            deployment(revision=2, rules=(LARGE,), fallback=CONSTANT), ready={}, specs=[spec(1)]
        )

        large, small = await world.score("u9"), await world.score("u2")

        assert (large.rule, large.rule_action, large.score) == ("large", "review", 1.0)
        assert large.served_by.version == 1
        assert list(small.degradation.reasons) == ["scorer_unavailable", "constant_score"]
        assert [batch.rules for batch in world.score_logs] == [["large"], None]


async def test_a_rule_may_read_a_feature_that_only_requests_bring() -> None:
    country = replace(LARGE, name="abroad", feature="distance_km")
    async with open_world() as world:
        await two_arms(world, challengers=(), rules=(country,))

        far = await world.score("u2", features={"distance_km": 900.0})
        near = await world.score("u2", features={"distance_km": 1.0})

        assert (far.rule, near.rule) == ("abroad", "")
