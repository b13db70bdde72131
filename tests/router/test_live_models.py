"""The state that acts after a snapshot was applied."""

import asyncio
import os
from dataclasses import replace
from pathlib import Path

import pytest

from tests.router.samples import deployment, ready_processes, spec
from tests.router.world import open_world, two_arms
from tests.virtual_time import turns
from understudy.control.belief import Belief, keep_remembered
from understudy.domain.acting import WithheldReason
from understudy.domain.deployments import Challenger, Fallback, Shadow
from understudy.domain.features import FeatureRef
from understudy.domain.snapshots import Snapshot, VersionSpec

pytestmark = pytest.mark.stopped_clock


@pytest.mark.parametrize("odd_number", [1, 2, 3, 4, 5])
async def test_a_version_that_cannot_be_assembled_takes_no_other_along(odd_number: int) -> None:
    """Before any revision was in effect too, as after a restart."""
    parts = deployment(
        champion=1,
        challengers=(Challenger(2, 1_000),),
        shadows=(Shadow(3, 10_000),),
        fallback=Fallback(version=4, constant_score=0.25),
        standby=(5,),
    )
    numbers = range(1, 6)
    specs = [odd(number) if number == odd_number else spec(number) for number in numbers]
    async with open_world() as world:
        await world.deploy(parts, ready={n: [f"at{n}"] for n in numbers}, specs=specs)

        effective = world.live().effective
        answer = await world.score("u1")

    assert effective.champion == (5 if odd_number == 1 else 1)
    assert effective.challengers == (() if odd_number == 2 else (2,))
    ((unservable, why),) = [(each.version, each.why) for each in effective.unservable]
    assert unservable == odd_number
    assert "user@1:absent" in why
    told = {(part.version, part.reason) for part in effective.withheld}
    declared = {odd_number} - {4, 5}  # a fallback and a standby are no shares of traffic
    assert told == {(number, WithheldReason.UNSERVABLE) for number in declared}
    assert all("user@1:absent" in str(part) for part in effective.withheld)
    assert answer.served_by.version in {1, 2, 5}


async def test_a_row_is_logged_with_its_assigned_arm_although_the_challenger_is_withheld() -> None:
    async with open_world() as world:
        await two_arms(world)
        await world.deploy(
            deployment(challengers=(Challenger(2, 4_000),), revision=2),
            ready={1: ["one"]},
            specs=[spec(1), spec(2)],
        )
        for number in range(40):
            await world.score(f"u{number}")

        withheld = [batch for batch in world.score_logs if batch.revision == 2]

    assert {batch.version for batch in withheld} == {1}
    assigned = [batch.split[seat] for batch in withheld for seat in batch.seats]
    assert {(arm.version, arm.weight_bp) for arm in assigned} == {(1, 6_000), (2, 4_000)}


async def test_an_unservable_champion_leaves_the_former_one_in_its_place() -> None:
    ready = ready_processes({1: ["a"], 2: ["b"]})
    first = Snapshot("a test", 1, (deployment(),), (spec(1),), ready)
    second = Snapshot("a test", 2, (deployment(revision=2, champion=2),), (odd(2),), ready)
    async with open_world() as world:
        await world.models.apply(first)
        before = world.models.in_effect()

        await world.models.apply(second)
        in_effect = world.models.in_effect()

        assert world.live().deployment.revision == 2
        assert world.live().effective.champion == 1
        assert world.live().effective.champion_withheld is WithheldReason.UNSERVABLE
        assert (await world.score("u1")).served_by.version == 1
    assert replace(before, acting=()) == first
    assert replace(in_effect, acting=()) == second


async def test_a_plan_is_compiled_again_only_for_another_artifact() -> None:
    async with open_world() as world:
        await world.deploy(deployment(), ready={1: ["a"]}, specs=[odd(1)])
        assert [each.version for each in world.live().effective.unservable] == [1]

        mended = replace(spec(1), artifact_digest="m" * 64)
        await world.deploy(deployment(revision=2), ready={1: ["a"]}, specs=[mended])

        assert world.live().effective.unservable == ()
        assert (await world.score("u1")).served_by.version == 1


def odd(number: int) -> VersionSpec:
    return replace(spec(number), feature_set=(FeatureRef("user", 1, "absent"),))


async def test_a_restarted_router_lets_the_version_act_that_acted_before() -> None:
    """The declared champion cannot load any more; the acting one is a challenger as well."""
    deployed = deployment(champion=1, challengers=(Challenger(2, 1_000),))
    before = Snapshot(
        *("a test", 1, (replace(deployed, champion=2, challengers=()),)),
        versions=(spec(1), spec(2), spec(3)),
        scorers=ready_processes({2: ["b"], 3: ["c"]}),
    )
    after = replace(before, sequence=2, deployments=(replace(deployed, revision=2),))
    async with open_world() as world:
        await world.models.apply(before)
        await world.models.apply(after)
        remembered = world.models.in_effect()
        assert world.live().effective.champion == 2

    async with open_world() as world:
        await world.models.apply(remembered)

        assert world.live().effective.champion == 2
        assert world.live().effective.champion_withheld is WithheldReason.NOT_READY
        assert world.models.in_effect().acting == remembered.acting


async def test_a_disk_that_hangs_holds_up_no_call(tmp_path: Path) -> None:
    remembered = tmp_path / "snapshot"
    hanging = tmp_path / f"snapshot.{os.getpid()}"  # the scratch file
    os.mkfifo(hanging)
    async with open_world() as world, asyncio.TaskGroup() as tasks:
        models = world.models
        keeping = tasks.create_task(
            keep_remembered(Belief(remembered), models.changed, models.in_effect)
        )
        await world.deploy(deployment(), ready={1: ["a"]}, specs=[spec(1)])
        await turns()
        assert not models.changed.is_set()  # it is being written

        answer = await world.score("u1")

        assert answer.served_by.version == 1
        assert not remembered.exists()
        assert await asyncio.to_thread(hanging.read_bytes)  # lets the write end
        keeping.cancel()
