"""The ladder, over fakes of the ports: the answers when a scorer cannot answer."""

import asyncio

import pytest

from tests.router.reading import reasons_of
from tests.router.samples import MODEL, as_champion, deployment, spec
from tests.router.world import awaited, open_world, two_arms, until
from understudy.domain.deployments import (
    Challenger,
    DegradationLevel,
    Fallback,
)
from understudy.domain.errors import DeadlinePassedError, InvalidInputError, UnavailableError
from understudy.scoring.v1 import scoring_pb2 as pb

pytestmark = pytest.mark.virtual_time


async def test_a_dead_scorer_falls_back_to_the_declared_version() -> None:
    async with open_world() as world:
        await two_arms(world, challengers=(), fallback=Fallback(version=3))
        world.scorers["one"].failing = True

        answer = await world.score("u7")

        assert answer.served_by.version == 3
        assert answer.degradation.level == pb.DEGRADATION_LEVEL_FALLBACK
        assert reasons_of(answer) == ["scorer_unavailable", "fallback_version"]


async def test_a_former_champion_answers_for_one_that_does_not_until_it_is_back() -> None:
    async with open_world() as world:
        await two_arms(world, challengers=(), standby=(3,))
        assert (await world.score("u7")).served_by.version == 1
        champion = world.scorers["one"]

        champion.failing = True
        during = [await world.score("u7") for _ in range(20)]
        asked = len(champion.batches)
        champion.failing = False
        await until(lambda: world.live().effective.champion == 1)
        after = await world.score("u7")

    assert {answer.served_by.version for answer in during} == {3}
    first, last = during[0], during[-1]
    assert reasons_of(first) == ["scorer_unavailable", "fallback_version"], "while it is found out"
    assert last.degradation.level == pb.DEGRADATION_LEVEL_FULL
    assert asked > 0
    assert (after.served_by.version, reasons_of(after)) == (1, [])


async def test_a_blocked_version_answers_nothing_whatever_is_declared() -> None:
    async with open_world() as world:
        await two_arms(
            world, challengers=(Challenger(2, 5_000),), fallback=Fallback(version=2), standby=(3,)
        )
        await world.score("u1")

        await two_arms(
            world,
            challengers=(Challenger(2, 5_000),),
            fallback=Fallback(version=2),
            standby=(3,),
            blocked=(1, 2),
        )
        answers = [await world.score(f"u{index}") for index in range(20)]
        world.scorers["three"].failing = True
        with pytest.raises(UnavailableError):
            await world.score("u1")

    assert {answer.served_by.version for answer in answers} == {3}


async def test_a_former_champion_is_not_asked_if_another_answer_is_declared() -> None:
    async with open_world() as world:
        await two_arms(world, challengers=(), standby=(3,), fallback=Fallback(constant_score=0.25))
        world.scorers["one"].failing = True

        answer = await world.score("u7")

        assert (answer.score, answer.degradation.level) == (0.25, pb.DEGRADATION_LEVEL_CONSTANT)


async def test_fallen_and_assigned_calls_of_the_fallback_version_are_distinguished() -> None:
    async with open_world() as world:
        await two_arms(world, challengers=(Challenger(2, 5_000),), fallback=Fallback(version=2))
        first_of: dict[int, str] = {}
        for index in range(60):
            first_of.setdefault((await world.score(f"u{index}")).served_by.version, f"u{index}")
        challenger = world.scorers["two"]
        challenger.entered.clear()
        challenger.release = asyncio.Event()
        blocking = world.submit(first_of[2])
        await challenger.entered.wait()
        world.scorers["one"].failing = True
        own = world.submit("nobody", unit_key=first_of[2])
        fell = world.submit(first_of[1])
        await until(lambda: fell.progress.tried_fallback)
        challenger.release.set()

        await awaited(blocking)
        answers = [pb.ScoreResponse.FromString(await awaited(call)) for call in (own, fell)]
        await asyncio.sleep(0)  # answers are counted once the callers have them

        assert challenger.batches[-1] == 2
        assert [reasons_of(answer) for answer in answers] == [
            ["features_defaulted", "features_missing"],
            ["scorer_unavailable", "fallback_version"],
        ]
        assert world.counters.degraded[(MODEL, "fallback_version")] == 1


async def test_the_last_score_of_the_unit_is_used() -> None:
    async with open_world() as world:
        await two_arms(world, challengers=(), fallback=Fallback(last_score_max_age_s=3600.0))
        before = await world.score("u7")
        world.scorers["one"].failing = True

        answer = await world.score("u7")

        assert answer.score == before.score
        assert answer.degradation.level == pb.DEGRADATION_LEVEL_FALLBACK
        assert "last_score" in reasons_of(answer)


async def test_a_last_score_belongs_to_the_entity_whatever_the_unit_key() -> None:
    async with open_world() as world:
        await two_arms(world, challengers=(), fallback=Fallback(last_score_max_age_s=3600.0))
        await world.score("u3", unit_key="u7")
        await world.score("u7", features={"amount": -300.0})
        world.scorers["one"].failing = True

        with pytest.raises(UnavailableError):
            await world.score("u7")


@pytest.mark.parametrize(("max_age_s", "stands_in"), [(60.0, True), (59.0, False)])
async def test_a_last_score_is_used_until_it_is_too_old(
    max_age_s: float, *, stands_in: bool
) -> None:
    declared = Fallback(last_score_max_age_s=max_age_s, constant_score=0.25)
    async with open_world() as world:
        await two_arms(world, challengers=(), fallback=declared)
        before = await world.score("u7")
        world.scorers["one"].failing = True
        await asyncio.sleep(59.5)

        answer = await world.score("u7")

        assert answer.score == (before.score if stands_in else 0.25)


async def test_a_row_that_the_scorer_refuses_does_not_fail_others() -> None:
    async with open_world() as world:
        await two_arms(world, challengers=())
        scorer = world.scorers["one"]
        scorer.refuses = 5.0
        scorer.release = asyncio.Event()
        first = world.submit("u0")
        await scorer.entered.wait()
        calls = [world.submit(f"u{index}") for index in (4, 5, 6)]

        scorer.release.set()
        ended = await asyncio.gather(
            awaited(first), *(awaited(w) for w in calls), return_exceptions=True
        )
        again = [await world.score("u7") for _ in range(5)]

        assert [isinstance(each, InvalidInputError) for each in ended] == [
            False,
            False,
            True,
            False,
        ]
        assert {a.degradation.level for a in again} == {pb.DEGRADATION_LEVEL_FULL}, "breaker opened"


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


async def test_a_failed_batch_is_tried_twice_and_no_more() -> None:
    async with open_world(cool_down_s=60.0) as world:
        replicas = ["one", "other", "third", "fourth"]
        await two_arms(world, challengers=())
        await world.deploy(
            deployment(fallback=Fallback(constant_score=0.25)),
            ready={1: replicas},
            specs=[spec(1)],
        )
        for replica in replicas:
            world.scorers[replica].failing = True

        answer = await world.score("u7")

        assert answer.degradation.level == pb.DEGRADATION_LEVEL_CONSTANT
        assert sum(len(world.scorers[replica].batches) for replica in replicas) == 2


async def test_a_hung_scorer_opens_its_breaker_at_once() -> None:
    async with open_world(scorer_timeout_s=0.02) as world:  # one failure alone opens none
        await two_arms(world, challengers=(), fallback=Fallback(constant_score=0.25))
        world.scorers["one"].release = asyncio.Event()
        live = world.live()

        (puller,) = live.lanes[as_champion(1)].pullers

        answer = await world.score("u7")
        await until(lambda: not puller.in_flight)

        assert answer.score == 0.25
        assert not puller.guarded.breaker.is_closed, "it would take more calls"


async def test_a_scorer_returns_after_a_probe() -> None:
    async with open_world() as world:
        await two_arms(world, challengers=(), fallback=Fallback(constant_score=0.25))
        scorer = world.scorers["one"]
        scorer.failing = True
        for _ in range(3):
            await world.score("u7")
        scorer.failing = False

        lane = world.live().lanes[as_champion(1)].lane
        await until(lambda: lane.open_pullers)

        assert (await world.score("u7")).degradation.level == pb.DEGRADATION_LEVEL_FULL


async def test_calls_of_a_hung_scorer_are_answered_before_the_deadline() -> None:
    async with open_world() as world:
        await two_arms(world, challengers=(), fallback=Fallback(constant_score=0.25))
        world.scorers["one"].release = asyncio.Event()
        live = world.live()

        in_flight = world.submit("u1")
        await world.scorers["one"].entered.wait()
        queued = world.submit("u2")
        live.fall_back_if_due(in_flight.answer_by_s + 0.001)
        live.fall_back_if_due(queued.answer_by_s + 0.001)

        for call in (in_flight, queued):
            answer = pb.ScoreResponse.FromString(awaited(call).result())
            assert answer.score == 0.25
            assert "deadline_near" in reasons_of(answer)


async def test_late_scores_are_counted_and_discarded() -> None:
    async with open_world() as world:
        await two_arms(world, challengers=(), fallback=Fallback(constant_score=0.25))
        scorer = world.scorers["one"]
        scorer.release = asyncio.Event()
        live = world.live()
        call = world.submit("u1")
        await scorer.entered.wait()
        live.fall_back_if_due(call.answer_by_s + 0.001)

        scorer.release.set()
        await until(lambda: world.counters.late_rows)

        assert world.counters.late_rows == 1
        assert sum(batch.rows for batch in world.score_logs) == 1


async def test_no_fallback_and_no_time_is_a_deadline_error() -> None:
    async with open_world() as world:
        await two_arms(world, challengers=())
        world.scorers["one"].release = asyncio.Event()
        live = world.live()
        call = world.submit("u1")

        await world.scorers["one"].entered.wait()
        live.fall_back_if_due(call.answer_by_s + 0.001)

        with pytest.raises(DeadlinePassedError):
            awaited(call).result()


async def test_only_the_row_whose_score_is_not_a_number_goes_down_the_ladder() -> None:
    async with open_world() as world:
        await two_arms(world, challengers=(), fallback=Fallback(constant_score=0.25))
        scorer = world.scorers["one"]
        scorer.answers_nan_for = 5.0
        scorer.release = asyncio.Event()
        first = world.submit("u0")
        await scorer.entered.wait()
        calls = [world.submit(f"u{index}") for index in (4, 5, 6)]

        scorer.release.set()
        await asyncio.gather(awaited(first), *(awaited(call) for call in calls))

        answers = [pb.ScoreResponse.FromString(awaited(call).result()) for call in calls]
        assert [round(a.score, 3) for a in answers] == [40.001, 0.25, 60.001]


async def test_a_drill_answers_from_the_ladder_and_ends() -> None:
    async with open_world() as world:
        await two_arms(world, challengers=(), fallback=Fallback(constant_score=0.25))

        world.pipeline.drill.start(
            world.pipeline.drill.planned(
                DegradationLevel.CONSTANT, duration_s=60, actor="a", reason="r"
            )
        )
        drilled = await world.score("u5")
        world.pipeline.drill.start(
            world.pipeline.drill.planned(DegradationLevel.FULL, duration_s=0, actor="a", reason="r")
        )
        after = await world.score("u5")

        assert drilled.degradation.level == pb.DEGRADATION_LEVEL_CONSTANT
        assert "drill" in reasons_of(drilled)
        assert after.degradation.level == pb.DEGRADATION_LEVEL_FULL
