"""A drill on the real stack: visible in answers, recorded before its start, and self-ending."""

import asyncio
import json
import os
import signal
import subprocess
from pathlib import Path

import pytest

from stack.processes import REGISTRY
from tests.router.command_line import run_router
from tests.stack.deployed import Deployed, open_deployed
from tests.stack.waiting import until_gone
from understudy.client.async_scoring_client import AsyncScoringClient
from understudy.control.wire_enums import LEVEL_OF
from understudy.domain.changes import SetFallback
from understudy.domain.deployments import Fallback
from understudy.registry.v1.registry_pb2 import ACTION_DRILL
from understudy.runtime.exit_codes import OK, REFUSED, UNAVAILABLE, USAGE

pytestmark = pytest.mark.slow


def drill(
    deployed: Deployed, level: str, registry: str, *, lasting: str = "10m"
) -> subprocess.CompletedProcess[str]:
    return run_router(
        *("drill", "--level", level, "--for", lasting),
        *("--reason", "quarterly exercise", "--registry", registry),
        *("--state-dir", str(deployed.stack.directory.router)),
    )


async def answered(deployed: Deployed) -> set[tuple[int, int]]:
    """Return the levels (as numbers, L0 to L3) and versions of some answers."""
    async with AsyncScoringClient(deployed.stack.addresses.router, timeout_s=60.0) as client:
        answers = [await client.score("cancer", {"patient": u}) for u in deployed.units[:20]]
    return {(LEVEL_OF[each.degradation.level].value, each.served_by.version) for each in answers}


async def levels(deployed: Deployed) -> set[int]:
    return {level for level, _ in await answered(deployed)}


@pytest.mark.long
async def test_a_drill_acts_in_every_worker_and_is_in_the_audit_log(tmp_path: Path) -> None:
    async with open_deployed(tmp_path / "s", versions=1) as deployed:
        registry = deployed.stack.addresses.registry
        bare = drill(deployed, "L3", registry)
        too_long = drill(deployed, "L3", registry, lasting="2h")
        await deployed.operator.until_settled(
            await deployed.operator.change(SetFallback(Fallback(constant_score=0.4)), reason="r")
        )

        started = drill(deployed, "L3", registry)
        during = await levels(deployed)
        ended = drill(deployed, "L0", registry)
        after = await levels(deployed)
        audit = deployed.registry.list_audit()
        os.kill(deployed.stack.supervisor.pids()[REGISTRY], signal.SIGKILL)
        await until_gone([deployed.stack.supervisor.pids()[REGISTRY]])
        unrecorded = drill(deployed, "L3", registry)
        without_record = await levels(deployed)

    assert bare.returncode == REFUSED
    assert "cancer: no fallback is declared for L3" in bare.stderr
    assert too_long.returncode == USAGE
    assert "duration_s" in too_long.stderr
    assert (started.returncode, ended.returncode) == (OK, OK), started.stderr + ended.stderr
    assert during == {3}
    assert 3 not in after | without_record, "L1 is possible on a busy machine, L3 is not"
    drills = [entry for entry in audit.entries if entry.action == ACTION_DRILL]
    assert [json.loads(entry.details_json)["level"] for entry in drills] == ["L3", "L0"]
    assert {entry.reason for entry in drills} == {"quarterly exercise"}
    assert audit.chain_intact
    assert drills[0].digest in started.stdout
    assert unrecorded.returncode == UNAVAILABLE
    assert "the drill was not started" in unrecorded.stderr


@pytest.mark.long
async def test_drills_of_l1_and_l2_answer_from_their_level(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ROUTER_SCORER_TIMEOUT_S", "60")  # a slow scorer's breaker would open
    async with open_deployed(tmp_path / "s", versions=2) as deployed:
        registry = deployed.stack.addresses.registry
        without_store = drill(deployed, "L1", registry, lasting="20m")  # needs no fallback
        at_l1 = await answered(deployed)
        drill(deployed, "L0", registry)
        await deployed.operator.until_settled(
            await deployed.operator.change(SetFallback(Fallback(version=2)), reason="r")
        )
        async with asyncio.timeout(120):
            while (0, 1) not in (before := await answered(deployed)):
                pass  # the store's breakers let a probe through soon

        started = drill(deployed, "L2", registry, lasting="20m")
        during = await answered(deployed)
        ended = drill(deployed, "L0", registry)
        after = await answered(deployed)

    assert without_store.returncode == OK, without_store.stderr
    assert at_l1 == {(1, 1)}
    assert (started.returncode, ended.returncode) == (OK, OK), started.stderr + ended.stderr
    assert "L2 for 1200 s" in started.stdout
    assert during == {(2, 2)}
    assert before | after <= {(0, 1), (1, 1)}, "L1 is possible on a busy machine"
