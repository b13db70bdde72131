"""Shadows that may not be judged on defaults: such rows are counted, and not sent to them."""

from collections import Counter
from dataclasses import replace

import pytest

from tests.router.reading import reasons_of
from tests.router.samples import CONTRACT, MODEL, VIEW, deployment, spec
from tests.router.world import World, open_world, until
from understudy.domain.deployments import Shadow
from understudy.domain.features import Feature, FeatureDtype, FeatureRef, FeatureView
from understudy.domain.versions import DYNAMIC, TensorSpec
from understudy.logs.batches import ShadowStatus
from understudy.logs.ledger import MirrorLedger

pytestmark = pytest.mark.virtual_time
SHOP = FeatureView("shop", 1, "shop", (Feature("risk", FeatureDtype.FLOAT32, default=0.0),))
WIDE = replace(
    spec(3),
    feature_set=(FeatureRef("user", 1, "amount"), FeatureRef("shop", 1, "risk")),
    feature_views=(VIEW, SHOP),
    inputs=(TensorSpec("x", "FP32", (DYNAMIC, 2)),),
)


async def deploy_shadow(world: World, *, wide: bool, refuses: bool) -> None:
    for user in ("u1", "u2", "u3"):
        world.store.put(VIEW, user, {"amount": 1.0, "count": 1.0})
    world.store.put(SHOP, "s1", {"risk": 0.5})
    await world.deploy(
        deployment(
            shadows=(Shadow(3, 10_000, refuses),),
            contract=replace(CONTRACT, entities=("user", "shop")),
        ),
        ready={1: ["one"], 3: ["three"]},
        specs=[spec(1), WIDE if wide else spec(3)],
    )


async def settled(world: World) -> MirrorLedger:
    mirror = world.models.mirrors[(MODEL, 3)]
    await until(lambda: not mirror.in_flight_rows)
    assert mirror.ledger.balances()
    return mirror.ledger


def logged_rows(world: World) -> Counter[ShadowStatus]:
    rows: Counter[ShadowStatus] = Counter()
    for batch in world.shadow_logs:
        rows[batch.status] += batch.rows
    return rows


@pytest.mark.parametrize(("refuses", "dropped"), [(True, 2), (False, 0)])
async def test_requests_that_bring_less_than_a_shadow_needs_are_counted(
    refuses: bool, dropped: int
) -> None:
    async with open_world() as world:
        await deploy_shadow(world, wide=True, refuses=refuses)

        await world.score_together(
            "one",
            lambda: world.submit("u1"),
            lambda: world.submit("u2", other_entities={"shop": "s1"}),
            lambda: world.submit("u3", other_entities={"shop": "unknown"}),
            first="u9",
        )
        ledger = await settled(world)

        # u9 has no record; its features are the champion's, too.
        assert ledger.offered == 4
        assert ledger.dropped_defaulted == dropped + (1 if refuses else 0)
        scored = [batch for batch in world.shadow_logs if batch.status is ShadowStatus.OK]
        assert ledger.ok == sum(batch.rows for batch in scored)
        mirrored = {name for batch in scored for name in batch.request_ids}
        assert mirrored == ({"r-u2"} if refuses else {"r-u1", "r-u2", "r-u3", "r-u9"})


async def test_defaults_of_the_champion_are_no_comparison_either() -> None:
    async with open_world() as world:
        await deploy_shadow(world, wide=False, refuses=True)

        await world.score_together(
            "one", lambda: world.submit("u1"), lambda: world.submit("u8"), first="u2"
        )
        await world.score_batch(["u1", "u7"])
        await world.score_batch(["u1", "u3"])
        ledger = await settled(world)

        assert (ledger.offered, ledger.dropped_defaulted, ledger.ok) == (7, 3, 4)
        assert logged_rows(world) == {ShadowStatus.DEFAULTED: 3, ShadowStatus.OK: 4}


async def test_a_shadow_that_fails_after_rows_were_dropped_balances() -> None:
    async with open_world() as world:
        await deploy_shadow(world, wide=True, refuses=True)
        world.scorers["three"].failing = True

        await world.score_together(
            "one",
            lambda: world.submit("u1"),
            lambda: world.submit("u2", other_entities={"shop": "s1"}),
            first="u3",
        )
        ledger = await settled(world)

        assert (ledger.dropped_defaulted, ledger.error) == (2, 1)
        assert logged_rows(world) == {ShadowStatus.DEFAULTED: 2, ShadowStatus.ERROR: 1}


async def test_a_version_without_its_entity_answers_at_a_lower_level_with_the_reason() -> None:
    async with open_world() as world:
        await deploy_shadow(world, wide=True, refuses=False)
        await world.deploy(
            deployment(
                revision=2, champion=3, contract=replace(CONTRACT, entities=("user", "shop"))
            ),
            ready={3: ["three"]},
            specs=[WIDE],
        )

        without, with_shop = (
            await world.score("u1"),
            await world.score("u1", other_entities={"shop": "s1"}),
        )

        assert reasons_of(without) == ["features_defaulted"]
        assert reasons_of(with_shop) == []
