"""The state that acts after a snapshot was applied."""

from dataclasses import replace

import pytest

from tests.router.samples import MODEL, deployment, ready_processes, spec
from tests.router.world import open_world
from understudy.domain.acting import WithheldReason
from understudy.domain.deployments import Challenger
from understudy.domain.features import FeatureRef
from understudy.domain.snapshots import Snapshot

pytestmark = pytest.mark.stopped_clock


async def test_a_revision_that_cannot_be_compiled_does_not_act() -> None:
    ready = ready_processes({1: ["a"], 2: ["b"]})
    odd = replace(spec(2), feature_set=(FeatureRef("user", 1, "absent"),))
    first = Snapshot("a test", 1, (deployment(),), (spec(1),), ready)
    second = Snapshot("a test", 2, (deployment(revision=2, champion=2),), (odd,), ready)
    async with open_world() as world:
        before = await world.models.apply(first)

        acting = await world.models.apply(second)

        assert world.live().deployment.revision == 1
    assert replace(before, acting=()) == first
    assert replace(acting, acting=()) == replace(
        second, deployments=first.deployments, versions=(odd, spec(1))
    )
    assert MODEL in {each.model for each in acting.deployments}


async def test_a_restarted_router_lets_the_version_act_that_acted_before() -> None:
    """The declared champion cannot load any more; the acting one is a challenger as well."""
    deployed = deployment(champion=1, challengers=(Challenger(2, 1_000),))
    before = Snapshot(
        *("a test", 1, (replace(deployed, champion=2, challengers=()),)),
        versions=(spec(1), spec(2), spec(3)),
        scorers=ready_processes({2: ["b"], 3: ["c"]}),
    )
    after = replace(before, sequence=2, deployments=(replace(deployed, revision=2),))
    async with open_world() as world:
        await world.models.apply(before)
        remembered = await world.models.apply(after)
        assert world.live().effective.champion == 2

    async with open_world() as world:
        await world.models.apply(remembered)

        assert world.live().effective.champion == 2
        assert world.live().effective.champion_withheld is WithheldReason.NOT_READY
        assert world.models.in_effect().acting == remembered.acting
