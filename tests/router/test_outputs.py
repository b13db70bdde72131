"""Outputs that only some versions have: a caller cannot know which version will answer."""

from dataclasses import replace
from functools import partial

from tests.router.samples import CONTRACT, VIEW, deployment, spec
from tests.router.world import World, open_world
from understudy.domain.deployments import Challenger, Fallback
from understudy.domain.versions import DYNAMIC, TensorSpec
from understudy.scoring.v1.scoring_pb2 import DEGRADATION_LEVEL_FULL


async def deploy(world: World, *, fallback: Fallback) -> None:
    """Serve versions 1 and 2, of which only the champion has the output `why`."""
    for index in range(40):
        world.store.put(VIEW, f"u{index}", {"amount": float(index), "count": 1.0})
    rich = replace(spec(1), outputs=(*spec(1).outputs, TensorSpec("why", "FP32", (DYNAMIC, 1))))
    await world.deploy(
        deployment(
            challengers=(Challenger(2, 5_000),),
            fallback=fallback,
            contract=replace(CONTRACT, outputs=("score", "why")),
        ),
        ready={1: ["one"], 2: ["two"]},
        specs=[rich, spec(2)],
    )


async def test_an_output_that_the_answering_version_lacks_is_left_out() -> None:
    async with open_world() as world:
        await deploy(world, fallback=Fallback())
        answers = [await world.score(f"u{i}", outputs=("why", "score")) for i in range(40)]

    named = {(a.served_by.version, *(output.name for output in a.outputs)) for a in answers}
    assert named == {(1, "why", "score"), (2, "score")}
    assert {answer.degradation.level for answer in answers} == {DEGRADATION_LEVEL_FULL}


async def test_other_calls_of_a_batch_get_the_outputs_they_requested() -> None:
    async with open_world() as world:
        await deploy(world, fallback=Fallback())
        of_two = [f"u{i}" for i in range(40) if (await world.score(f"u{i}")).served_by.version == 2]
        blocker = of_two[0]
        scorer = world.scorers["two"]

        lacking, plain = await world.score_together(
            "two",
            partial(world.submit, of_two[1], outputs=("why",)),
            partial(world.submit, of_two[2], outputs=("score",)),
            first=blocker,
        )

    assert scorer.batches[-1] == 2
    assert list(lacking.outputs) == []
    assert list(plain.outputs[0].values) == [plain.score]


async def test_the_fallback_version_may_lack_it_too() -> None:
    async with open_world() as world:
        await deploy(world, fallback=Fallback(version=2))
        world.scorers["one"].failing = True
        answers = [await world.score(f"u{i}", outputs=("why",)) for i in range(10)]

    assert {answer.served_by.version for answer in answers} == {2}
    assert {len(answer.outputs) for answer in answers} == {0}
