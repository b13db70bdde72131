"""Unchanged clients of Triton and KServe against the router, through what an operator does."""

import os
import signal
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from tests.router.samples import MODEL as SAMPLE
from tests.router.served import open_served
from tests.stack.deployed import open_deployed
from tests.stack.inference_callers import open_caller
from tests.stack.waiting import until, until_gone
from understudy.domain.changes import Promote, Rollback, SetCanary, SetFallback
from understudy.domain.deployments import Fallback
from understudy.registry.v1 import registry_pb2 as pb

KINDS = ("triton", "triton_async", "triton_aio", "triton_stream", "kserve")
CALLS = 100


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["triton_aio"])
async def test_a_stock_client_scores_on_the_router(kind: str) -> None:
    async with (
        open_served() as served,
        open_caller(kind, f"127.0.0.1:{served.port}", SAMPLE, "user", ["u0"], calls=5) as caller,
    ):
        await caller.until_ended(5)
        outcome = await caller.finish()

    assert outcome["failures"] == []
    assert sum(outcome["versions"].values()) == 5


@pytest.mark.fault
@pytest.mark.long
async def test_no_call_fails_through_a_canary_a_rollback_and_a_killed_scorer(
    tmp_path: Path,
) -> None:
    async with open_deployed(tmp_path / "s", versions=2) as deployed, AsyncExitStack() as opened:
        operator = deployed.operator

        async def change(to: object, reason: str) -> None:
            await operator.until_settled(await operator.change(to, reason=reason))  # type: ignore[arg-type]  # a change

        await change(SetFallback(Fallback(constant_score=0.37)), "answer without the model too")
        callers = [
            await opened.enter_async_context(
                open_caller(
                    kind,
                    deployed.stack.addresses.router,
                    "cancer",
                    "patient",
                    deployed.units[:50],
                )
            )
            for kind in KINDS
        ]

        async def all_call_on() -> None:
            for caller in callers:
                await caller.until_ended(caller.ended + CALLS)

        await all_call_on()
        await change(SetCanary(2, 5_000), "half of the traffic")
        await all_call_on()
        killed = deployed.scorer(1)
        os.kill(killed.pid, signal.SIGKILL)
        await until_gone([killed.pid])
        await all_call_on()

        async def is_back() -> bool:
            process = deployed.scorer(1)
            return process.state == pb.SCORER_STATE_READY and process.pid != killed.pid

        await until(is_back)
        await change(Promote(2), "better on outcomes")
        await all_call_on()
        await change(Rollback(), "too many reviews")
        await all_call_on()
        outcomes = {caller.kind: await caller.finish() for caller in callers}

    assert {kind: each["failures"] for kind, each in outcomes.items()} == {
        kind: [] for kind in KINDS
    }
    assert all({"1", "2"} <= set(each["versions"]) for each in outcomes.values()), outcomes
