"""Scorers that are said to be ready get no call before they have answered this router."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from router.adapters.oip_scorer import OipScorer
from router.revision.first_answers import ReportedScorer
from tests.router.fakes import FakeScorer
from tests.router.samples import MODEL, deployment, ready_processes, spec
from tests.router.world import World, open_world, until
from tests.virtual_time import SkippingLoop
from understudy.domain.acting import WithheldReason
from understudy.domain.deployments import Fallback
from understudy.domain.errors import UnavailableError
from understudy.domain.snapshots import News, ScorerHost, Snapshot
from understudy.domain.versions import VersionRef
from understudy.runtime.free_port import free_port
from understudy.scoring.v1 import scoring_pb2 as pb

SPECS = (spec(1), spec(2))
DEPLOYED = deployment(champion=1, standby=(2,))
NO_FALLBACK = Fallback()
DECLARED = {pb.DEGRADATION_LEVEL_CONSTANT}
ADDRESSES = ("a", "b", "c")
LONGEST_PAUSE_S = 2.0  # between two questions to one scorer, and some


with_and_without_fallback = pytest.mark.parametrize(
    "fallback", [NO_FALLBACK, Fallback(constant_score=0.25)], ids=["no fallback", "fallback"]
)


def remembered(
    ready: dict[int, list[str]], *, sequence: int = 1, fallback: Fallback = NO_FALLBACK
) -> Snapshot:
    """Return a state with scorers of a host that the registry has not heard of."""
    hosts = (ScorerHost("h", News.UNHEARD),)
    deployed = replace(DEPLOYED, fallback=fallback)
    return Snapshot("a test", sequence, (deployed,), SPECS, ready_processes(ready), hosts=hosts)


def gone_at(world: World, *addresses: str) -> None:
    """Let nothing answer at these addresses."""
    for address in addresses:
        world.scorers[address] = scorer = FakeScorer(address)
        scorer.is_gone = True


@pytest.mark.virtual_time
async def test_a_remembered_scorer_that_never_answered_gets_no_call() -> None:
    async with open_world() as world:
        gone_at(world, "one")
        await world.models.apply(remembered({1: ["one"], 2: ["two"]}))

        answers = [await world.score(f"u{index}") for index in range(20)]

        assert {answer.served_by.version for answer in answers} == {2}
        assert world.scorers["one"].batches == []
        assert world.live().effective.champion_withheld is WithheldReason.UNPROVEN
        (unproven,) = world.models.unproven()
        assert unproven.scorer == ReportedScorer(
            VersionRef(MODEL, 1), "one", spec(1).artifact_digest, host_id="h"
        )
        assert "told to be gone" in unproven.why


@pytest.mark.fault
@pytest.mark.virtual_time
@with_and_without_fallback
async def test_a_scorer_of_another_artifact_gets_no_call_and_raises_the_alarm(
    fallback: Fallback,
) -> None:
    async with open_world() as world:
        for address in ("planted", "alone"):
            world.scorers[address] = FakeScorer(address)
            world.scorers[address].loaded = "f" * 64
        with capture_logs() as logs:
            await world.models.apply(
                remembered({1: ["one", "planted"], 2: ["alone"]}, fallback=fallback)
            )

        answers = [await world.score(f"u{index}") for index in range(20)]

        assert {answer.served_by.version for answer in answers} == {1}
        assert not DECLARED & {answer.degradation.level for answer in answers}
        assert world.scorers["planted"].batches == world.scorers["alone"].batches == []
        assert {each.scorer.address for each in world.models.unproven()} == {"planted", "alone"}
        assert all(each.has_other_artifact for each in world.models.unproven())
        alarms = [each for each in logs if each["event"] == "scorer_loaded_other_artifact"]
        assert {each["address"] for each in alarms} == {"planted", "alone"}


@pytest.mark.fault
@pytest.mark.virtual_time
async def test_a_version_of_another_artifact_is_withheld_for_that_reason() -> None:
    async with open_world() as world:
        world.scorers["one"] = FakeScorer("one")
        world.scorers["one"].loaded = "f" * 64
        await world.models.apply(remembered({1: ["one"], 2: ["two"]}))

        effective = world.live().effective
        assert effective.champion_withheld is WithheldReason.OTHER_ARTIFACT


@pytest.mark.fault
@pytest.mark.virtual_time
async def test_a_scorer_whose_host_reports_other_bytes_is_not_even_asked() -> None:
    async with open_world() as world:
        reported = remembered({1: ["one", "planted"]})
        honest, planted = sorted(reported.scorers, key=lambda each: each.address)
        spoilt = replace(planted, loaded_digest="f" * 64)
        await world.models.apply(replace(reported, scorers=(honest, spoilt)))

        answers = [await world.score(f"u{index}") for index in range(20)]

        assert {answer.served_by.version for answer in answers} == {1}
        (unproven,) = world.models.unproven()
        assert (unproven.scorer.address, unproven.has_other_artifact) == ("planted", True)
        assert "planted" not in world.scorers or world.scorers["planted"].batches == []


@pytest.mark.virtual_time
async def test_a_scorer_of_another_artifact_is_used_once_it_has_the_registered_one() -> None:
    async with open_world() as world:
        world.scorers["one"] = FakeScorer("one")
        world.scorers["one"].loaded = "f" * 64
        await world.models.apply(remembered({1: ["one"], 2: ["two"]}))

        world.scorers["one"].loaded = spec(1).artifact_digest
        await until(lambda: world.live().effective.champion == 1)

        assert (await world.score("u1")).served_by.version == 1


@pytest.mark.virtual_time
async def test_a_version_registered_with_another_artifact_is_proven_anew() -> None:
    async with open_world() as world:
        await world.models.apply(remembered({1: ["one"]}))
        world.scorers["one"].loaded = spec(1).artifact_digest
        changed = replace(spec(1), artifact_digest="e" * 64)

        await world.models.apply(
            replace(remembered({1: ["one"]}, sequence=2), versions=(changed, spec(2)))
        )

        (unproven,) = world.models.unproven()
        assert unproven.has_other_artifact
        assert world.live().effective.champion is None


@pytest.mark.fault
@pytest.mark.virtual_time
@with_and_without_fallback
async def test_a_scorer_exchanged_behind_its_address_is_withheld_until_the_former_is_back(
    fallback: Fallback,
) -> None:
    async with open_world() as world:
        await world.models.apply(remembered({1: ["one"], 2: ["two"]}, fallback=fallback))
        assert (await world.score("u1")).served_by.version == 1
        asked = world.scorers["one"].asked

        world.scorers["one"].loaded = "f" * 64
        with capture_logs() as logs:
            answers = [await world.score(f"u{index}") for index in range(20)]
            await until(lambda: world.live().effective.champion == 2)

        declared = [each for each in answers if each.degradation.level in DECLARED]
        assert len(declared) == (fallback != NO_FALLBACK), "the first call alone"
        assert {each.served_by.version for each in answers if each not in declared} == {2}
        assert len(world.scorers["one"].batches) == 1
        assert world.scorers["one"].asked > asked
        assert world.live().effective.champion_withheld is WithheldReason.OTHER_ARTIFACT
        assert "scorer_loaded_other_artifact" in {each["event"] for each in logs}

        world.scorers["one"].loaded = None
        await until(lambda: world.live().effective.champion == 1)
        assert (await world.score("u1")).served_by.version == 1


@pytest.mark.virtual_time
async def test_it_acts_as_soon_as_it_answers() -> None:
    async with open_world() as world:
        gone_at(world, "one")
        await world.models.apply(remembered({1: ["one"], 2: ["two"]}))

        world.scorers["one"].is_gone = False
        await until(lambda: world.live().effective.champion == 1)

        assert (await world.score("u1")).served_by.version == 1
        assert list(world.models.unproven()) == []


@pytest.mark.virtual_time
async def test_scorers_that_answered_stay_when_their_host_is_unheard_of() -> None:
    async with open_world() as world:
        await world.deploy(DEPLOYED, ready={1: ["one"]}, specs=SPECS)
        world.scorers["one"].is_gone = True  # for this question; it still scores

        await world.models.apply(remembered({1: ["one"]}, sequence=2))

        assert (await world.score("u1")).served_by.version == 1
        assert world.scorers["one"].asked == 1


@pytest.mark.virtual_time
async def test_a_scorer_that_left_and_is_named_again_is_asked_again() -> None:
    async with open_world() as world:
        await world.models.apply(remembered({1: ["one"]}))
        await world.models.apply(remembered({}, sequence=2))
        world.scorers["one"].is_gone = True

        await world.models.apply(remembered({1: ["one"]}, sequence=3))

        assert world.live().effective.champion is None
        assert world.scorers["one"].asked == 2


@settings(deadline=None, max_examples=60)
@given(
    states=st.lists(
        st.tuples(
            st.dictionaries(
                st.sampled_from((1, 2)),
                st.lists(st.sampled_from(ADDRESSES), min_size=1, unique=True),
            ),
            st.sets(st.sampled_from(ADDRESSES)),
        ),
        min_size=1,
        max_size=5,
    )
)
def test_only_scorers_that_answered_while_they_were_named_act(
    states: list[tuple[dict[int, list[str]], set[str]]],
) -> None:
    loop = SkippingLoop()
    try:
        with capture_logs():
            loop.run_until_complete(_follow(states))
    finally:
        loop.close()


async def _follow(states: Sequence[tuple[dict[int, list[str]], set[str]]]) -> None:
    """Apply each state, with these addresses gone meanwhile; a model of it is kept beside it."""
    answered: set[tuple[int, str]] = set()
    async with open_world() as world:
        gone_at(world, *ADDRESSES)
        for sequence, (ready, gone) in enumerate(states, start=1):
            for address in ADDRESSES:
                world.scorers[address].is_gone = address in gone
            named = {(number, address) for number in ready for address in ready[number]}
            answered = {each for each in named if each in answered or each[1] not in gone}

            await world.models.apply(remembered(ready, sequence=sequence))
            await asyncio.sleep(LONGEST_PAUSE_S)

            lanes = world.live().lanes
            used = {(of.version, each) for of, lane in lanes.items() for each in lane.addresses()}
            assert used <= answered
            unproven = {(u.scorer.ref.number, u.scorer.address) for u in world.models.unproven()}
            assert unproven == named - answered
            can_act = {number for number, _ in answered}
            assert world.live().effective.champion == min(can_act, default=None)


@pytest.mark.stopped_clock
async def test_an_address_at_which_nothing_listens_is_unproven() -> None:
    nowhere = f"127.0.0.1:{free_port()}"
    async with open_world(open_scorer=OipScorer) as world:
        await world.models.apply(remembered({1: [nowhere]}))

        (unproven,) = world.models.unproven()
        world.pipeline.models.close(mirrors_within_s=1.0)
        await world.models.close_scorers()

    assert unproven.scorer.address == nowhere
    assert "unavailable" in unproven.why


@pytest.mark.stopped_clock
async def test_a_scorer_that_cannot_be_reached_does_not_count_as_ready() -> None:
    scorer = OipScorer(f"127.0.0.1:{free_port()}")

    with pytest.raises(UnavailableError, match="unavailable"):
        await scorer.require_ready(VersionRef(MODEL, 1), "a" * 64, timeout_s=60.0)

    await scorer.close()
