"""The sweep looks at models with calls, and rests while no model has any."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from router.revision.live_models import LiveModels
from router.revision.sweep import TICK_S, Sweep
from tests.router.fakes import FakeScorer
from tests.router.samples import MODEL, deployment, spec
from tests.router.world import World, open_world

pytestmark = pytest.mark.virtual_time


class SweptModel:
    """A model whose calls are a number; it keeps the times at which it was looked at."""

    def __init__(self, name: str, calls: int = 0) -> None:
        self.name = name
        self.calls = calls
        self.is_swept = False
        self.fails = False
        self.looks_s: list[float] = []
        self.is_closed = False

    @property
    def has_calls(self) -> bool:
        return self.calls > 0

    @property
    def is_drained(self) -> bool:
        return self.is_closed and not self.calls

    def fall_back_if_due(self, now_s: float, *, next_in_s: float) -> None:
        assert next_in_s == TICK_S
        self.looks_s.append(now_s)
        if self.fails:
            raise LookupError("a bug")

    def hedge_if_slow(self, now_s: float) -> None:
        assert now_s == self.looks_s[-1]

    def close(self) -> None:
        self.is_closed = True

    def close_at_once(self) -> None:
        self.is_closed = True

    def addresses(self) -> set[str]:
        return set()


@asynccontextmanager
async def running() -> AsyncIterator[Sweep]:
    sweep = Sweep(asyncio.get_running_loop().time)
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(sweep.run())
        yield sweep
        task.cancel()


async def test_only_models_with_calls_are_looked_at() -> None:
    called, idle = SweptModel("called", calls=1), SweptModel("idle")
    async with running() as sweep:
        sweep.begin(called)
        await asyncio.sleep(10.5 * TICK_S)

        assert len(called.looks_s) == 10
        assert called.is_swept
        assert not idle.looks_s


async def test_a_model_is_looked_at_until_its_last_call_has_ended_and_again_from_the_next() -> None:
    model = SweptModel("model", calls=1)
    async with running() as sweep:
        sweep.begin(model)
        await asyncio.sleep(1.5 * TICK_S)
        model.calls = 0
        await asyncio.sleep(3600.0)
        looks_of_one_call = len(model.looks_s)
        assert not model.is_swept

        model.calls = 1
        sweep.begin(model)
        await asyncio.sleep(1.5 * TICK_S)

        assert looks_of_one_call == 2
        assert len(model.looks_s) == 3


async def test_a_failing_model_does_not_end_the_looks_at_others() -> None:
    failing, well = SweptModel("failing", calls=1), SweptModel("well", calls=1)
    failing.fails = True
    async with running() as sweep:
        sweep.begin(failing)
        sweep.begin(well)
        await asyncio.sleep(2.5 * TICK_S)

        assert len(failing.looks_s) == len(well.looks_s) == 2


async def test_a_retired_model_is_kept_until_it_is_drained() -> None:
    model = SweptModel("model", calls=1)
    async with running() as sweep:
        sweep.retire(model)
        await asyncio.sleep(2.5 * TICK_S)
        assert list(sweep.retired) == [model]

        model.calls = 0
        await asyncio.sleep(TICK_S)

        assert not list(sweep.retired)


def swept_models(models: LiveModels) -> set[str]:
    return {name for name, live in models.live.items() if live.is_swept}


async def open_hanging(world: World) -> FakeScorer:
    """Deploy two models of which one's scorer hangs; return that scorer."""
    await world.deploy(deployment(), deployment(model="other"), ready={1: ["one"]}, specs=[spec(1)])
    scorer = world.scorers["one"]
    scorer.release = asyncio.Event()
    return scorer


async def test_a_router_sweeps_the_called_one_of_its_models() -> None:
    async with open_world() as world, asyncio.TaskGroup() as tasks:
        scorer = await open_hanging(world)
        sweeping = tasks.create_task(world.models.sweep_forever())
        assert not swept_models(world.models)

        call = world.submit("u1")
        await asyncio.sleep(10 * TICK_S)
        assert swept_models(world.models) == {MODEL}

        assert scorer.release is not None
        scorer.release.set()
        assert isinstance(call.answer, asyncio.Future)
        await call.answer
        await asyncio.sleep(2 * TICK_S)

        assert not swept_models(world.models)
        sweeping.cancel()
