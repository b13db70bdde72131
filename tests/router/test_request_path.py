"""The stages from admission to log, over fakes of the ports: each caller gets its own answer."""

import asyncio
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.router.reading import reasons_of
from tests.router.samples import MODEL, VIEW, deployment, spec
from tests.router.world import awaited, open_world, two_arms
from tests.virtual_time import run_on_virtual_time
from understudy.domain.deployments import (
    Challenger,
)
from understudy.domain.errors import InvalidInputError, NotFoundError
from understudy.domain.features import Feature, FeatureDtype
from understudy.scoring.v1 import scoring_pb2 as pb

pytestmark = pytest.mark.virtual_time


def version_of(score: float, index: int) -> int:
    """Return the version, which the fake scorer puts into the third decimal."""
    return round((score - index * 10) * 1000)


@given(order=st.permutations(range(60)), pauses=st.lists(st.integers(0, 3), max_size=60))
def test_each_caller_gets_its_own_answer_in_any_interleaving(
    order: list[int], pauses: list[int]
) -> None:
    async def scenario() -> None:
        async with open_world() as world:
            await two_arms(world)

            async def call(index: int) -> pb.ScoreResponse:
                return await world.score(f"u{index}")

            async with asyncio.TaskGroup() as callers:
                calls = {}
                for place, index in enumerate(order):
                    calls[index] = callers.create_task(call(index))
                    for _ in range(pauses[place] if place < len(pauses) else 0):
                        await asyncio.sleep(0)

            for index, task in calls.items():
                answer = task.result()
                assert answer.request_id == f"r-u{index}"
                assert version_of(answer.score, index) == answer.served_by.version

    run_on_virtual_time(scenario())


async def test_calls_that_arrive_while_the_scorer_is_busy_become_one_batch() -> None:
    async with open_world() as world:
        await two_arms(world, challengers=())
        scorer = world.scorers["one"]
        scorer.release = asyncio.Event()

        first = world.submit("u0")
        await scorer.entered.wait()
        rest = [world.submit(f"u{index}") for index in range(1, 11)]
        scorer.release.set()
        await asyncio.gather(awaited(first), *(awaited(call) for call in rest))

        assert scorer.batches == [1, 10]
        assert [len(read[0].entity_ids) for read in world.store.reads] == [1, 10]


async def test_the_log_has_every_answered_row_with_its_features() -> None:
    async with open_world() as world:
        await two_arms(world)

        answers = [await world.score(f"u{index}") for index in range(20)]

        logged = {
            request_id: (score, features[0])
            for batch in world.score_logs
            if batch.features is not None
            for request_id, score, features in zip(
                batch.request_ids, batch.scores, batch.features.values_of(0), strict=True
            )
        }
        assert logged == {
            f"r-u{index}": (answer.score, float(index)) for index, answer in enumerate(answers)
        }


async def test_an_unknown_entity_is_scored_with_defaults_visibly() -> None:
    async with open_world() as world:
        await two_arms(world, challengers=())

        answer = await world.score("nobody")

        assert answer.degradation.level == pb.DEGRADATION_LEVEL_FEATURES
        assert list(answer.degradation.defaulted_features) == ["amount"]
        assert list(answer.degradation.missing_features) == ["count"]
        assert "features_defaulted" in reasons_of(answer)


async def test_a_failing_store_costs_values_not_answers() -> None:
    async with open_world() as world:
        await two_arms(world, challengers=())
        world.store.failing = True

        answers = [await world.score("u7") for _ in range(5)]

        assert all(a.degradation.level == pb.DEGRADATION_LEVEL_FEATURES for a in answers)
        assert all("feature_store_unavailable" in reasons_of(a) for a in answers)


async def test_request_features_override_stored_ones() -> None:
    async with open_world() as world:
        await two_arms(world, challengers=())

        answer = await world.score("u7", features={"amount": 9.0})

        assert answer.score == pytest.approx(90.001)
        assert answer.degradation.level == pb.DEGRADATION_LEVEL_FULL


async def test_an_unready_challenger_leaves_its_share_to_the_champion_visibly() -> None:
    async with open_world() as world:
        await two_arms(world)
        await world.deploy(
            deployment(revision=2, challengers=(Challenger(2, 4_000),)),
            ready={1: ["one"]},
            specs=[spec(1), spec(2)],
        )

        answers = [await world.score(f"u{index}") for index in range(60)]

        assert {a.served_by.version for a in answers} == {1}
        taken_over = [a for a in answers if a.served_by.assigned.version == 2]
        assert 10 < len(taken_over) < 40
        assert all(a.served_by.assigned.arm == pb.ARM_CHALLENGER for a in taken_over)


async def test_a_challenger_that_fails_leaves_its_units_to_the_champion() -> None:
    async with open_world() as world:
        await two_arms(world)
        world.scorers["two"].failing = True

        answers = [await world.score(f"u{index}") for index in range(60)]

        assert {a.served_by.version for a in answers} == {1}
        assert {a.degradation.level for a in answers} == {pb.DEGRADATION_LEVEL_FULL}
        assert {a.served_by.assigned.version for a in answers} == {0, 2}


async def test_a_champion_that_is_not_ready_does_not_replace_a_working_one() -> None:
    async with open_world() as world:
        await two_arms(world, challengers=())
        await world.deploy(
            deployment(revision=2, champion=3), ready={1: ["one"]}, specs=[spec(1), spec(3)]
        )
        before = await world.score("u7")
        await world.deploy(
            deployment(revision=2, champion=3),
            ready={1: ["one"], 3: ["three"]},
            specs=[spec(1), spec(3)],
        )
        after = await world.score("u7")

        assert (before.served_by.version, before.served_by.revision) == (1, 2)
        assert after.served_by.version == 3


async def test_work_is_answered_under_the_revision_that_admitted_it() -> None:
    async with open_world() as world:
        await two_arms(world, challengers=())
        scorer = world.scorers["one"]
        scorer.release = asyncio.Event()
        old = world.submit("u1")
        await scorer.entered.wait()
        queued = world.submit("u2")

        await world.deploy(deployment(revision=2), ready={1: ["one"]}, specs=[spec(1)])
        new = world.submit("u3")
        scorer.release.set()
        answers = [pb.ScoreResponse.FromString(await awaited(call)) for call in (old, queued, new)]

        assert [a.served_by.revision for a in answers] == [1, 1, 2]


async def test_reasons_belong_to_the_row_not_to_its_batch() -> None:
    async with open_world() as world:
        await two_arms(world, challengers=())

        answers = await world.score_together(
            "one",
            partial(world.submit, "u1"),
            partial(world.submit, "nobody", features={"count": 1.0}),
            partial(world.submit, "nobody", features={"amount": 1.0}),
        )

        assert world.scorers["one"].batches == [1, 3]
        assert [reasons_of(answer) for answer in answers] == [
            [],
            ["features_defaulted"],
            ["features_missing"],
        ]
        assert world.counters.degraded == {
            (MODEL, "features_defaulted"): 1,
            (MODEL, "features_missing"): 1,
        }


async def test_thresholds_of_request_and_deployment_decide() -> None:
    async with open_world() as world:
        await two_arms(world, challengers=(), decision_threshold=50.0)

        plain = await world.score("u5")
        own = await world.score("u5", threshold=51.0)

        assert (plain.decision, own.decision) == (pb.DECISION_AT_OR_ABOVE, pb.DECISION_BELOW)
        assert [batch.decisions.tolist() for batch in world.score_logs] == [[1], [0]]


async def test_digests_and_outputs_come_on_request() -> None:
    async with open_world() as world:
        await two_arms(world, challengers=())

        plain = await world.score("u5")
        asked = await world.score("u5", include_digests=True, outputs=("score",))

        assert not plain.served_by.HasField("digests")
        assert not plain.outputs
        assert asked.served_by.digests.artifact == f"{1:064x}"
        assert list(asked.outputs[0].values) == [asked.score]


async def test_digests_go_to_the_callers_of_a_batch_who_requested_them() -> None:
    async with open_world() as world:
        await two_arms(world, challengers=())

        answers = await world.score_together(
            "one",
            *(
                partial(world.submit, f"u{index}", include_digests=index % 2 == 1)
                for index in range(4)
            ),
        )

    assert world.scorers["one"].batches == [1, 4]
    assert [answer.served_by.HasField("digests") for answer in answers] == [False, True] * 2


async def test_candidates_are_scored_sorted_and_truncated() -> None:
    async with open_world() as world:
        await two_arms(world, challengers=())

        answer = await world.score_batch([f"u{index}" for index in (3, 9, 1, 7)], top_k=2)

        assert [(r.id, r.index) for r in answer.results] == [("u9", 1), ("u7", 3)]
        assert world.scorers["one"].batches == [4]


async def test_a_faulty_candidate_does_not_affect_the_others() -> None:
    async with open_world() as world:
        await two_arms(world, challengers=())

        answer = await world.score_batch(
            ["u3", "", "u4"], features=[{}, {}, {"amount": float("nan")}]
        )

        assert [r.HasField("error") for r in answer.results] == [False, True, True]
        assert round(answer.results[0].score, 3) == 30.001
        assert "features" in answer.results[2].error.message


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ({"features": {"nope": 1.0}}, "features[nope]"),
        ({"features": {"amount": "text"}}, "features.amount"),
        ({"features": {"amount": float("inf")}}, "features.amount"),
        ({"request_id": "x" * 300}, "request_id"),
        ({"request_id": ""}, "request_id"),
        ({"unit_key": ""}, "unit_key"),
        ({"outputs": ("nope",)}, "outputs"),
        ({"threshold": float("nan")}, "decision_threshold"),
    ],
)
async def test_bad_input_names_its_field(asked: dict[str, Any], field: str) -> None:
    async with open_world() as world:
        await two_arms(world)

        with pytest.raises(InvalidInputError) as caught:
            world.submit("u1", **asked)

        assert field in {fault.field for fault in caught.value.faults}


async def test_an_unknown_model_does_not_exist() -> None:
    async with open_world() as world:
        with pytest.raises(NotFoundError):
            world.submit("u1")


async def test_records_of_another_definition_are_missing_and_counted() -> None:
    other = replace(VIEW, features=(*VIEW.features, Feature("new", FeatureDtype.FLOAT32)))
    async with open_world() as world:
        await two_arms(world, challengers=())
        world.store.put(other, "u7", {"amount": 7.0, "count": 1.0, "new": 1.0})

        answer = await world.score("u7")

        assert list(answer.degradation.defaulted_features) == ["amount"]
        assert world.counters.wrong_digest_records == 1
