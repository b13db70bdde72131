"""One time budget per call, over fakes of the ports: how it is spent, and what its end means."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest

from router.calls.call import Call
from tests.router.fakes import FakeStore, RemoteStore
from tests.router.reading import reasons_of
from tests.router.samples import as_challenger, as_champion, deployment, spec
from tests.router.world import World, awaited, open_world, two_arms, until
from tests.virtual_time import skip
from understudy.domain.deployments import Challenger, Deployment, Fallback
from understudy.domain.errors import DeadlinePassedError
from understudy.features.ports import ViewRead
from understudy.scoring.v1 import scoring_pb2 as pb

pytestmark = pytest.mark.virtual_time
CONSTANT = Fallback(constant_score=0.25)


def hanging_store() -> RemoteStore:
    store = RemoteStore()
    store.hangs = True
    return store


@asynccontextmanager
async def swept(world: World) -> AsyncIterator[None]:
    async with asyncio.TaskGroup() as tasks:
        sweeping = tasks.create_task(world.models.sweep_forever())
        yield
        sweeping.cancel()


async def test_callers_with_short_deadlines_do_not_close_a_scorer_to_others() -> None:
    async with open_world() as world:
        await two_arms(world, challengers=())
        scorer = world.scorers["one"]
        scorer.release = asyncio.Event()

        for _ in range(10):
            with pytest.raises(DeadlinePassedError):
                await awaited(world.submit("u1", remaining_s=0.005))
        scorer.release.set()
        patient = await world.score("u7")

        assert len(scorer.batches) == 11
        assert patient.degradation.level == pb.DEGRADATION_LEVEL_FULL


async def test_work_without_time_left_is_answered_and_not_run() -> None:
    async with open_world() as world:
        await two_arms(world, challengers=(), fallback=CONSTANT)
        scorer = world.scorers["one"]
        scorer.release = asyncio.Event()
        first = world.submit("u0")
        await scorer.entered.wait()
        late, patient = world.submit("u1", remaining_s=0.02), world.submit("u2")
        skip(0.02)
        scorer.release.set()

        answers = [
            pb.ScoreResponse.FromString(await awaited(call)) for call in (first, late, patient)
        ]

        assert scorer.batches == [1, 1]
        assert reasons_of(answers[1]) == ["deadline_near", "constant_score"]


async def test_a_hung_store_leaves_time_to_score() -> None:
    store = hanging_store()
    async with open_world(read_from=store, cool_down_s=60.0) as world:
        await two_arms(world, challengers=())

        answers = [await world.score(f"u{index}", remaining_s=0.05) for index in range(4)]

        assert all(a.degradation.level == pb.DEGRADATION_LEVEL_FEATURES for a in answers)
        assert all(given_s <= 0.025 for given_s in store.given_s)
        assert len(store.given_s) == 2  # after these the breaker is open


@pytest.mark.parametrize("budget_s", [0.01, 0.02, 0.05])
async def test_the_ladder_answers_before_the_callers_deadline(budget_s: float) -> None:
    async with open_world() as world:
        await two_arms(world, challengers=(), fallback=CONSTANT)
        world.scorers["one"].release = asyncio.Event()
        call = world.submit("u1", remaining_s=budget_s)
        await world.scorers["one"].entered.wait()
        tick_s = 0.002

        world.live().fall_back_if_due(call.arrived_s + budget_s - tick_s, next_in_s=tick_s)

        assert awaited(call).done()


async def test_a_hung_challenger_leaves_its_units_to_the_champion() -> None:
    async with open_world() as world, swept(world):
        await two_arms(world)
        world.scorers["two"].release = asyncio.Event()

        answers = await asyncio.gather(
            *(world.score(f"u{index}", remaining_s=0.25) for index in range(40))
        )

        assert {answer.served_by.version for answer in answers} == {1}
        assert {answer.degradation.level for answer in answers} == {pb.DEGRADATION_LEVEL_FULL}
        assert any(answer.served_by.assigned.version == 2 for answer in answers)


async def test_a_challenger_that_never_answered_does_not_delay_the_next_call() -> None:
    async with open_world() as world:
        await two_arms(world, challengers=(Challenger(2, 10_000),))
        challenger = world.scorers["two"]
        challenger.release = asyncio.Event()
        with pytest.raises(DeadlinePassedError):
            await world.score("u1", remaining_s=0.05)
        call = world.submit("u2", waited_s=4.0)  # behind the first for most of its time
        await until(lambda: len(challenger.batches) == 2)

        world.live().fall_back_if_due(world.now_s())
        answer = pb.ScoreResponse.FromString(await awaited(call))

        assert answer.served_by.version == 1
        assert world.live().lanes[as_challenger(2)].pullers[0].in_flight, "it had to end first"


async def test_a_hung_champion_leaves_time_for_the_fallback_version() -> None:
    async with open_world() as world, swept(world):
        await two_arms(world, challengers=(), fallback=Fallback(version=3))
        champion = world.scorers["one"]
        champion.release = asyncio.Event()

        answer = await world.score("u7", remaining_s=0.25)

        assert answer.served_by.version == 3
        assert reasons_of(answer) == ["deadline_near", "fallback_version"]


async def handed_over(world: World) -> tuple[Call, asyncio.Event, asyncio.Event]:
    """Return a call that both the champion and the fallback version have, and their releases."""
    await two_arms(world, challengers=(), fallback=Fallback(version=3))
    releases = asyncio.Event(), asyncio.Event()
    world.scorers["one"].release, world.scorers["three"].release = releases
    call = world.submit("u7")
    await world.scorers["one"].entered.wait()
    world.live().fall_back_if_due(call.answer_by_s - 0.1)
    await world.scorers["three"].entered.wait()
    return call, *releases


async def test_a_handed_over_call_is_not_failed_by_the_first_version() -> None:
    async with open_world() as world:
        call, first, second = await handed_over(world)

        world.scorers["one"].failing = True
        first.set()
        await until(
            lambda: not any(each.in_flight for each in world.live().lanes[as_champion(1)].pullers)
        )
        second.set()

        assert pb.ScoreResponse.FromString(await awaited(call)).served_by.version == 3


async def test_the_first_version_may_still_answer_a_handed_over_call() -> None:
    async with open_world() as world:
        call, first, _ = await handed_over(world)

        first.set()
        answer = pb.ScoreResponse.FromString(await awaited(call))

        assert answer.served_by.version == 1
        assert answer.degradation.level == pb.DEGRADATION_LEVEL_FULL


async def test_a_replaced_revision_keeps_its_replicas_until_its_work_is_done() -> None:
    async with open_world() as world:
        both: Deployment = deployment()
        await world.deploy(both, ready={1: ["one", "two"]}, specs=[spec(1)])
        for scorer in world.scorers.values():
            scorer.release = asyncio.Event()
        call = world.submit("nobody")
        await until(lambda: any(scorer.batches for scorer in world.scorers.values()))
        dying, healthy = sorted(
            world.scorers.values(), key=lambda scorer: len(scorer.batches), reverse=True
        )

        await world.deploy(both, ready={1: [healthy.address]}, specs=[spec(1)])
        dying.failing = True
        for scorer in (dying, healthy):
            assert scorer.release is not None
            scorer.release.set()

        assert pb.ScoreResponse.FromString(await awaited(call)).served_by.version == 1


async def test_a_challenger_that_is_only_busy_keeps_its_units() -> None:
    async with open_world() as world:
        await two_arms(world, challengers=(Challenger(2, 10_000),))
        challenger = world.scorers["two"]
        challenger.release = asyncio.Event()
        call = world.submit("u1", remaining_s=0.02)
        await challenger.entered.wait()

        world.live().fall_back_if_due(call.arrived_s + 0.015)
        challenger.release.set()

        assert pb.ScoreResponse.FromString(await awaited(call)).served_by.version == 2


async def test_a_replaced_revision_still_hands_over_to_its_champion() -> None:
    async with open_world() as world, swept(world):
        await two_arms(world, challengers=(Challenger(2, 9_999),))
        challenger = world.scorers["two"]
        challenger.release = asyncio.Event()
        in_flight = world.submit("u1", unit_key="k", remaining_s=0.3)
        await challenger.entered.wait()
        queued = world.submit("u2", unit_key="k", remaining_s=0.3)

        await world.deploy(
            deployment(revision=2), ready={1: ["one"], 2: ["two"]}, specs=[spec(1), spec(2)]
        )
        answers = [pb.ScoreResponse.FromString(await awaited(w)) for w in (in_flight, queued)]

        assert [answer.served_by.version for answer in answers] == [1, 1]
        assert {answer.served_by.revision for answer in answers} == {1}


async def test_a_call_on_which_both_arms_hang_is_tried_by_the_fallback_version() -> None:
    async with open_world() as world, swept(world):
        await two_arms(world, challengers=(Challenger(2, 9_999),), fallback=Fallback(version=3))
        for name in ("one", "two"):
            world.scorers[name].release = asyncio.Event()

        answer = await world.score("u1", unit_key="k", remaining_s=0.4)

        assert answer.served_by.version == 3


async def test_the_stores_time_does_not_count_against_the_scorer() -> None:
    class SlowStore(FakeStore):
        async def read(
            self, reads: Sequence[ViewRead], *, timeout_s: float
        ) -> list[list[bytes | None]]:
            skip(0.03)  # as if the loop had been busy meanwhile
            return await super().read(reads, timeout_s=timeout_s)

    async with open_world(read_from=SlowStore(), cool_down_s=5.0) as world:
        await two_arms(world, challengers=())

        for _ in range(4):
            with pytest.raises(DeadlinePassedError):
                await awaited(world.submit("u1", remaining_s=0.025))

        assert not world.scorers["one"].batches
        assert world.live().lanes[as_champion(1)].pullers[0].guarded.breaker.is_closed


async def test_work_of_a_replaced_revision_waits_for_the_healthy_scorer() -> None:
    async with open_world(cool_down_s=5.0) as world:
        await world.deploy(deployment(), ready={1: ["one", "two"]}, specs=[spec(1)])
        broken, healthy = world.scorers["one"], world.scorers["two"]
        guarded = next(
            p.guarded for p in world.live().lanes[as_champion(1)].pullers if p.address == "one"
        )
        broken.failing = True
        while guarded.breaker.is_closed:
            await world.score("nobody")
            await asyncio.sleep(0.1)  # a puller pauses after a failure
        healthy.entered.clear()
        healthy.release = asyncio.Event()
        busy = world.submit("nobody")
        await healthy.entered.wait()
        waiting = [world.submit("nobody") for _ in range(4)]

        await world.deploy(deployment(), ready={1: ["two"]}, specs=[spec(1)])
        await until(lambda: guarded.breaker.due_in_s(world.now_s()) < 4.97)
        healthy.release.set()

        answers = await asyncio.gather(*(awaited(call) for call in (busy, *waiting)))
        assert len(answers) == 5
