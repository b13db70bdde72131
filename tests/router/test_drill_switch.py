"""The form of a drill request, and its automatic end."""

import asyncio

import pytest

from router.ladder.drill import DrillSwitch, RunningDrill, parse_duration_s
from tests.router.command_line import run_router
from tests.router.reading import reasons_of
from tests.router.world import open_world, two_arms
from understudy.domain.deployments import DegradationLevel, Fallback
from understudy.domain.errors import InvalidInputError
from understudy.runtime.exit_codes import USAGE
from understudy.scoring.v1 import scoring_pb2 as pb

pytestmark = pytest.mark.virtual_time
L0, L1 = DegradationLevel.FULL, DegradationLevel.FEATURES
L2 = DegradationLevel.FALLBACK
FALLEN = pb.DEGRADATION_LEVEL_FALLBACK


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("30", 30), ("30s", 30), ("5m", 300), ("1.5h", 5400), ("500ms", 0.5), (" 2 m ", 120)],
)
def test_durations_are_read_with_and_without_a_unit(text: str, seconds: float) -> None:
    assert parse_duration_s(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "s", "-3s", "3d", "nan", "inf", "1e3", "3s4s", "9" * 30])
def test_an_invalid_duration_is_refused(text: str) -> None:
    with pytest.raises(InvalidInputError, match="for"):
        parse_duration_s(text)


def test_the_command_refuses_an_invalid_duration_before_contacting_a_worker() -> None:
    words = ("--level", "L2", "--for", "soon", "--reason", "r", "--state-dir", "nowhere")

    done = run_router("drill", *words)

    assert done.returncode == USAGE
    assert "soon" in done.stderr


async def test_a_drill_of_l2_uses_the_fallback_version_or_the_last_score() -> None:
    async with open_world() as world:
        await two_arms(world, challengers=(), fallback=Fallback(version=3))
        world.pipeline.drill.start(
            world.pipeline.drill.planned(L2, duration_s=30.0, actor="ann", reason="r")
        )

        answer = await world.score("u7")

    async with open_world() as world:
        await two_arms(world, challengers=(), fallback=Fallback(last_score_max_age_s=3600.0))
        scored = await world.score("u7")
        world.pipeline.drill.start(
            world.pipeline.drill.planned(L2, duration_s=30.0, actor="ann", reason="r")
        )
        remembered = await world.score("u7")

    assert (answer.degradation.level, answer.served_by.version) == (FALLEN, 3)
    assert reasons_of(answer) == ["drill", "fallback_version"]
    assert (remembered.degradation.level, remembered.score) == (FALLEN, scored.score)


async def test_a_drill_of_l1_takes_the_feature_store_away_until_it_ends() -> None:
    async with open_world() as world:
        await two_arms(world, challengers=())
        full = await world.score("u7")
        world.pipeline.drill.start(
            world.pipeline.drill.planned(L1, duration_s=30.0, actor="ann", reason="r")
        )
        during = [await world.score("u7") for _ in range(5)]
        given = await world.score("u7", features={"amount": 7.0, "count": 1.0})
        world.pipeline.drill.start(
            world.pipeline.drill.planned(L0, duration_s=0.0, actor="ann", reason="r")
        )
        await asyncio.sleep(0.1)  # then the store's breaker lets a probe through
        after = await world.score("u7")

    assert {answer.degradation.level for answer in during} == {pb.DEGRADATION_LEVEL_FEATURES}
    assert {answer.served_by.version for answer in during} == {1}
    assert "feature_store_unavailable" in reasons_of(during[0])
    assert (given.degradation.level, given.score) == (pb.DEGRADATION_LEVEL_FULL, full.score)
    assert after.score == full.score


def test_a_drill_ends_by_itself() -> None:
    now_s = [100.0]
    switch = DrillSwitch(lambda: now_s[0])
    switch.start(switch.planned(L2, duration_s=30.0, actor="ann", reason="exercise"))

    during = (switch.level(), switch.running())
    now_s[0] = 130.0

    assert during == (L2, RunningDrill(L2, 30.0, "ann", "exercise"))
    assert (switch.level(), switch.running()) == (DegradationLevel.FULL, None)
