"""Rows with a missing value that the model would read as the number 0: it does not answer them."""

from dataclasses import replace

import pytest

from tests.router.reading import reasons_of
from tests.router.samples import MODEL, VIEW, deployment, spec
from tests.router.world import World, open_world, until
from understudy.domain.deployments import Fallback, Rule, RuleOperator, Shadow
from understudy.domain.errors import UnavailableError
from understudy.domain.features import Feature, FeatureDtype
from understudy.domain.versions import DYNAMIC, TensorSpec
from understudy.logs.batches import ShadowStatus
from understudy.scoring.v1 import scoring_pb2 as pb

pytestmark = pytest.mark.virtual_time

CITY = replace(
    VIEW,
    features=(
        Feature("amount", FeatureDtype.FLOAT32),
        Feature("age", FeatureDtype.FLOAT32),
        Feature("city", FeatureDtype.INT64),
    ),
)
INPUTS = (TensorSpec("x", "FP32", (DYNAMIC, 2)), TensorSpec("city", "INT64", (DYNAMIC, 1)))
EMBEDDED = replace(spec(1, view=CITY), inputs=INPUTS)


async def deploy_embedding(world: World, **parts: object) -> None:
    world.store.put(CITY, "whole", {"amount": 1.0, "age": 30.0, "city": 7})
    world.store.put(CITY, "homeless", {"amount": 2.0, "age": 30.0})
    world.store.put(CITY, "ageless", {"amount": 1.0, "city": 7})
    await world.deploy(
        deployment(**parts),
        ready={1: ["one"], 3: ["three"]},
        specs=[EMBEDDED, replace(spec(3, view=CITY), inputs=INPUTS)],
    )


async def test_an_id_that_is_missing_is_not_scored_as_the_id_0() -> None:
    async with open_world() as world:
        await deploy_embedding(world, fallback=Fallback(constant_score=0.25))

        whole, homeless, ageless = [
            await world.score(user) for user in ("whole", "homeless", "ageless")
        ]

    assert whole.degradation.level == pb.DEGRADATION_LEVEL_FULL
    assert homeless.degradation.level == pb.DEGRADATION_LEVEL_CONSTANT
    assert homeless.score == 0.25
    assert reasons_of(homeless) == ["features_missing", "constant_score"]
    # A tensor of floats says that the value is missing, and the model answers.
    assert ageless.degradation.level == pb.DEGRADATION_LEVEL_FULL


async def test_without_a_fallback_the_error_says_why_there_is_no_score() -> None:
    async with open_world() as world:
        await deploy_embedding(world)

        with pytest.raises(UnavailableError, match="a feature without a default is missing"):
            await world.score("homeless")


async def test_a_candidate_with_a_missing_id_fails_alone() -> None:
    async with open_world() as world:
        await deploy_embedding(world)

        answer = await world.score_batch(["whole", "homeless", "ageless"])

    errors = [result.error.message for result in answer.results]
    assert [bool(text) for text in errors] == [False, True, False]
    assert "without a default is missing" in errors[1]


async def test_a_rule_decides_a_row_that_the_model_cannot_read() -> None:
    rule = Rule("large", "amount", RuleOperator.GREATER, 1.5, "review", 1.0)
    async with open_world() as world:
        await deploy_embedding(world, rules=(rule,))

        assert (await world.score("homeless")).rule.name == "large"


@pytest.mark.parametrize("refuses", [False, True])
async def test_a_shadow_is_not_asked_about_an_id_that_is_missing(refuses: bool) -> None:
    async with open_world() as world:
        world.store.put(CITY, "homeless", {"amount": 2.0, "age": 30.0})
        plain = replace(EMBEDDED, feature_set=EMBEDDED.feature_set[:2], inputs=INPUTS[:1])
        await world.deploy(
            deployment(shadows=(Shadow(3, 10_000, refuses),)),
            ready={1: ["one"], 3: ["three"]},
            specs=[plain, replace(spec(3, view=CITY), inputs=INPUTS)],
        )

        await world.score("homeless")
        mirror = world.models.mirrors[(MODEL, 3)]
        await until(lambda: bool(world.shadow_logs))

    assert [batch.status for batch in world.shadow_logs] == [ShadowStatus.DEFAULTED]
    assert mirror.ledger.balances()
