"""A champion that flaps changes hands a few times a minute, and calls are answered meanwhile."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.decisions.steadiness import Steadiness
from tests.router.samples import as_champion, deployment, spec
from tests.router.world import World, open_world, until
from understudy.domain.acting import WithheldReason

LOSSES_A_MINUTE = 10
SPECS = (spec(1), spec(2))


@given(st.lists(st.tuples(st.booleans(), st.floats(0.0, 30.0)), max_size=200))
def test_a_version_is_given_up_a_bounded_number_of_times_a_minute(
    looks: list[tuple[bool, float]],
) -> None:
    """However its breakers turn: it acts from the end of its hold until it is lost."""
    steadiness, now_s, acts = Steadiness(), 0.0, True
    given_up_at_s: list[float] = []
    for answers, later_s in looks:
        now_s += later_s
        steadiness = steadiness.after_look(answers=answers, now_s=now_s)
        if acts and not answers:
            given_up_at_s.append(now_s)
        acts = answers and not steadiness.left_s(now_s)

    for at_s in given_up_at_s:
        in_a_minute = [each for each in given_up_at_s if at_s <= each < at_s + 60.0]
        assert len(in_a_minute) <= LOSSES_A_MINUTE


def test_the_fastest_flapping_is_damped() -> None:
    """It is lost whenever it may act, and answers again at once."""
    steadiness, now_s, given_up = Steadiness(), 0.0, 0
    while now_s < 60.0:
        steadiness = steadiness.after_look(answers=False, now_s=now_s)
        given_up += 1
        steadiness = steadiness.after_look(answers=True, now_s=now_s)
        now_s += max(steadiness.left_s(now_s), 0.01)

    assert given_up <= LOSSES_A_MINUTE


def test_a_version_that_was_lost_once_acts_again_at_once() -> None:
    lost = Steadiness().after_look(answers=False, now_s=100.0)

    back = lost.after_look(answers=True, now_s=101.0)

    assert back.left_s(101.0) == 0.0
    assert back.after_look(answers=True, now_s=161.0) == Steadiness()


async def lose_champion(world: World) -> None:
    """Let the champion fail until the one on standby acts."""
    world.scorers["one"].failing = True
    while world.live().effective.champion == 1:
        await world.score("u1")
    world.scorers["one"].failing = False


@pytest.mark.virtual_time
async def test_a_champion_that_flaps_stays_away_longer_each_time_and_calls_are_answered() -> None:
    async with open_world() as world:
        await world.deploy(
            deployment(champion=1, standby=(2,)), ready={1: ["one"], 2: ["two"]}, specs=SPECS
        )
        away_s: list[float] = []
        for _ in range(4):
            await lose_champion(world)
            lost_s = world.now_s()
            await until(lambda: world.live().effective.champion == 1)
            away_s.append(world.now_s() - lost_s)

        await lose_champion(world)
        one = next(p for p in world.live().lanes[as_champion(1)].pullers if p.address == "one")
        await until(lambda: one.guarded.is_closed)
        (part,) = world.live().effective.withheld

        assert (await world.score("u1")).served_by.version == 2
    assert away_s[0] < 0.5
    assert [round(each) for each in away_s[1:]] == [1, 2, 4]
    assert part.reason is WithheldReason.NO_ANSWER
    assert "it stopped answering 5 times in a minute" in part.why
