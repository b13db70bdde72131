"""A/A tests: the champion's own version as a challenger, as a shadow, and beside itself as both."""

from itertools import chain

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.decisions.assignment import split_of
from router.decisions.effective import decide_effective
from router.decisions.shadow_address import shadow_address
from tests.router.samples import MODEL, as_challenger, as_champion, deployment, spec
from tests.router.test_metrics import collector_of, scraped
from tests.router.world import World, open_world, two_arms, until
from understudy.domain.deployments import Arm, Challenger, Deployment, Fallback, Shadow
from understudy.scoring.v1 import scoring_pb2 as pb

ARM_OF = {pb.ARM_CHAMPION: "champion", pb.ARM_CHALLENGER: "challenger"}
NUMBERS = st.integers(1, 3)


async def arms_of_units(world: World) -> dict[str, tuple[str, int]]:
    """Score 60 units; return the arm and the version that answered each request."""
    answers = {f"r-u{index}": await world.score(f"u{index}") for index in range(60)}
    return {
        name: (ARM_OF[answer.served_by.arm], answer.served_by.version)
        for name, answer in answers.items()
    }


def logged_arms(world: World) -> dict[str, tuple[str, int]]:
    return {
        name: (batch.arm, batch.version) for batch in world.score_logs for name in batch.request_ids
    }


@pytest.mark.virtual_time
async def test_both_arms_of_one_version_answer_their_own_units_and_are_logged_so() -> None:
    async with open_world() as world:
        await two_arms(world, challengers=(Challenger(1, 4_000),))

        answered = await arms_of_units(world)

        live = world.live()
        assigned = {f"r-u{n}": live.seats[live.assigner.assign(f"u{n}")] for n in range(60)}
        assert answered == {name: (seat.arm, seat.version) for name, seat in assigned.items()}
        assert set(answered.values()) == {("champion", 1), ("challenger", 1)}
        assert logged_arms(world) == answered
        assert sum(world.scorers["one"].batches) == 60
        assert set(live.scorers()) == {(1, "one")}


@pytest.mark.virtual_time
async def test_a_shadow_of_the_champions_version_scores_the_same_values_in_its_scorer() -> None:
    async with open_world() as world:
        await two_arms(world, challengers=(Challenger(1, 4_000),), shadows=(Shadow(1, 10_000),))
        mirror = world.models.mirrors[(MODEL, 1)]

        answered = await arms_of_units(world)
        await until(lambda: not mirror.in_flight_rows)

        assert mirror.ledger.ok == mirror.ledger.offered == 60
        assert mirror.addresses() == {"one"}
        for batch in world.shadow_logs:
            assert (batch.version, batch.shadow_version) == (1, 1)
            assert batch.shadow_scores is not None
            assert np.array_equal(batch.scores, batch.shadow_scores)
        mirrored = {name: b.arm for b in world.shadow_logs for name in b.request_ids}
        assert mirrored == {name: arm for name, (arm, _) in answered.items()}


@pytest.mark.virtual_time
async def test_an_acting_champion_that_is_a_challenger_too_answers_in_each_arm_by_its_name() -> (
    None
):
    async with open_world() as world:
        await two_arms(world, champion=2, challengers=())
        await world.deploy(
            deployment(champion=1, challengers=(Challenger(2, 4_000),), revision=2),
            ready={2: ["two"]},
            specs=[spec(1), spec(2)],
        )

        assert world.live().effective.champion == 2
        assert set((await arms_of_units(world)).values()) == {("champion", 2), ("challenger", 2)}
        assert set(world.live().lanes) == {as_champion(2), as_challenger(2)}


@pytest.mark.virtual_time
async def test_a_failing_version_takes_both_of_its_arms_to_the_fallback() -> None:
    async with open_world() as world:
        own = (Challenger(1, 4_000),)
        await two_arms(world, challengers=own, fallback=Fallback(version=2))
        world.scorers["one"].failing = True

        answered = await arms_of_units(world)

        assert set(answered.values()) == {("champion", 2)}
        levels = chain.from_iterable(batch.levels for batch in world.score_logs)
        assert set(levels) == {2}


@pytest.mark.stopped_clock
async def test_a_scrape_names_the_scorer_of_both_arms_once() -> None:
    async with open_world() as world:
        await two_arms(world, challengers=(Challenger(1, 4_000),), shadows=(Shadow(1, 10_000),))

        found = await scraped(collector_of(world))

    assert (
        found["scorer_breaker_open", (("address", "one"), ("model", MODEL), ("version", "1"))] == 0
    )


def test_copies_go_to_a_second_scorer_of_a_version_that_answers_callers() -> None:
    declared = deployment(shadows=(Shadow(1, 100), Shadow(3, 100)))

    assert shadow_address(declared, 1, ("a", "b", "c")) == "b"
    assert shadow_address(declared, 1, ("a",)) == "a"
    assert shadow_address(declared, 3, ("a", "b")) == "a"
    assert shadow_address(declared, 3, ()) is None


DEPLOYMENTS = st.builds(
    lambda champion, challengers: deployment(
        champion=champion, challengers=tuple(Challenger(n, 3_000) for n in challengers)
    ),
    NUMBERS,
    st.sets(NUMBERS),
)


@given(DEPLOYMENTS, st.sets(NUMBERS), st.lists(NUMBERS, max_size=2))
def test_a_declared_arm_is_answered_by_itself_or_in_the_champions_name(
    declared: Deployment, ready: set[int], acting: list[int]
) -> None:
    effective = decide_effective(declared, ready, acting)

    for seat in split_of(declared).arms:
        answering = effective.answering(seat.arm, seat.version)
        withheld = (seat.arm, seat.version) in {(p.arm, p.version) for p in effective.withheld}
        if not withheld:
            assert answering is not None
            assert (answering.arm, answering.version) == (seat.arm, seat.version)
        elif answering is not None:
            assert (answering.arm, answering.version) == (Arm.CHAMPION, effective.champion)
        else:
            assert effective.champion is None
