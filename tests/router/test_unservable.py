"""A version that a router cannot assemble takes no other along, over a real router process."""

from dataclasses import replace
from pathlib import Path

import grpc
import pytest

from tests.router.router_process import USERS, ServedScorer, open_router_process
from tests.router.samples import MODEL, deployment, spec
from understudy.domain.deployments import Fallback, Shadow
from understudy.domain.versions import DYNAMIC, TensorSpec
from understudy.scoring.v1 import scoring_pb2, scoring_pb2_grpc

pytestmark = [pytest.mark.long, pytest.mark.fault]

_CALLS = 40


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
