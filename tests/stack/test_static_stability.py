"""Silence of one part withdraws nothing that answers: real processes, under load."""

import asyncio
import os
import shutil
import signal
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager, contextmanager
from pathlib import Path

import pytest

from stack.processes import REGISTRY, ROUTER, SCORERS, router_process
from stack.traffic import Traffic, open_traffic
from tests.stack.deployed import Deployed, open_deployed
from tests.stack.waiting import until, until_gone
from understudy.client.async_scoring_client import AsyncScoringClient
from understudy.control.report_wire import acting_from_wire
from understudy.control.wire_enums import LEVEL_OF
from understudy.domain.acting import WithheldReason
from understudy.domain.changes import Promote, Rollback, SetCanary
from understudy.domain.deployments import DegradationLevel
from understudy.registry.v1 import registry_pb2 as pb

pytestmark = [pytest.mark.fault, pytest.mark.long]
MODEL = "cancer"
CALLS = 150


@contextmanager
def suspended(pid: int) -> Iterator[None]:
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def under_load(deployed: Deployed) -> AbstractAsyncContextManager[Traffic]:
    return open_traffic(
        deployed.stack.addresses.router,
        model=MODEL,
        entity="patient",
        units=deployed.units,
        rate_per_s=200,
    )


async def news_is(deployed: Deployed, news: pb.News.ValueType) -> bool:
    status = await asyncio.to_thread(deployed.registry.get_status)
    return [host.news for host in status.hosts] == [news]


@pytest.mark.parametrize("declares", [False, True], ids=["without", "with"])
async def test_neither_death_nor_silence_costs_a_call_while_another_process_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, declares: bool
) -> None:
    """One stack for all faults, because its start takes longest. A fallback is one revision more."""
    monkeypatch.setenv("REGISTRY_SILENT_AFTER_S", "1")
    monkeypatch.setenv("ROUTER_FEATURE_SLOW_S", "60")  # levels must not tell of the machine
    async with open_deployed(tmp_path / "s", versions=2) as deployed:
        if declares:
            await deployed.declare_fallback()
        await deployed.operator.change(SetCanary(2, 1_000), reason="a challenger")
        await deployed.operator.until_settled(
            await deployed.operator.change(Promote(2), reason="the former one stays warm")
        )
        pids = deployed.stack.supervisor.pids()
        async with under_load(deployed) as traffic:
            await traffic.until_ended(CALLS)
            await kill_champion(deployed, traffic)
            at_silence = len(traffic.calls)
            with suspended(pids[SCORERS]):
                await until(lambda: news_is(deployed, pb.NEWS_SILENT))
                await traffic.until_ended(traffic.ended + CALLS)
            with suspended(pids[REGISTRY]):  # it reads no report either
                await traffic.until_ended(traffic.ended + 2 * CALLS)
            await until(lambda: news_is(deployed, pb.NEWS_REPORTING))
        with suspended(pids[SCORERS]):
            await until(lambda: news_is(deployed, pb.NEWS_SILENT))
            await start_a_new_router(deployed)
            by_a_new_router = await answering_versions(deployed)
        await roll_back_to_an_unloadable_version(deployed, to_revision=2 + declares)
        after_rollback = await answering_versions(deployed)
        await deployed.stack.supervisor.restart(ROUTER)
        after_restart = await answering_versions(deployed)
        await start_a_new_router(deployed)
        on_a_new_machine = await answering_versions(deployed)
        acting = deployed.registry.get_status().acting[0]

    assert after_rollback == after_restart == on_a_new_machine == {(2, DegradationLevel.FULL)}
    assert acting_from_wire(acting).because is WithheldReason.NOT_READY
    assert traffic.failures == []
    asked = {call.version for call in traffic.calls if call.level == DegradationLevel.FULL}
    assert asked == {1, 2}, "the former champion was not asked"
    assert {(call.version, call.level) for call in traffic.calls[at_silence:]} == {(2, 0)}
    assert by_a_new_router == {(2, DegradationLevel.FULL)}


async def kill_champion(deployed: Deployed, traffic: Traffic) -> None:
    """Kill the scorer of the champion; return once it answers again, and the former one did."""
    killed = deployed.scorer(2)
    os.kill(killed.pid, signal.SIGKILL)
    await until_gone([killed.pid])

    async def answers_again() -> bool:
        versions = [call.version for call in traffic.calls]
        return 1 in versions and set(versions[-CALLS:]) == {2}

    await until(answers_again)


async def roll_back_to_an_unloadable_version(deployed: Deployed, *, to_revision: int) -> None:
    """Declare version 1 again, which cannot load; version 2 is its challenger, not on standby.

    The registry has the artifact whole, so it accepts the change; the host cannot store it.
    """
    killed = deployed.scorer(1)
    (stored,) = deployed.stack.directory.scorers.rglob(killed.artifact_digest)
    shutil.rmtree(stored)
    stored.write_bytes(b"a file in place of the folder")
    os.kill(killed.pid, signal.SIGKILL)
    await until_gone([killed.pid])

    async def is_down() -> bool:
        return deployed.scorer(1).state == pb.SCORER_STATE_RESTARTING

    await until(is_down)
    rollback = Rollback(to_revision=to_revision)
    made = await deployed.operator.change(rollback, reason="to a version that cannot load")

    async def is_in_effect() -> bool:
        return deployed.registry.get_status().acting[0].revision == made

    await until(is_in_effect)


async def answering_versions(deployed: Deployed) -> set[tuple[int, DegradationLevel]]:
    """Return the versions that answer twenty units, with their levels."""
    client = AsyncScoringClient(deployed.stack.addresses.router, timeout_s=30.0)
    async with client:
        answers = [await client.score(MODEL, {"patient": u}) for u in deployed.units[:20]]
    return {(answer.served_by.version, LEVEL_OF[answer.degradation.level]) for answer in answers}


async def start_a_new_router(deployed: Deployed) -> None:
    """Replace the router by one that remembers nothing, as on another machine."""
    stack = deployed.stack
    await stack.supervisor.stop(ROUTER)
    shutil.rmtree(stack.directory.router)
    await stack.supervisor.start(
        router_process(stack.directory, stack.addresses, stack.access, workers=1)
    )
