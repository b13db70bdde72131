"""Processes of a router that fall silent, with a fallback and without one; counted."""

import asyncio
import os
import signal
from contextlib import suppress
from pathlib import Path

import grpc
import psutil
import pytest

from stack.processes import ROUTER
from tests.router.router_process import (
    PATIENT,
    PATIENT_S,
    USERS,
    RouterProcess,
    ServedScorer,
    open_patient_traffic,
    open_router_process,
)
from tests.router.samples import MODEL, deployment
from tests.stack.waiting import until, until_gone
from understudy.client.async_scoring_client import AsyncScoringClient
from understudy.domain.deployments import DegradationLevel, Fallback

pytestmark = [pytest.mark.fault, pytest.mark.long]
SUSPENDED_S = 8.0  # longer than it takes to find a process hung
CALLS = 150
RATE_OF_MINUTES_PER_S = 10
WAITING = 40  # calls; fewer than gRPC keeps unread for one listener of a worker
DECLARED = pytest.mark.parametrize(
    "fallback", [Fallback(), Fallback(constant_score=0.5)], ids=["without", "with"]
)


def tree_of(router: RouterProcess) -> list[psutil.Process]:
    """Return the supervising process, its workers, and their readers."""
    parent = psutil.Process(router.supervisor.pids()[ROUTER])
    return [parent, *parent.children(recursive=True)]


def reader_of(router: RouterProcess) -> psutil.Process:
    (reader,) = [each for each in tree_of(router) if "understudy.features.reader" in each.cmdline()]
    return reader


@DECLARED
async def test_a_reader_that_hangs_costs_a_level_and_no_call(
    tmp_path: Path, fallback: Fallback
) -> None:
    async with (
        open_router_process(
            tmp_path,
            deployment(fallback=fallback),
            {1: [ServedScorer()]},
            **PATIENT,
        ) as router,
        open_patient_traffic(router, rate_per_s=100) as traffic,
    ):
        await traffic.until_ended(CALLS)
        hung = reader_of(router)
        before = len(traffic.calls)
        os.kill(hung.pid, signal.SIGSTOP)
        await until_gone([hung.pid])
        during = traffic.calls[before:]
        while traffic.calls[-1].level is not DegradationLevel.FULL:
            await traffic.until_ended(traffic.ended + 1)

    print(f"{len(traffic.failures)} of {len(during)}")  # noqa: T201 - the counts
    assert traffic.failures == []
    assert {call.level for call in during} <= {DegradationLevel.FULL, DegradationLevel.FEATURES}
    assert DegradationLevel.FEATURES in {call.level for call in during}


@DECLARED
async def test_a_reader_that_hangs_while_it_opens_its_store_costs_a_level_and_no_call(
    tmp_path: Path, fallback: Fallback
) -> None:
    async with (
        open_router_process(
            tmp_path,
            deployment(fallback=fallback),
            {1: [ServedScorer()]},
            **PATIENT,
        ) as router,
        open_patient_traffic(router, rate_per_s=RATE_OF_MINUTES_PER_S) as traffic,
    ):
        await traffic.until_ended(RATE_OF_MINUTES_PER_S)
        ended = reader_of(router)
        before = len(traffic.calls)
        ended.kill()
        hung = await started_after(ended, router)
        hung.suspend()  # a starting interpreter has not reached the store yet
        await until_gone([hung.pid])
        during = traffic.calls[before:]
        while traffic.calls[-1].level is not DegradationLevel.FULL:
            await traffic.until_ended(traffic.ended + 1)

    print(f"{len(traffic.failures)} of {len(traffic.calls) - before}")  # noqa: T201 - the counts
    assert "did not open the store" in (tmp_path / "process-logs" / "router.log").read_text()
    assert traffic.failures == []
    assert {call.level for call in during} <= {DegradationLevel.FULL, DegradationLevel.FEATURES}
    assert during[-1].level is DegradationLevel.FEATURES


async def started_after(ended: psutil.Process, router: RouterProcess) -> psutil.Process:
    """Return the reader that takes the place of one that has ended."""
    found: list[psutil.Process] = []

    async def is_found() -> bool:
        with suppress(psutil.NoSuchProcess, ValueError):  # none yet, or between two
            found[:] = [reader_of(router)]
        return bool(found) and found[0] != ended

    await until(is_found)
    return found[0]


@DECLARED
async def test_a_suspended_machine_costs_no_patient_call_and_at_most_one_worker(
    tmp_path: Path, fallback: Fallback
) -> None:
    async with (
        open_router_process(
            tmp_path,
            deployment(fallback=fallback),
            {1: [ServedScorer()]},
            workers=2,
            **PATIENT,
            probe_interval_s=0.2,
            probe_timeout_s=1.0,
        ) as router,
        AsyncScoringClient(router.address, timeout_s=PATIENT_S) as client,
        AsyncScoringClient(router.address, timeout_s=SUSPENDED_S) as impatient,
    ):
        processes = tree_of(router)
        workers = {each.pid for each in processes[0].children()}
        for each in processes:
            each.suspend()
        calls = [
            asyncio.ensure_future(client.score(MODEL, {"user": user})) for user in USERS[:WAITING]
        ]
        with pytest.raises(grpc.RpcError):
            await impatient.score(MODEL, {"user": USERS[0]})
        assert not any(call.done() for call in calls)

        for each in processes:
            each.resume()
        answers = await asyncio.gather(*calls)
        print(f"{WAITING - len(answers)} of {WAITING}")  # noqa: T201 - the counts

        assert len(answers) == WAITING
        assert len(workers & {each.pid for each in processes[0].children()}) >= 1
