"""The log of a version that reads texts besides numbers."""

from dataclasses import replace

import pytest

from tests.router.samples import UTC_S, VIEW, deployment, spec
from tests.router.world import open_world
from understudy.domain.features import Feature, FeatureDtype, FeatureStatus
from understudy.domain.logged_features import FeatureList
from understudy.domain.versions import DYNAMIC, TensorSpec

pytestmark = pytest.mark.virtual_time


async def test_the_log_has_the_inputs_of_a_model_as_its_scorer_got_them() -> None:
    view = replace(
        VIEW,
        features=(
            Feature("amount", FeatureDtype.FLOAT64),
            Feature("serial", FeatureDtype.INT64),
            Feature("flag", FeatureDtype.BOOL),
            Feature("country", FeatureDtype.STRING),
        ),
    )
    datatypes = {"amount": "FP64", "serial": "INT64", "flag": "BOOL", "country": "BYTES"}
    inputs = tuple(TensorSpec(name, kind, (DYNAMIC, 1)) for name, kind in datatypes.items())
    version = replace(spec(1, view=view), inputs=inputs)
    values = {"amount": 1 / 3, "serial": 2**53 + 1, "flag": True, "country": "LI"}
    async with open_world() as world:
        world.store.put(view, "u1", values)
        await world.deploy(deployment(), ready={1: ["one"]}, specs=[version])

        await world.score("u1")
        sent = world.scorers["one"].received

    (logged,) = world.score_logs
    assert logged.features is not None
    assert dict(logged.features.listed.lists) == {
        FeatureList.DOUBLES: ("amount",),
        FeatureList.INT64S: ("serial", "flag"),
        FeatureList.TEXTS: ("country",),
    }
    doubles, integers, texts = (logged.features.values_of(place).tolist() for place in range(3))
    assert [*doubles[0], *integers[0], *texts[0]] == [column[0, 0] for column in sent]
    assert logged.features.event_times_ms.tolist() == [[round(UTC_S * 1000)]]


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

    full, with_nulls = world.score_logs
    assert full.features is not None
    assert full.features.listed.names == ("amount", "count", "country")
    assert full.features.listed.lists == (
        (FeatureList.FLOATS, ("amount", "count")),
        (FeatureList.TEXTS, ("country",)),
    )
    assert [full.features.values_of(place).tolist() for place in (0, 1)] == [
        [[7.0, 1.0]],
        [[b"LI"]],
    ]
    assert full.statuses is None
    assert with_nulls.statuses is not None
    assert with_nulls.statuses.tolist() == [
        [FeatureStatus.NULL_DEFAULTED, FeatureStatus.PRESENT, FeatureStatus.NULL]
    ]
