"""The cost of a registry's state grows with its models, and that of a version with its features: no faster."""

from dataclasses import replace

import pytest

from router.revision.version_plans import VersionPlans
from tests.counted_steps import counting_steps
from tests.router.samples import VIEW, deployment, ready_processes, spec
from tests.router.world import open_world
from understudy.domain.acting import ActingChampion
from understudy.domain.features import Feature, FeatureDtype
from understudy.domain.snapshots import Snapshot
from understudy.domain.versions import VersionRef

LINEAR = 1.2  # the ratio of costs to the ratio of sizes; fixed costs make it less than one


def state_of(models: int, *, sequence: int = 1, revision: int = 1) -> Snapshot:
    """Return a state with a ready scorer for each model; `revision`: of the first one."""
    process, names = ready_processes({1: ["a"]})[0], [f"m{index}" for index in range(models)]
    deployments = [deployment(model=name) for name in names]
    deployments[0] = replace(deployments[0], revision=revision)
    return Snapshot(
        "a test",
        sequence,
        tuple(deployments),
        tuple(replace(spec(1), ref=VersionRef(name, 1)) for name in names),
        tuple(replace(process, ref=VersionRef(name, 1), address=f"at {name}") for name in names),
        acting=tuple(ActingChampion(name, 1, 1, since_ns=1) for name in names),
    )


async def steps_of_a_change(models: int) -> int:
    async with open_world() as world:
        await world.models.apply(state_of(models))
        with counting_steps() as steps:
            await world.models.apply(state_of(models, sequence=2, revision=2))
        assert world.models.live["m0"].deployment.revision == 2
        return steps.lines


@pytest.mark.virtual_time
async def test_a_change_among_many_models_costs_in_proportion() -> None:
    few, many = await steps_of_a_change(25), await steps_of_a_change(100)

    assert many <= 4 * LINEAR * few


def steps_of_compiling(features: int) -> int:
    columns = tuple(Feature(f"f{n}", FeatureDtype.FLOAT32, default=0.0) for n in range(features))
    plans = VersionPlans()
    wide = spec(1, view=replace(VIEW, features=columns))
    with counting_steps() as steps:
        found, unservable = plans.of([wide])
    assert found
    assert not unservable
    return steps.lines


def test_a_wide_version_is_compiled_in_proportion() -> None:
    narrow, wide = steps_of_compiling(100), steps_of_compiling(400)

    assert wide <= 4 * LINEAR * narrow
