"""gRPC's I/O threads have lower priority than a worker's event loop; Python's own threads do not."""

import os
from collections import Counter, defaultdict
from contextlib import suppress
from pathlib import Path
from typing import Any

import grpc
import pytest

from tests.router.router_process import USERS, RouterProcess, ServedScorer, open_router_process
from tests.router.samples import MODEL, deployment
from tests.stack.waiting import until
from understudy.runtime.threads import name_of, threads_of
from understudy.scoring.v1 import scoring_pb2 as pb
from understudy.scoring.v1 import scoring_pb2_grpc

pytestmark = pytest.mark.slow
IO_THREADS = "event_engine"
PYTHONS = "python"  # including grpcio's poller, which is started as a Python thread
EVENT_LOOP = "event loop"


async def nice_by_name(router: RouterProcess) -> dict[str, Counter[int]]:
    """Return the additional niceness of the worker's threads, by name."""
    pid = (await router.books()).pid
    ours = os.getpriority(os.PRIO_PROCESS, 0)
    found: dict[str, Counter[int]] = defaultdict(Counter)
    for thread in threads_of(pid):
        with suppress(ProcessLookupError):  # it has ended
            nice = os.getpriority(os.PRIO_PROCESS, thread) - ours
            found[EVENT_LOOP if thread == pid else name_of(thread, pid=pid)][nice] += 1
    return found


async def answer_one(router: RouterProcess) -> None:
    async with grpc.aio.insecure_channel(router.address) as channel:
        stub: Any = scoring_pb2_grpc.ScoringServiceStub(channel)
        await stub.Score(pb.ScoreRequest(model=MODEL, entities={"user": USERS[0]}), timeout=60.0)


async def test_only_grpcs_io_threads_are_nicer_than_the_event_loop(tmp_path: Path) -> None:
    async with open_router_process(
        tmp_path, deployment(), {1: [ServedScorer()]}, front="grpc", io_nicer=7
    ) as router:
        await answer_one(router)

        async def stand_back() -> bool:
            return set((await nice_by_name(router))[IO_THREADS]) == {7}

        await until(stand_back)
        found = await nice_by_name(router)

    assert set(found[EVENT_LOOP]) == {0}
    assert found[PYTHONS][7] == 1  # the poller
    assert set(found[PYTHONS]) == {0, 7}
