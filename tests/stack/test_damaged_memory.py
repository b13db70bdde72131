"""A router and a scorer host that start over a damaged remembered state, under calls; counted."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from stack.processes import ROUTER, SCORERS, router_process
from stack.traffic import Traffic, open_traffic
from tests.stack.deployed import Deployed, open_deployed
from tests.stack.waiting import until
from understudy.client.async_scoring_client import AsyncScoringClient
from understudy.domain.changes import SetFallback
from understudy.domain.deployments import Fallback
from understudy.runtime.free_port import free_port
from understudy.runtime.supervision.supervisor import ProcessSpec
from understudy.scoring.v1.scoring_pb2 import DEGRADATION_LEVEL_FULL

pytestmark = [pytest.mark.fault, pytest.mark.long, pytest.mark.timeout(600)]
CALLS = 100
MODEL = "cancer"
STATE = "last-snapshot"
Damage = Callable[[Path], None]


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def change_a_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def second_router(deployed: Deployed, state_dir: Path, address: str) -> ProcessSpec:
    """Return the process of another router of the same registry, as on another machine."""
    stack = deployed.stack
    spec = router_process(stack.directory, stack.addresses, stack.access, workers=1)
    own = {stack.addresses.router: address, str(stack.directory.router): str(state_dir)}
    return replace(
        spec,
        name="second router",
        arguments=tuple(own.get(argument, argument) for argument in spec.arguments),
        health_target=address,
        liveness_target=f"unix:{state_dir / 'router.sock'}",
    )


async def answers_in_full(deployed: Deployed, address: str) -> bool:
    async with AsyncScoringClient(address, timeout_s=60.0) as client:
        answer = await client.score(MODEL, {"patient": deployed.units[0]})
    return answer.degradation.level == DEGRADATION_LEVEL_FULL


async def are_full(traffic: Traffic, since: int) -> bool:
    """Return whether the last calls were answered in full, and all of them after the fault."""
    return len(traffic.calls) >= since + CALLS and {
        call.level for call in traffic.calls[-CALLS:]
    } == {0}


@pytest.mark.parametrize(
    ("declares", "damage"),
    [(False, cut), (True, change_a_bit)],
    ids=["without", "with"],
)
async def test_a_damaged_remembered_state_is_as_none_and_the_others_answer_meanwhile(
    tmp_path: Path, *, declares: bool, damage: Damage
) -> None:
    async with open_deployed(tmp_path / "s", versions=1) as deployed:
        stack, operator = deployed.stack, deployed.operator
        if declares:
            fallback = SetFallback(Fallback(constant_score=0.37))
            await operator.until_settled(
                await operator.change(fallback, reason="answer at all times")
            )
        state_dir = tmp_path / "second"
        state_dir.mkdir()
        shutil.copy(stack.directory.router / STATE, state_dir)
        damage(state_dir / STATE)
        address = f"127.0.0.1:{free_port()}"
        async with open_traffic(
            stack.addresses.router,
            model=MODEL,
            entity="patient",
            units=deployed.units,
            rate_per_s=50,
            timeout_s=60.0,
        ) as traffic:
            await traffic.until_ended(CALLS)
            await stack.supervisor.start(second_router(deployed, state_dir, address))
            await until(partial(answers_in_full, deployed, address))
            of_router = (len(traffic.failures), traffic.ended)

            damage(stack.directory.scorers / STATE)
            before, answered = traffic.ended, len(traffic.calls)
            await stack.supervisor.restart(SCORERS)
            await until(lambda: are_full(traffic, answered))
            of_host = (len(traffic.failures) - of_router[0], traffic.ended - before)

        print(f"router: {of_router}, scorer host: {of_host}")  # noqa: T201 - failed of all calls
        assert of_router[0] == 0
        assert {call.version for call in traffic.calls} == {1}
        assert not declares or traffic.failures == []
        assert ROUTER in stack.supervisor.pids()
