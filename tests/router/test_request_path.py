"""The stages from admission to log, over fakes of the ports: each caller gets its own answer."""

import asyncio
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.deployments import (
    Challenger,
    DegradationLevel,
    Deployment,
    Fallback,
    Rule,
    RuleOperator,
    Shadow,
)
from domain.errors import DeadlinePassedError, InvalidInputError, NotFoundError, UnavailableError
from tests.router.world import MODEL, VIEW, World, open_world, spec, until
from understudy.v1 import scoring_pb2 as pb


def deployment(**changes: object) -> Deployment:
    return Deployment(**{"model": MODEL, "revision": 1, "champion": 1, "salt": "s", **changes})  # type: ignore[arg-type]  # a test states only what matters


async def two_arms(world: World, **changes: object) -> None:
    for index in range(60):
        world.store.put(VIEW, f"u{index}", {"amount": float(index), "count": 1.0})
    await world.deploy(
        deployment(**{"challengers": (Challenger(2, 4_000),), **changes}),
        ready={1: ["one"], 2: ["two"], 3: ["three"]},
        specs=[spec(1), spec(2), spec(3)],
    )


def version_of(score: float, index: int) -> int:
    """The fake scorer leaves its mark in the third decimal."""
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

    asyncio.run(scenario())


async def test_what_arrives_while_the_scorer_is_busy_becomes_one_batch() -> None:
    async with open_world() as world:
        await two_arms(world, challengers=())
        scorer = world.scorers["one"]
        scorer.release = asyncio.Event()

        first = world.submit("u0")
        await scorer.entered.wait()
        rest = [world.submit(f"u{index}") for index in range(1, 11)]
        scorer.release.set()
        await asyncio.gather(first.answer, *(work.answer for work in rest))

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
                batch.request_ids, batch.scores, batch.features, strict=True
            )
        }
        assert logged == {
            f"r-u{index}": (answer.score, float(index)) for index, answer in enumerate(answers)
        }


async def test_an_unknown_entity_is_scored_with_defaults_and_says_so() -> None:
    async with open_world() as world:
        await two_arms(world, challengers=())

        answer = await world.score("nobody")

        assert answer.degradation.level == pb.DEGRADATION_LEVEL_FEATURES
        assert list(answer.degradation.defaulted_features) == ["amount"]
        assert list(answer.degradation.missing_features) == ["count"]
        assert "features_defaulted" in answer.degradation.reasons


async def test_a_store_in_trouble_costs_values_not_answers() -> None:
    async with open_world() as world:
        await two_arms(world, challengers=())
        world.store.failing = True

        answers = [await world.score("u7") for _ in range(5)]

        assert all(a.degradation.level == pb.DEGRADATION_LEVEL_FEATURES for a in answers)
        assert all("feature_store_unavailable" in a.degradation.reasons for a in answers)


async def test_request_features_win_over_stored_ones() -> None:
    async with open_world() as world:
        await two_arms(world, challengers=())

        answer = await world.score("u7", features={"amount": 9.0})

        assert answer.score == pytest.approx(90.001)
        assert answer.degradation.level == pb.DEGRADATION_LEVEL_FULL


async def test_a_dead_scorer_falls_back_to_the_declared_version() -> None:
    async with open_world() as world:
        await two_arms(world, challengers=(), fallback=Fallback(version=3))
        world.scorers["one"].failing = True

        answer = await world.score("u7")

        assert answer.served_by.version == 3
        assert answer.degradation.level == pb.DEGRADATION_LEVEL_FALLBACK
        assert list(answer.degradation.reasons) == ["scorer_unavailable", "fallback_version"]


async def test_the_last_score_of_the_unit_stands_in() -> None:
    async with open_world() as world:
        await two_arms(world, challengers=(), fallback=Fallback(last_score=True))
        before = await world.score("u7")
        world.scorers["one"].failing = True

        answer = await world.score("u7")

        assert answer.score == before.score
        assert answer.degradation.level == pb.DEGRADATION_LEVEL_FALLBACK
        assert "last_score" in answer.degradation.reasons


async def test_the_constant_is_the_last_step() -> None:
    async with open_world() as world:
        await two_arms(world, challengers=(), fallback=Fallback(constant_score=0.25))
        world.scorers["one"].failing = True

        answer = await world.score("u7")

        assert (answer.score, answer.degradation.level) == (0.25, pb.DEGRADATION_LEVEL_CONSTANT)
        assert world.score_logs[-1].levels.tolist() == [3]


async def test_without_a_declared_step_the_caller_gets_an_error() -> None:
    async with open_world() as world:
        await two_arms(world, challengers=())
        world.scorers["one"].failing = True

        with pytest.raises(UnavailableError):
            await world.score("u7")


async def test_a_failed_batch_is_tried_once_more_on_another_replica() -> None:
    async with open_world() as world:
        await two_arms(world, challengers=())
        await world.deploy(deployment(), ready={1: ["one", "other"]}, specs=[spec(1)])
        world.scorers["one"].failing = True

        answers = [await world.score(f"u{index}") for index in range(20)]

        assert all(a.degradation.level == pb.DEGRADATION_LEVEL_FULL for a in answers)


async def test_a_scorer_comes_back_through_a_probe() -> None:
    async with open_world() as world:
        await two_arms(world, challengers=(), fallback=Fallback(constant_score=0.25))
        scorer = world.scorers["one"]
        scorer.failing = True
        for _ in range(3):
            await world.score("u7")
        scorer.failing = False

        lane = world.models.find(MODEL).lanes[1].lane  # type: ignore[union-attr]  # just deployed
        await until(lambda: lane.open_pullers)

        assert (await world.score("u7")).degradation.level == pb.DEGRADATION_LEVEL_FULL


async def test_a_hung_scorer_is_answered_for_before_the_deadline() -> None:
    async with open_world() as world:
        await two_arms(world, challengers=(), fallback=Fallback(constant_score=0.25))
        world.scorers["one"].release = asyncio.Event()
        live = world.models.find(MODEL)
        assert live is not None

        in_flight = world.submit("u1")
        await world.scorers["one"].entered.wait()
        queued = world.submit("u2")
        live.fall_back_if_due(in_flight.answer_by_s + 0.001)
        live.fall_back_if_due(queued.answer_by_s + 0.001)

        for work in (in_flight, queued):
            answer = pb.ScoreResponse.FromString(work.answer.result())
            assert answer.score == 0.25
            assert "deadline_near" in answer.degradation.reasons


async def test_late_scores_are_counted_and_reach_nobody() -> None:
    async with open_world() as world:
        await two_arms(world, challengers=(), fallback=Fallback(constant_score=0.25))
        scorer = world.scorers["one"]
        scorer.release = asyncio.Event()
        live = world.models.find(MODEL)
        assert live is not None
        work = world.submit("u1")
        await scorer.entered.wait()
        live.fall_back_if_due(work.answer_by_s + 0.001)

        scorer.release.set()
        await until(lambda: world.counters.late_rows)

        assert world.counters.late_rows == 1
        assert sum(batch.rows for batch in world.score_logs) == 1


async def test_no_fallback_and_no_time_is_a_deadline_error() -> None:
    async with open_world() as world:
        await two_arms(world, challengers=())
        world.scorers["one"].release = asyncio.Event()
        live = world.models.find(MODEL)
        assert live is not None
        work = world.submit("u1")

        await world.scorers["one"].entered.wait()
        live.fall_back_if_due(work.answer_by_s + 0.001)

        with pytest.raises(DeadlinePassedError):
            work.answer.result()


async def test_a_score_that_is_no_number_goes_down_the_ladder_alone() -> None:
    async with open_world() as world:
        await two_arms(world, challengers=(), fallback=Fallback(constant_score=0.25))
        scorer = world.scorers["one"]
        scorer.answers_nan_for = 5.0
        scorer.release = asyncio.Event()
        first = world.submit("u0")
        await scorer.entered.wait()
        works = [world.submit(f"u{index}") for index in (4, 5, 6)]

        scorer.release.set()
        await asyncio.gather(first.answer, *(work.answer for work in works))

        answers = [pb.ScoreResponse.FromString(work.answer.result()) for work in works]
        assert [round(a.score, 3) for a in answers] == [40.001, 0.25, 60.001]


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
        taken_over = [a for a in answers if a.served_by.assigned_version == 2]
        assert 10 < len(taken_over) < 40
        assert all(a.served_by.assigned_arm == pb.ARM_CHALLENGER for a in taken_over)


async def test_a_challenger_that_fails_leaves_its_units_to_the_champion() -> None:
    async with open_world() as world:
        await two_arms(world)
        world.scorers["two"].failing = True

        answers = [await world.score(f"u{index}") for index in range(60)]

        assert {a.served_by.version for a in answers} == {1}
        assert {a.degradation.level for a in answers} == {pb.DEGRADATION_LEVEL_FULL}
        assert {a.served_by.assigned_version for a in answers} == {0, 2}


async def test_a_champion_that_is_not_ready_does_not_replace_one_that_works() -> None:
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
        answers = [pb.ScoreResponse.FromString(await work.answer) for work in (old, queued, new)]

        assert [a.served_by.revision for a in answers] == [1, 1, 2]


async def test_rules_decide_before_the_model() -> None:
    rule = Rule("large", "amount", RuleOperator.GREATER, 5.0, "review", 1.0)
    async with open_world() as world:
        await two_arms(world, challengers=(), rules=(rule,))

        small, large = await world.score("u5"), await world.score("u6")

        assert (small.rule, round(small.score, 3)) == ("", 50.001)
        assert (large.rule, large.rule_action, large.score) == ("large", "review", 1.0)
        assert world.scorers["one"].batches == [1]
        assert [batch.rules for batch in world.score_logs] == [None, ["large"]]


async def test_thresholds_of_request_and_deployment_decide() -> None:
    async with open_world() as world:
        await two_arms(world, challengers=(), decision_threshold=50.0)

        plain = await world.score("u5")
        own = await world.score("u5", threshold=51.0)

        assert (plain.decision, own.decision) == (True, False)
        assert [batch.decisions.tolist() for batch in world.score_logs] == [[1], [0]]


async def test_digests_and_outputs_come_on_request() -> None:
    async with open_world() as world:
        await two_arms(world, challengers=())

        plain = await world.score("u5")
        asked = await world.score("u5", include_digests=True, outputs=("score",))

        assert not plain.served_by.artifact_digest
        assert not plain.outputs
        assert asked.served_by.artifact_digest == f"{1:064x}"
        assert list(asked.outputs[0].values) == [asked.score]


async def test_a_drill_answers_from_the_ladder_and_ends() -> None:
    async with open_world() as world:
        await two_arms(world, challengers=(), fallback=Fallback(constant_score=0.25))

        world.drill.start(
            level=pb_level(pb.DEGRADATION_LEVEL_CONSTANT), duration_s=60, actor="a", reason="r"
        )
        drilled = await world.score("u5")
        world.drill.start(
            level=pb_level(pb.DEGRADATION_LEVEL_FULL), duration_s=0, actor="a", reason="r"
        )
        after = await world.score("u5")

        assert drilled.degradation.level == pb.DEGRADATION_LEVEL_CONSTANT
        assert "drill" in drilled.degradation.reasons
        assert after.degradation.level == pb.DEGRADATION_LEVEL_FULL


def pb_level(number: int) -> DegradationLevel:
    return DegradationLevel(number)


async def test_candidates_are_scored_sorted_and_cut() -> None:
    async with open_world() as world:
        await two_arms(world, challengers=())

        answer = await world.score_batch([f"u{index}" for index in (3, 9, 1, 7)], top_k=2)

        assert [(r.id, r.index) for r in answer.results] == [("u9", 1), ("u7", 3)]
        assert world.scorers["one"].batches == [4]


async def test_a_faulty_candidate_does_not_touch_the_others() -> None:
    async with open_world() as world:
        await two_arms(world, challengers=())

        answer = await world.score_batch(
            ["u3", "", "u4"], features=[{}, {}, {"amount": float("nan")}]
        )

        assert [r.HasField("error") for r in answer.results] == [False, True, True]
        assert round(answer.results[0].score, 3) == 30.001
        assert "features" in answer.results[2].error.message


async def test_mirrored_rows_are_all_accounted_for() -> None:
    async with open_world(mirror_rows=16) as world:
        await two_arms(world, challengers=(), shadows=(Shadow(3, 7_000),))
        shadow = world.scorers["three"]
        shadow.release = asyncio.Event()
        mirror = world.models.mirrors[(MODEL, 3)]

        for index in range(60):
            await world.score(f"u{index}")
        assert mirror.ledger.balances(mirror.in_flight_rows)
        shadow.release.set()
        await until(lambda: not mirror.in_flight_rows)

        ledger = mirror.ledger
        assert ledger.offered == 60
        assert ledger.balances()
        assert ledger.sampled_out > 0
        assert ledger.dropped_queue_full > 0
        assert ledger.ok == sum(batch.rows for batch in world.shadow_logs)
        for batch in world.shadow_logs:
            assert np.allclose(batch.shadow_scores - batch.champion_scores, 0.002)


async def test_what_a_rule_or_the_fallback_decided_is_not_mirrored() -> None:
    rule = Rule("large", "amount", RuleOperator.GREATER, 5.0, "review", 1.0)
    async with open_world() as world:
        await two_arms(
            world,
            challengers=(),
            shadows=(Shadow(3, 10_000),),
            rules=(rule,),
            fallback=Fallback(version=2),
        )
        mirror = world.models.mirrors[(MODEL, 3)]

        for index in (1, 2, 6, 7):
            await world.score(f"u{index}")
        await world.score_batch(["u1", "u9"])
        world.scorers["one"].failing = True
        fell = await world.score("u3")
        await until(lambda: not mirror.in_flight_rows)

        assert fell.served_by.version == 2
        assert mirror.ledger.offered == mirror.ledger.ok == 2
        mirrored = [name for batch in world.shadow_logs for name in batch.request_ids]
        assert sorted(mirrored) == ["r-u1", "r-u2"]


async def test_a_shadow_that_fails_is_counted_and_hurts_nobody() -> None:
    async with open_world() as world:
        await two_arms(world, challengers=(), shadows=(Shadow(3, 10_000),))
        world.scorers["three"].failing = True
        mirror = world.models.mirrors[(MODEL, 3)]

        answers = [await world.score(f"u{index}") for index in range(10)]
        await until(lambda: not mirror.in_flight_rows)

        assert all(a.degradation.level == pb.DEGRADATION_LEVEL_FULL for a in answers)
        assert mirror.ledger.error == 10
        assert {batch.status for batch in world.shadow_logs} == {"error"}


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ({"features": {"nope": 1.0}}, "features[nope]"),
        ({"features": {"amount": "text"}}, "features.amount"),
        ({"features": {"amount": float("inf")}}, "features.amount"),
        ({"request_id": "x" * 300}, "request_id"),
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
