"""The explanation of a unit key: assigned arm, answering version, and bucket."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import kstest

from router.cli.status_output import print_explained
from router.decisions.assignment import ArmWeight, Assigner, Split
from router.decisions.buckets import bucket_bp
from router.edge.explain import explain
from tests.router.samples import CONTRACT, MODEL, deployment, spec
from tests.router.world import World, open_world, two_arms
from understudy.control.contract_wire import contract_from_wire
from understudy.domain.deployments import Arm, Challenger
from understudy.domain.errors import InvalidInputError, NotFoundError
from understudy.runtime.terminal.output_option import Format
from understudy.scoring.v1 import scoring_pb2 as pb

ACTS, NOT_READY = pb.WITHHELD_REASON_UNSPECIFIED, pb.WITHHELD_REASON_NOT_READY

pytestmark = pytest.mark.virtual_time


def explained(world: World, unit_key: str) -> pb.ExplainAssignmentResponse:
    return explain(MODEL, unit_key, world.models.live.get(MODEL))


def shares_of(answer: pb.ExplainAssignmentResponse) -> list[tuple[int, int, int, int]]:
    return [
        (share.version, share.declared_bp, share.effective_bp, share.withheld_because)
        for share in answer.shares
    ]


async def deploy_with_ready(world: World, *ready: int, **changes: Any) -> None:
    await world.deploy(
        deployment(**changes),
        ready={number: [f"scorer-{number}"] for number in ready},
        specs=[spec(1), spec(2), spec(3)],
    )


async def test_a_champion_that_is_not_ready_names_the_acting_version() -> None:
    async with open_world() as world:
        await deploy_with_ready(world, 1, champion=1)
        await deploy_with_ready(world, 1, champion=3, revision=2)

        answer = explained(world, "u1")
        scored = await world.score("u1", features={"amount": 1.0, "count": 1.0})

    assert (answer.assigned.version, answer.answering.version) == (3, 1)
    assert answer.answering.version == scored.served_by.version
    assert shares_of(answer) == [(3, 10_000, 0, NOT_READY), (1, 0, 10_000, ACTS)]


async def test_an_explanation_shows_what_requests_must_and_may_have(
    capsys: pytest.CaptureFixture[str],
) -> None:
    async with open_world() as world:
        await deploy_with_ready(world, 1, champion=1)

        answer = explained(world, "u1")
        print_explained("u1", answer, Format.TABLE)

    told = capsys.readouterr().out
    assert contract_from_wire(answer.contract) == CONTRACT
    assert "requests must have: user" in told
    assert "2 features; unit key: user" in told


async def test_a_challenger_that_is_not_ready_leaves_its_units_to_the_champion() -> None:
    async with open_world() as world:
        await deploy_with_ready(world, 1, 3, challengers=(Challenger(2, 4_000), Challenger(3, 500)))
        answers = [explained(world, f"u{index}") for index in range(60)]

    of_unready = [answer for answer in answers if answer.assigned.version == 2]
    assert of_unready
    assert all(a.answering == pb.ArmVersion(arm=pb.ARM_CHAMPION, version=1) for a in of_unready)
    assert shares_of(answers[0]) == [
        (1, 5_500, 9_500, ACTS),
        (2, 4_000, 0, NOT_READY),
        (3, 500, 500, ACTS),
    ]


async def test_if_no_version_is_ready_none_is_named() -> None:
    async with open_world() as world:
        await deploy_with_ready(world, challengers=(Challenger(2, 4_000),))

        answer = explained(world, "u1")

    assert not answer.HasField("answering")
    assert {because for *_, because in shares_of(answer)} == {NOT_READY}


async def test_a_bucket_below_the_weight_belongs_to_the_challenger() -> None:
    async with open_world() as world:
        await two_arms(world)
        answers = [explained(world, f"u{index}") for index in range(60)]

    assert {answer.answering.version for answer in answers} == {1, 2}
    for answer in answers:
        champion, challenger = answer.shares
        assert not champion.HasField("bucket_bp")
        assert (challenger.bucket_bp < 4_000) == (answer.assigned.version == 2)


@pytest.mark.parametrize("unit_key", ["", "x" * 257])
async def test_a_unit_key_that_could_not_be_scored_is_refused(unit_key: str) -> None:
    async with open_world() as world:
        await two_arms(world)

        with pytest.raises(InvalidInputError, match=f"{len(unit_key)} characters"):
            explained(world, unit_key)


def test_an_unknown_model_does_not_exist() -> None:
    with pytest.raises(NotFoundError, match="made-up"):
        explain("made-up", "u1", None)


@given(
    unit_key=st.text(min_size=1, max_size=30),
    salt=st.text(min_size=1, max_size=10),
    weight_bp=st.integers(1, 9_999),
)
def test_buckets_agree_with_assignment(unit_key: str, salt: str, weight_bp: int) -> None:
    arms = (
        ArmWeight(Arm.CHAMPION, 1, 10_000 - weight_bp),
        ArmWeight(Arm.CHALLENGER, 5, weight_bp),
    )

    bucket = bucket_bp(unit_key, salt=salt, challenger=5)

    assert 0 <= bucket <= 9_999
    assert (bucket < weight_bp) == (Assigner(Split(salt, arms)).assign(unit_key) == 1)


def test_buckets_are_uniform() -> None:
    found = np.array([bucket_bp(f"u{i}", salt="s", challenger=2) for i in range(1_500)])

    assert kstest((found + 0.5) / 10_000, "uniform").pvalue > 0.001


def test_the_output_names_the_answering_version_and_the_bucket(
    capsys: pytest.CaptureFixture[str],
) -> None:
    found = pb.ExplainAssignmentResponse(
        model=MODEL,
        revision=7,
        assigned=pb.ArmVersion(arm=pb.ARM_CHALLENGER, version=2),
        answering=pb.ArmVersion(arm=pb.ARM_CHAMPION, version=1),
        shares=[
            pb.ArmShare(
                arm=pb.ARM_CHALLENGER,
                version=2,
                declared_bp=500,
                withheld_because=pb.WITHHELD_REASON_NOT_READY,
                bucket_bp=321,
            )
        ],
    )

    print_explained("[u1]", found, Format.TABLE)

    shown = capsys.readouterr().out
    assert "[u1] -> challenger fraud@2 (revision 7)" in shown
    assert "fraud@2 does not act (no ready scorer); champion fraud@1 answers" in shown
    assert "321" in shown
