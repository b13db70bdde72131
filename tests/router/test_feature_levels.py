"""The level of an answer by its features: a null is a fact, a store that does not answer is a loss."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.batches.answer_batch import levels_of
from router.batches.fetch_features import STORE_ANSWERED_IN_PART
from router.decisions.reasons import feature_reasons
from tests.router.fakes import RemoteStore
from tests.router.reading import reasons_of
from tests.router.samples import VIEW, deployment, spec
from tests.router.world import open_world
from understudy.domain.deployments import DegradationLevel, DegradationReason, Shadow
from understudy.domain.features import ORDINARY_STATUSES, FeatureStatus
from understudy.logs.batches import ShadowStatus
from understudy.scoring.v1 import scoring_pb2 as pb

S = FeatureStatus
UNANSWERED = {S.LAST_KNOWN, S.UNREAD, S.UNREAD_DEFAULTED}


@given(st.lists(st.lists(st.sampled_from(S), min_size=3, max_size=3), min_size=1, max_size=6))
def test_only_a_value_that_is_no_fact_lowers_the_level(rows: list[list[FeatureStatus]]) -> None:
    levels, marks = levels_of(np.array(rows, dtype=np.uint8))

    for place, row in enumerate(rows):
        is_full = set(row) <= ORDINARY_STATUSES
        level = DegradationLevel.FULL if levels is None else levels[place]
        assert level == (DegradationLevel.FULL if is_full else DegradationLevel.FEATURES)
        mark = 0 if marks is None else int(marks[place])
        reasons = feature_reasons(mark, STORE_ANSWERED_IN_PART)
        assert bool(reasons) == (not is_full)
        assert (STORE_ANSWERED_IN_PART in reasons) == (not UNANSWERED.isdisjoint(row))


@pytest.mark.virtual_time
async def test_null_absent_and_unanswered_rows_of_one_batch_differ() -> None:
    store = RemoteStore()
    store.put(VIEW, "whole", {"amount": 1.0, "count": 1.0})
    store.put(VIEW, "null", {"amount": None, "count": None})
    store.put(VIEW, "silent", {"amount": 1.0, "count": 1.0})
    store.silent = {"silent"}
    names = ("whole", "null", "unknown", "silent")
    async with open_world(read_from=store) as world:
        await world.deploy(
            deployment(shadows=(Shadow(3, 10_000, refuses_defaults=True),)),
            ready={1: ["one"], 3: ["three"]},
            specs=[spec(1), spec(3)],
        )

        answers = await world.score_together(
            "one", *(lambda name=name: world.submit(name) for name in names), first="whole"
        )
        mirror = world.models.mirrors["fraud", 3]

    absent = {DegradationReason.FEATURES_DEFAULTED, DegradationReason.FEATURES_MISSING}
    whole, null, unknown, silent = answers
    for answer in (whole, null):
        assert answer.degradation.level == pb.DEGRADATION_LEVEL_FULL
        assert reasons_of(answer) == []
    assert set(reasons_of(unknown)) == absent
    assert set(reasons_of(silent)) == {*absent, STORE_ANSWERED_IN_PART}
    assert list(silent.degradation.missing_features) == ["count"]
    assert list(silent.degradation.defaulted_features) == ["amount"]
    logged = world.score_logs[-1]
    assert logged.levels.tolist() == [0, 0, 1, 1]
    assert logged.statuses is not None
    assert logged.statuses.tolist() == [
        [S.PRESENT, S.PRESENT],
        [S.NULL_DEFAULTED, S.NULL],
        [S.DEFAULTED, S.MISSING],
        [S.UNREAD_DEFAULTED, S.UNREAD],
    ]
    refused = sum(
        batch.rows for batch in world.shadow_logs if batch.status is ShadowStatus.DEFAULTED
    )
    assert (refused, mirror.ledger.offered) == (2, 5)
