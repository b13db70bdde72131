"""gRPC's I/O threads stand back behind the event loop of a worker; Python's threads do not."""

import os
from collections import defaultdict
from contextlib import suppress
from pathlib import Path
from typing import Any

import grpc
import pytest

from runtime.threads import name_of, threads_of
from tests.router.router_process import USERS, RouterProcess, ServedScorer, open_router_process
from tests.router.world import MODEL, deployment
from tests.stack.waiting import until
from understudy.v1 import scoring_pb2 as pb
from understudy.v1 import scoring_pb2_grpc

pytestmark = [pytest.mark.slow, pytest.mark.timeout(60)]
IO_THREADS = "event_engine"
PYTHONS = "python"


async def nice_by_name(router: RouterProcess) -> dict[str, set[int]]:
    """Return the niceness of the worker's threads, beyond our own, by thread name."""
    pid = (await router.books()).pid
    ours = os.getpriority(os.PRIO_PROCESS, 0)
    found = defaultdict(set)
    for thread in threads_of(pid):
        with suppress(ProcessLookupError):  # it ended
            nice = os.getpriority(os.PRIO_PROCESS, thread) - ours
            found[PYTHONS if thread == pid else name_of(thread, pid=pid)].add(nice)
    return found


async def answer_one(router: RouterProcess) -> None:
    async with grpc.aio.insecure_channel(router.address) as channel:
        stub: Any = scoring_pb2_grpc.ScoringServiceStub(channel)
        await stub.Score(pb.ScoreRequest(model=MODEL, entities={"user": USERS[0]}), timeout=10.0)


async def test_only_grpcs_io_threads_are_nicer_than_the_event_loop(tmp_path: Path) -> None:
    async with open_router_process(
        tmp_path, deployment(), {1: [ServedScorer()]}, io_nicer=7
    ) as router:
        await answer_one(router)

        async def stand_back() -> bool:
            return (await nice_by_name(router))[IO_THREADS] == {7}

        await until(stand_back, limit_s=20)
        of_pythons = (await nice_by_name(router))[PYTHONS]

    assert of_pythons == {0}
