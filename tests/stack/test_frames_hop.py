"""A whole stack whose router asks its scorers over frames."""

import os
import signal
from pathlib import Path

import pytest

from stack.router_books import read_books
from stack.traffic import Traffic, open_traffic
from tests.stack.deployed import Deployed, open_deployed
from tests.stack.waiting import until
from understudy.domain.changes import SetCanary, SetFallback
from understudy.domain.deployments import DegradationLevel, Fallback
from understudy.router.v1 import router_pb2

CALLS = 100
pytestmark = [pytest.mark.fault, pytest.mark.long]


async def hops(deployed: Deployed) -> list[router_pb2.Hop.ValueType]:
    books = await read_books(deployed.stack.directory.router)
    return [scorer.hop for each in books for scorer in each.scorers]


async def until_all_full(traffic: Traffic) -> None:
    async def is_full() -> bool:
        return {call.level for call in traffic.calls[-CALLS:]} == {DegradationLevel.FULL}

    await until(is_full)


async def test_both_arms_answer_over_frames_also_after_a_scorer_was_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ROUTER_HOP", "frames")
    monkeypatch.setenv("ROUTER_FEATURE_SLOW_S", "60")
    async with open_deployed(tmp_path / "s", versions=2) as deployed:
        await deployed.operator.change(
            SetFallback(Fallback(constant_score=0.5)), reason="answer without the model too"
        )
        revision = await deployed.operator.change(SetCanary(2, 5_000), reason="half of the units")
        await deployed.operator.until_settled(revision)
        async with open_traffic(
            deployed.stack.addresses.router,
            model="cancer",
            entity="patient",
            units=deployed.units,
            rate_per_s=50,
            timeout_s=60.0,
        ) as traffic:
            await traffic.until_ended(CALLS)
            before = await hops(deployed)
            killed = deployed.scorer(1)
            os.kill(killed.pid, signal.SIGKILL)
            await until_other_process(deployed, killed.pid)
            await until_all_full(traffic)
            after = await hops(deployed)

    assert {*before} == {*after} == {router_pb2.HOP_FRAMES}
    assert not traffic.failures


async def until_other_process(deployed: Deployed, pid: int) -> None:
    async def is_there() -> bool:
        found = deployed.scorer(1)
        return found.pid not in {0, pid}

    await until(is_there)
