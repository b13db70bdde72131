"""Orphans, the workers of a killed supervising process: they serve on, for a bounded time; counted."""

import asyncio
import os
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from router.orphans import supervising, working
from router.settings import RouterSettings
from router.workers import reserved, supervise
from stack.processes import ROUTER
from tests.router.router_process import (
    PATIENT_S,
    RouterProcess,
    ServedScorer,
    open_patient_traffic,
    open_router_process,
)
from tests.router.samples import deployment
from tests.stack.waiting import until_gone, while_progress
from understudy.domain.errors import RefusedError, UnavailableError
from understudy.domain.logged_ids import IdForm
from understudy.runtime import exit_codes
from understudy.runtime.free_port import free_port
from understudy.runtime.supervision.python_command import python_command

pytestmark = pytest.mark.fault
HUNG_ORPHAN = """
import asyncio, time
from understudy.runtime.supervision.outliving import outlive_parent

async def hang():
    outlive_parent(longest_s=0.1)
    print(flush=True)
    time.sleep(3600)

asyncio.run(hang())
"""
PARENT = """
import subprocess, sys

child = subprocess.Popen([sys.executable, "-c", sys.argv[1]], stdout=subprocess.PIPE)
child.stdout.readline()
print(child.pid)
"""
CALLS = 100


@contextmanager
def listening(address: str) -> Iterator[None]:
    """Listen as a worker does."""
    host, port = address.split(":")
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listener.bind((host, int(port)))
        listener.listen()
        yield


def worker_pids(router: RouterProcess) -> set[int]:
    parent = psutil.Process(router.supervisor.pids()[ROUTER])
    return {child.pid for child in parent.children()}


@pytest.mark.slow
@pytest.mark.parametrize(
    "fault",
    [signal.SIGKILL, pytest.param(signal.SIGSTOP, marks=pytest.mark.long, id="hangs")],
)
async def test_a_lost_supervising_process_fails_no_call_and_leaves_no_orphan(
    fault: signal.Signals, tmp_path: Path
) -> None:
    async with (
        open_router_process(
            tmp_path,
            deployment(),
            {1: [ServedScorer()]},
            default_deadline_s=PATIENT_S,
            largest_deadline_s=PATIENT_S,
            probe_interval_s=0.2,
        ) as router,
        open_patient_traffic(router, rate_per_s=100) as traffic,
    ):
        await traffic.until_ended(CALLS)
        orphans = worker_pids(router)
        os.kill(router.supervisor.pids()[ROUTER], fault)
        await router.supervisor.until_one_ends()  # kills it if it hangs
        await traffic.until_ended(traffic.ended + CALLS)  # by orphans alone

        await router.supervisor.restart(ROUTER)
        await while_progress(until_gone(orphans))
        await traffic.until_ended(traffic.ended + CALLS)

        assert worker_pids(router).isdisjoint(orphans)
    assert traffic.failures == []


@pytest.mark.slow
async def test_orphans_end_although_nothing_takes_their_place(tmp_path: Path) -> None:
    async with open_router_process(
        tmp_path, deployment(), {1: [ServedScorer()]}, workers_outlive_s=0.5
    ) as router:
        orphans = worker_pids(router)
        os.kill(router.supervisor.pids()[ROUTER], signal.SIGKILL)

        await until_gone(orphans)


async def test_an_orphan_whose_event_loop_does_not_turn_ends_too() -> None:
    """Its parent starts it, prints its id and ends."""
    parent = await asyncio.create_subprocess_exec(
        *python_command("-c", PARENT, HUNG_ORPHAN), stdout=asyncio.subprocess.PIPE
    )
    told, _ = await while_progress(parent.communicate())

    await until_gone([int(told)])


def test_only_the_workers_of_a_supervisor_that_has_gone_are_orphans(tmp_path: Path) -> None:
    with supervising(tmp_path) as has_orphans:
        assert not has_orphans
        with (
            working(tmp_path),
            pytest.raises(RefusedError, match="another router"),
            supervising(tmp_path),
        ):
            pass

    with working(tmp_path), working(tmp_path), supervising(tmp_path) as has_orphans:
        assert has_orphans
    with supervising(tmp_path) as has_orphans:
        assert not has_orphans


def test_a_port_that_others_use_is_shared_with_orphans_only() -> None:
    listen = f"127.0.0.1:{free_port()}"
    with listening(listen):
        with pytest.raises(UnavailableError, match="another process listens"), reserved(listen):
            pass
        with reserved(listen, is_shared=True) as address:
            assert address == listen


async def test_a_second_router_over_one_state_directory_is_refused(tmp_path: Path) -> None:
    settings = RouterSettings(
        features="lmdb:unused", log_dir=tmp_path / "l", log_ids=IdForm.UNKEYED, state_dir=tmp_path
    )
    with supervising(tmp_path):
        assert await supervise(settings) == exit_codes.UNAVAILABLE
