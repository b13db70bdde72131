"""The state that acts after a snapshot was applied."""

from dataclasses import replace

import pytest

from tests.router.samples import MODEL, deployment, ready_processes, spec
from tests.router.world import open_world
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
    assert before == first
    assert acting == replace(second, deployments=first.deployments, versions=(odd, spec(1)))
    assert MODEL in {each.model for each in acting.deployments}
