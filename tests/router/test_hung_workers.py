"""Workers that hang under load: one is replaced, and the others are left alone; counted."""

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import psutil
import pytest

from stack.processes import ROUTER
from stack.router_books import read_books
from tests.router.router_process import (
    PATIENT_S,
    RouterProcess,
    ServedScorer,
    open_patient_traffic,
    open_router_process,
)
from tests.router.samples import deployment
from tests.stack.waiting import until, until_gone
from understudy.domain.errors import UnavailableError

pytestmark = [pytest.mark.fault, pytest.mark.long]
CALLS = 150


class WaitForConnection(grpc.aio.UnaryUnaryClientInterceptor):
    """Lets a call wait for a connection. By default it fails once a few attempts to connect have.

    The kernel resets connections that a hung worker had not accepted when it was killed, and a
    busy machine may take longer for the next connection than a call's repetitions last.
    """

    async def intercept_unary_unary(
        self,
        continuation: Callable[[grpc.aio.ClientCallDetails, Any], Any],
        client_call_details: grpc.aio.ClientCallDetails,
        request: Any,
    ) -> Any:
        of_call = client_call_details
        waiting = grpc.aio.ClientCallDetails(
            of_call.method, of_call.timeout, of_call.metadata, of_call.credentials, True
        )
        return await continuation(waiting, request)


def worker_pids(router: RouterProcess) -> set[int]:
    parent = psutil.Process(router.supervisor.pids()[ROUTER])
    return {child.pid for child in parent.children()}


async def until_all_answer(router: RouterProcess, workers: int) -> None:
    async def answer() -> bool:
        try:
            return len(await read_books(router.root)) == workers
        except UnavailableError:
            return False

    await until(answer)


async def test_a_worker_that_hangs_is_replaced_and_no_patient_call_fails(tmp_path: Path) -> None:
    async with (
        open_router_process(
            tmp_path,
            deployment(),
            {1: [ServedScorer()]},
            workers=2,
            default_deadline_s=PATIENT_S,
            largest_deadline_s=PATIENT_S,
            probe_interval_s=0.2,
            probe_timeout_s=1.0,
        ) as router,
        open_patient_traffic(router, rate_per_s=200, interceptors=[WaitForConnection()]) as traffic,
    ):
        await traffic.until_ended(CALLS)
        await until_all_answer(router, 2)
        hung, well = sorted(worker_pids(router))
        os.kill(hung, signal.SIGSTOP)

        await until_gone([hung])
        await until_all_answer(router, 2)
        await traffic.until_ended(traffic.ended + CALLS)

        assert well in worker_pids(router)
    assert traffic.failures == []
