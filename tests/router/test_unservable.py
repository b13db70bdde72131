"""A version that a router cannot assemble takes no other along, over a real router process."""

from dataclasses import replace
from pathlib import Path

import grpc
import pytest

from router.cli.status_output import _in_effect
from tests.router.router_process import USERS, ServedScorer, open_router_process
from tests.router.samples import MODEL, deployment, spec
from understudy.domain.deployments import Challenger, Fallback, Shadow
from understudy.domain.features import FeatureRef
from understudy.domain.versions import DYNAMIC, TensorSpec
from understudy.scoring.v1 import scoring_pb2, scoring_pb2_grpc

pytestmark = [pytest.mark.long, pytest.mark.fault]

_CALLS = 40
REASONS = {
    2: "INT32 for float32 of amount, count",
    3: "'x' shape",
    4: "2 columns; accepted: 1",
    5: "user@1:absent",
}


@pytest.mark.parametrize("fallback", [Fallback(), Fallback(constant_score=0.25)])
async def test_a_router_that_starts_with_an_unservable_shadow_serves_its_champion(
    tmp_path: Path, fallback: Fallback
) -> None:
    parts = deployment(shadows=(Shadow(2, 10_000),), fallback=fallback)
    ids = TensorSpec("ids", "INT32", (DYNAMIC, 2))
    specs = [spec(1), replace(spec(2), inputs=(ids,))]
    scorers = {1: [ServedScorer()], 2: [ServedScorer()]}
    async with (
        open_router_process(tmp_path, parts, scorers, specs) as router,
        grpc.aio.insecure_channel(router.address) as channel,
    ):
        stub = scoring_pb2_grpc.ScoringServiceStub(channel)
        answers = [
            await stub.Score(
                scoring_pb2.ScoreRequest(model=MODEL, entities={"user": user}), timeout=60.0
            )
            for user in USERS[:_CALLS]
        ]
        books = await router.books()

    assert {answer.served_by.version for answer in answers} == {1}
    assert {answer.served_by.arm for answer in answers} == {scoring_pb2.ARM_CHAMPION}
    (state,) = books.models
    (part,) = state.withheld
    assert (part.version, part.reason) == (2, scoring_pb2.WITHHELD_REASON_UNSERVABLE)
    assert "INT32 for float32 of amount, count" in part.why


async def test_every_kind_of_part_is_left_out_alone_and_named(tmp_path: Path) -> None:
    parts = deployment(
        challengers=(Challenger(2, 3_000), Challenger(6, 2_000)),
        shadows=(Shadow(3, 10_000),),
        fallback=Fallback(version=4, constant_score=0.25),
        standby=(5,),
    )
    ids = TensorSpec("ids", "INT32", (DYNAMIC, 2))
    deep = TensorSpec("x", "FP32", (DYNAMIC, 2, 1))
    narrow = TensorSpec("x", "FP32", (DYNAMIC, 1))
    odd = FeatureRef("user", 1, "absent")
    specs = [
        spec(1),
        replace(spec(2), inputs=(ids,)),
        replace(spec(3), inputs=(deep,)),
        replace(spec(4), inputs=(narrow,)),
        replace(spec(5), feature_set=(odd,)),
        spec(6),
    ]
    scorers = {number: [ServedScorer()] for number in range(1, 7)}
    async with (
        open_router_process(tmp_path, parts, scorers, specs) as router,
        grpc.aio.insecure_channel(router.address) as channel,
    ):
        stub = scoring_pb2_grpc.ScoringServiceStub(channel)
        answers = [
            await stub.Score(
                scoring_pb2.ScoreRequest(model=MODEL, entities={"user": user}), timeout=60.0
            )
            for user in USERS[:_CALLS]
        ]
        books = await router.books()

    assert {answer.served_by.version for answer in answers} == {1, 6}
    (state,) = books.models
    assert [each.version for each in state.effective] == [6]
    assert {part.version: part.arm for part in state.withheld} == {
        2: scoring_pb2.ARM_CHALLENGER,
        3: scoring_pb2.ARM_SHADOW,
    }
    reasons = {each.version: each.why for each in state.unservable}
    assert {number: words in reasons[number] for number, words in REASONS.items()} == dict.fromkeys(
        REASONS, True
    )
    line = _in_effect(state)
    assert "in reserve: @4 cannot be served" in line
    assert "in reserve: @5 cannot be served" in line
