"""Two hosts with labels: a move between them fails no call, and a killed one is not replaced elsewhere.

docs/reference/faults.md has the counts of one run, of callers as in `test_process_faults.py`.
"""

import asyncio
import json
import os
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from stack.data_directory import DataDirectory
from stack.decisions.demo_checks import Call
from stack.processes import scorer_host_process
from stack.traffic import Traffic, open_traffic
from tests.stack.deployed import Deployed, open_deployed
from tests.stack.understudy_command import output_of, running
from tests.stack.waiting import until
from understudy.domain.changes import SetHostLabels
from understudy.domain.deployments import DegradationLevel
from understudy.registry.v1 import registry_pb2 as pb
from understudy.runtime.free_port import free_port
from understudy.runtime.terminal.output_option import Format

pytestmark = [pytest.mark.fault, pytest.mark.long]
CALLS = 50
MODEL, SECOND = "cancer", "second"


async def start_second_host(deployed: Deployed, folder: Path) -> None:
    stack = deployed.stack
    addresses = replace(stack.addresses, scorer_host=f"127.0.0.1:{free_port()}")
    spec = scorer_host_process(DataDirectory(folder), addresses, stack.access)
    environment = {"SCORER_HOST_LABELS": "large", "SCORER_HOST_HOST_ID": SECOND}
    await stack.supervisor.start(
        replace(spec, name=SECOND, environment={**spec.environment, **environment})
    )


async def serving_hosts(deployed: Deployed) -> set[str]:
    """Return the hosts with a scorer that is ready, by the registry."""
    status = await asyncio.to_thread(deployed.registry.get_status)
    ready = [each for each in status.scorers if each.state == pb.SCORER_STATE_READY]
    return {each.host_id for each in ready}


async def serve_only(deployed: Deployed, hosts: set[str]) -> None:
    async def holds() -> bool:
        return await serving_hosts(deployed) == hosts

    await until(holds)


async def command(*words: str) -> Any:
    async with running("registry", *words, "--output", Format.JSON.value) as process:
        text = await output_of(process)
    return json.loads(text[text.index("{") :])


async def until_calls(traffic: Traffic, holds: Callable[[Traffic], bool]) -> None:
    """Send on until the last calls are as they should be."""
    while not holds(traffic):
        await traffic.until_ended(traffic.ended + CALLS)


def fell_back(call: Call) -> bool:
    return call.level >= DegradationLevel.FALLBACK


def of_models(traffic: Traffic) -> int:
    return len(traffic.calls) - sum(map(fell_back, traffic.calls))


def of_none(traffic: Traffic) -> int:
    """Return the number of calls that no model answered: failed ones and those of the fallback."""
    return traffic.ended - of_models(traffic)


@pytest.mark.parametrize("declares", [False, True], ids=["without", "with"])
async def test_a_model_moves_between_hosts_and_stays_off_a_host_without_its_labels(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, declares: bool
) -> None:
    monkeypatch.setenv("REGISTRY_UNPROVEN", "true")  # a host more than the stack has names for
    monkeypatch.setenv("SCORER_HOST_LABELS", "small")
    async with open_deployed(tmp_path / "s", versions=1) as deployed:
        (first,) = await serving_hosts(deployed)
        monkeypatch.delenv("SCORER_HOST_LABELS")
        await start_second_host(deployed, tmp_path / "t")
        revision = await deployed.operator.change(SetHostLabels(("small",)), reason="a test")
        if declares:
            revision = await deployed.declare_fallback()
        registry = deployed.stack.addresses.registry
        options = ("--reason", "a test", "--registry", registry)
        async with open_traffic(
            deployed.stack.addresses.router,
            model=MODEL,
            entity="patient",
            units=deployed.units,
            rate_per_s=30,
            timeout_s=60.0,
        ) as traffic:
            await traffic.until_ended(CALLS)

            labels = ("--labels", "large", "--expect-revision", str(revision))
            moved = await command("set", MODEL, *labels, *options)
            await serve_only(deployed, {SECOND})
            await traffic.until_ended(traffic.ended + CALLS)
            of_the_move = traffic.ended, of_none(traffic)

            os.kill(deployed.stack.supervisor.pids()[SECOND], signal.SIGKILL)
            await until_calls(traffic, lambda now: of_none(now) >= CALLS)
            reached = await serving_hosts(deployed)

            labels = ("--labels", "small", "--expect-revision", str(revision + 1))
            back = await command("set", MODEL, *labels, *options)
            before = of_models(traffic)
            await until_calls(traffic, lambda now: of_models(now) >= before + CALLS)
        print(of_the_move, traffic.ended, of_none(traffic), len(traffic.failures))  # noqa: T201
        audit = deployed.registry.list_audit(MODEL)

    assert moved["after"]["host_labels"] == ["large"]
    assert (moved["effect"]["routers"], moved["effect"]["lagging"]) == (2, [])
    assert back["after"]["host_labels"] == ["small"]
    assert of_the_move[1] == 0
    assert bool(traffic.failures) is not declares
    assert first not in reached
    assert audit.chain_intact
    assert {revision + 1, revision + 2} <= {entry.to_revision for entry in audit.entries}
