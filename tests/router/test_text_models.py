"""The log of a version that reads texts besides numbers."""

from dataclasses import replace

import numpy as np
import pytest

from tests.router.samples import VIEW, deployment, spec
from tests.router.world import open_world
from understudy.domain.features import Feature, FeatureDtype, FeatureStatus
from understudy.domain.versions import DYNAMIC, TensorSpec

pytestmark = pytest.mark.virtual_time


async def test_a_text_blanks_neither_the_numbers_nor_the_statuses_of_its_row() -> None:
    view = replace(VIEW, features=(*VIEW.features, Feature("country", FeatureDtype.STRING)))
    datatypes = {"amount": "FP32", "count": "FP32", "country": "BYTES"}
    inputs = tuple(TensorSpec(name, kind, (DYNAMIC, 1)) for name, kind in datatypes.items())
    version = replace(spec(1, view=view), inputs=inputs)
    async with open_world() as world:
        world.store.put(view, "u1", {"amount": 7.0, "count": 1.0, "country": "LI"})
        world.store.put(view, "u2", {"count": 2.0, "country": None})
        await world.deploy(deployment(), ready={1: ["one"]}, specs=[version])

        await world.score("u1")
        await world.score("u2")

    full, degraded = world.score_logs
    assert full.feature_names == ("amount", "count", "country")
    assert full.features is not None
    assert full.statuses is None
    np.testing.assert_array_equal(full.features, np.array([[7.0, 1.0, np.nan]], np.float32))
    assert degraded.statuses is not None
    assert degraded.statuses.tolist() == [
        [FeatureStatus.DEFAULTED, FeatureStatus.PRESENT, FeatureStatus.MISSING]
    ]
