"""Faults of the whole stack, under load, with real processes."""

import os
import signal
from collections import Counter
from pathlib import Path

import pytest

from stack.processes import REGISTRY, ROUTER, registry_process
from stack.traffic import open_traffic
from tests.stack.deployed import open_deployed
from tests.stack.waiting import until, until_gone
from understudy.client.async_scoring_client import AsyncScoringClient
from understudy.domain.changes import SetFallback, SetShadow
from understudy.domain.deployments import DegradationLevel, Fallback
from understudy.registry.v1 import registry_pb2 as pb
from understudy.scoring.v1.scoring_pb2 import DEGRADATION_LEVEL_FULL

pytestmark = [pytest.mark.fault, pytest.mark.slow]
MODEL = "cancer"
CALLS = 150


@pytest.mark.long
async def test_a_champions_scorer_killed_under_load_is_restarted(tmp_path: Path) -> None:
    async with open_deployed(tmp_path / "s", versions=1) as deployed:
        await deployed.operator.until_settled(
            await deployed.operator.change(
                SetFallback(Fallback(constant_score=0.37)), reason="answer without the model too"
            )
        )
        killed = deployed.scorer(1)
        async with open_traffic(
            deployed.stack.addresses.router,
            model=MODEL,
            entity="patient",
            units=deployed.units,
            rate_per_s=200,
        ) as traffic:
            await traffic.until_ended(CALLS)
            os.kill(killed.pid, signal.SIGKILL)
            await until_gone([killed.pid])
            at_kill = traffic.ended

            async def is_back() -> bool:
                process = deployed.scorer(1)
                return process.state == pb.SCORER_STATE_READY and process.pid != killed.pid

            await until(is_back)
            await traffic.until_ended(at_kill + CALLS)

            async def answers_by_the_model() -> bool:
                return {call.level for call in traffic.calls[-CALLS:]} == {0}

            await until(answers_by_the_model)
        back = deployed.scorer(1)

    assert traffic.failures == []
    levels = Counter(DegradationLevel(call.level) for call in traffic.calls)
    assert levels[DegradationLevel.CONSTANT] > 0, "no call noticed the kill: was it under load?"
    assert all(call.score == 0.37 for call in traffic.calls if call.level == 3)
    assert back.restarts == killed.restarts + 1
    assert back.address == killed.address


@pytest.mark.long
async def test_calls_continue_without_a_registry_and_after_a_restart_of_the_router(
    tmp_path: Path,
) -> None:
    async with open_deployed(tmp_path / "s", versions=2) as deployed:
        stack = deployed.stack
        async with AsyncScoringClient(stack.addresses.router, timeout_s=60.0) as client:
            before = {
                unit: (await client.score(MODEL, {"patient": unit})).score
                for unit in deployed.units[:20]
            }
        async with open_traffic(
            stack.addresses.router,
            model=MODEL,
            entity="patient",
            units=deployed.units,
            rate_per_s=200,
        ) as traffic:
            await traffic.until_ended(CALLS)
            os.kill(stack.supervisor.pids()[REGISTRY], signal.SIGKILL)
            await stack.supervisor.stop(REGISTRY)  # it has already ended; remove it
            await traffic.until_ended(traffic.ended + CALLS)
        assert traffic.failures == []
        # The champion answered all calls; a read of features may be late on a busy machine.
        assert {call.level for call in traffic.calls} <= {0, 1}

        await stack.supervisor.restart(ROUTER)

        async with AsyncScoringClient(stack.addresses.router, timeout_s=60.0) as client:
            answers = {
                unit: await client.score(MODEL, {"patient": unit}) for unit in deployed.units[:20]
            }
        assert {unit: answer.score for unit, answer in answers.items()} == before
        assert {answer.degradation.level for answer in answers.values()} == {DEGRADATION_LEVEL_FULL}

        # Once the registry is back, changes reach the router again.
        await stack.supervisor.start(
            registry_process(stack.directory, stack.addresses, stack.access)
        )
        await deployed.operator.until_settled(
            await deployed.operator.change(SetShadow(2, 10_000), reason="after the registry's rest")
        )
