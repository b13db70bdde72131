"""Hedging: an idle replica also tries slow batches; each call has one answer."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from pydantic import ValidationError

from router.lanes.puller import Puller
from router.settings import RouterSettings
from tests.router.fakes import FakeScorer
from tests.router.samples import VIEW, as_champion, deployment, spec
from tests.router.world import World, awaited, open_world, until
from understudy.domain.deployments import Fallback
from understudy.domain.logged_ids import IdForm
from understudy.scoring.v1 import scoring_pb2 as pb

pytestmark = pytest.mark.virtual_time
HEDGE_AFTER_S = 0.02
FALLBACK = Fallback(constant_score=0.25)


@asynccontextmanager
async def two_replicas(*, hedge_after_s: float = HEDGE_AFTER_S) -> AsyncIterator[World]:
    """Open a world whose one version has two scorers, each of which waits until released."""
    async with open_world(hedge_after_s=hedge_after_s) as world, asyncio.TaskGroup() as tasks:
        for index in range(10):
            world.store.put(VIEW, f"u{index}", {"amount": float(index), "count": 1.0})
        await world.deploy(
            deployment(fallback=FALLBACK), ready={1: ["one", "two"]}, specs=[spec(1)]
        )
        for scorer in world.scorers.values():
            scorer.release = asyncio.Event()
        sweeping = tasks.create_task(world.models.sweep_forever())
        yield world
        sweeping.cancel()


def released(scorer: FakeScorer) -> None:
    assert scorer.release is not None
    scorer.release.set()


def pullers_of(world: World) -> list[Puller]:
    return world.live().lanes[as_champion(1)].pullers


async def both_have_it(world: World) -> tuple[FakeScorer, FakeScorer]:
    """Wait until both replicas have the call; return them, the first holder first."""
    one, two = world.scorers["one"], world.scorers["two"]
    await until(lambda: one.batches or two.batches)
    first, second = (one, two) if one.batches else (two, one)
    await second.entered.wait()
    return first, second


@pytest.mark.parametrize("wins", ["slow", "hedge"])
async def test_the_first_of_two_answers_counts_and_is_logged_once(wins: str) -> None:
    async with two_replicas() as world:
        call = world.submit("u7")
        first, second = await both_have_it(world)
        winner, loser = (first, second) if wins == "slow" else (second, first)

        released(winner)
        answer = pb.ScoreResponse.FromString(await awaited(call))
        released(loser)
        await until(lambda: world.counters.late_rows)

        assert answer.score == pytest.approx(70.001)
        assert answer.degradation.level == pb.DEGRADATION_LEVEL_FULL
        assert world.counters.hedged_rows == 1
        assert sum(batch.rows for batch in world.score_logs) == 1


@pytest.mark.parametrize("fails_first", ["slow", "hedge"])
async def test_the_first_of_two_failures_costs_nothing(fails_first: str) -> None:
    async with two_replicas() as world:
        call = world.submit("u7")
        first, second = await both_have_it(world)
        failing, answering = (first, second) if fails_first == "slow" else (second, first)

        failing.failing = True
        released(failing)
        await until(lambda: call.progress.holders == 1)
        assert not call.answer.done()
        released(answering)
        answer = pb.ScoreResponse.FromString(await awaited(call))

        assert answer.degradation.level == pb.DEGRADATION_LEVEL_FULL


async def test_when_both_fail_the_call_goes_down_the_ladder_once() -> None:
    async with two_replicas() as world:
        call = world.submit("u7")
        for scorer in await both_have_it(world):
            scorer.failing = True
            released(scorer)

        answer = pb.ScoreResponse.FromString(await awaited(call))

        assert answer.degradation.level == pb.DEGRADATION_LEVEL_CONSTANT
        assert sum(batch.rows for batch in world.score_logs) == 1


@pytest.mark.parametrize(("hedge_after_s", "asked"), [(0.0, 1), (HEDGE_AFTER_S, 2)])
async def test_nothing_is_hedged_unless_configured_or_while_no_replica_is_idle(
    hedge_after_s: float, asked: int
) -> None:
    async with two_replicas(hedge_after_s=hedge_after_s) as world:
        calls = []
        for index in range(asked):  # each goes to a different replica
            calls.append(world.submit(f"u{index}"))
            await until(lambda: sum(len(s.batches) for s in world.scorers.values()) == len(calls))
        hedged_before = world.counters.hedged_rows

        for model in world.models:
            model.hedge_if_slow(world.now_s() + 100.0)

        assert world.counters.hedged_rows == hedged_before
        for scorer in world.scorers.values():
            released(scorer)
        await asyncio.gather(*(awaited(call) for call in calls))


async def test_a_replica_without_a_pause_takes_the_batch_of_one_that_hangs() -> None:
    async with two_replicas(hedge_after_s=0.0) as world:
        one, two = world.scorers["one"], world.scorers["two"]
        released(one)
        released(two)
        for index in range(20):  # so that it is known how long a batch takes
            await awaited(world.submit(f"u{index % 10}"))
        one.release, two.release = asyncio.Event(), asyncio.Event()
        lane = world.live().lanes[as_champion(1)]
        slow = world.submit("u7")
        await until(lambda: any(puller.in_flight for puller in lane.pullers))
        hangs, answers = (one, two) if lane.pullers[0].in_flight else (two, one)
        await asyncio.sleep(0.5)  # virtual
        busy = world.submit("u3")
        await until(lambda: all(puller.in_flight for puller in lane.pullers))

        lane.hedge_if_slow(world.now_s(), HEDGE_AFTER_S)
        released(answers)
        found = pb.ScoreResponse.FromString(await awaited(slow))
        await awaited(busy)
        released(hangs)

        assert found.degradation.level == pb.DEGRADATION_LEVEL_FULL
        assert world.counters.hedged_rows == 1


def test_a_hedge_without_effect_is_refused() -> None:
    with pytest.raises(ValidationError, match="hedge_after_s must be below scorer_timeout_s"):
        RouterSettings(
            features="lmdb:f",
            log_dir=Path("l"),
            log_ids=IdForm.UNKEYED,
            state_dir=Path("s"),
            hedge_after_s=1.0,
            scorer_timeout_s=1.0,
        )


async def test_a_hedged_call_without_an_answer_in_time_goes_down_the_ladder_once() -> None:
    async with two_replicas() as world:
        call = world.submit("u7", remaining_s=0.2)
        await both_have_it(world)

        answer = pb.ScoreResponse.FromString(await awaited(call))
        for scorer in world.scorers.values():
            released(scorer)
        await until(lambda: not any(puller.in_flight for puller in pullers_of(world)))

        assert answer.degradation.level == pb.DEGRADATION_LEVEL_CONSTANT
        assert sum(batch.rows for batch in world.score_logs) == 1


async def test_a_nan_of_one_replica_does_not_count_for_the_other() -> None:
    async with two_replicas() as world:
        call = world.submit("u7")
        first, second = await both_have_it(world)

        first.answers_nan_for = 7.0
        released(first)
        await until(lambda: call.progress.holders == 1)
        released(second)

        assert pb.ScoreResponse.FromString(await awaited(call)).score == 70.001
