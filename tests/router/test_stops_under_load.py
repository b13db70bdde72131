"""Stops and kills of a router under load, on both fronts and hops: the end of each call, counted.

Callers repeat nothing, so each failure of a call is seen.
"""

import asyncio
import os
import signal
from collections import Counter
from collections.abc import Iterator
from contextlib import AsyncExitStack
from itertools import count
from pathlib import Path
from typing import Any

import grpc
import pytest

from stack.router_books import read_books
from tests.router.router_process import (
    PATIENT,
    PATIENT_S,
    USERS,
    RouterProcess,
    ServedScorer,
    open_router_process,
)
from tests.router.samples import MODEL, deployment
from tests.router.test_stop_flushes import logged
from tests.runtime.front.fronts import FRONTS
from tests.stack.waiting import until, while_progress
from understudy.client.error_details import details_of
from understudy.domain.errors import UnavailableError
from understudy.router.v1 import router_pb2
from understudy.scoring.v1 import scoring_pb2 as pb
from understudy.scoring.v1 import scoring_pb2_grpc

pytestmark = [pytest.mark.fault, pytest.mark.long, pytest.mark.timeout(1_800)]
CONNECTIONS, IN_FLIGHT = 8, 4
ROUNDS = 10  # of each hop, so 20 stops of each front
SCORED_IN_S = 0.02  # so that calls are open at any moment
HOPS = ("grpc", "frames")
Code = grpc.StatusCode
_SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 - only listed: Envoy may leave files here
# gRPC's words for a call that never left its caller.
_NOT_SENT = ("failed to connect to all addresses", "connections to all backends failing")
# The words of a server that stops, for a call that it has not read: ours, and gRPC's.
_UNREAD = {
    (Code.UNAVAILABLE, "the server is shutting down"),
    (Code.CANCELLED, "CANCELLED"),
}


class Callers:
    """Callers with several open calls on each of several connections, until these are refused."""

    def __init__(self, name: str, channels: list[grpc.aio.Channel]) -> None:
        """`name`: begins the ids of their requests."""
        self._name = name
        self.answered: list[str] = []  # request ids
        self.refused: Counter[str] = Counter()
        self.lost: list[str] = []
        self._stubs: list[Any] = [scoring_pb2_grpc.ScoringServiceStub(each) for each in channels]
        self._ids: Iterator[int] = count()
        self._is_stopping = False

    async def run(self) -> None:
        """Call until no connection is possible."""
        async with asyncio.TaskGroup() as tasks:
            for stub in self._stubs:
                for _ in range(IN_FLIGHT):
                    tasks.create_task(self._call_on(stub))

    async def _call_on(self, stub: Any) -> None:
        while True:
            number = next(self._ids)
            request = pb.ScoreRequest(
                model=MODEL,
                entities={"user": USERS[number % len(USERS)]},
                request_id=f"{self._name}-{number}",
            )
            try:
                answer = await stub.Score(request, timeout=PATIENT_S)
            except grpc.aio.AioRpcError as error:
                if is_not_sent(error):
                    self.refused["not sent"] += 1
                    return
                self._count(error)
            else:
                self.answered.append(answer.request_id)

    def _count(self, error: grpc.aio.AioRpcError) -> None:
        told = f"{error.code().name}: {error.details()}"
        if is_refusal(error):
            self.refused[told] += 1
        else:
            self.lost.append(told)


def is_not_sent(error: grpc.aio.AioRpcError) -> bool:
    return error.code() is Code.UNAVAILABLE and (error.details() or "").startswith(_NOT_SENT)


def is_refusal(error: grpc.aio.AioRpcError) -> bool:
    """Return whether the server says that it has not read the call, so that it may be repeated."""
    return details_of(error).retry_after_s is not None or (error.code(), error.details()) in _UNREAD


def connection_to(router: RouterProcess) -> grpc.aio.Channel:
    """Return a channel with a connection of its own."""
    return grpc.aio.insecure_channel(
        router.address, options=[("grpc.use_local_subchannel_pool", 1)]
    )


def left_by(root: Path) -> list[str]:
    """Return names of files that a process should have removed at its end."""
    of_processes = [path.name for path in root.iterdir() if path.name.startswith("envoy-")]
    of_processes += [path.name for path in root.glob("*worker*.sock")]
    return of_processes + [each.name for each in _SHARED_MEMORY.iterdir() if "envoy" in each.name]


@pytest.mark.parametrize("hop", HOPS)
@pytest.mark.parametrize("front", FRONTS)
async def test_a_stop_loses_no_call_that_was_accepted(front: str, hop: str, tmp_path: Path) -> None:
    scorer = ServedScorer()
    scorer.takes_s = SCORED_IN_S
    answered: list[str] = []
    refused: Counter[str] = Counter()
    lost: list[str] = []
    async with open_router_process(
        tmp_path, deployment(), {1: [scorer]}, front=front, hop=hop, **PATIENT
    ) as router:
        for stop in range(ROUNDS):
            async with AsyncExitStack() as resources:
                opened = [connection_to(router) for _ in range(CONNECTIONS)]
                channels = [await resources.enter_async_context(each) for each in opened]
                callers = Callers(f"stop {stop}", channels)
                calling = asyncio.ensure_future(callers.run())
                await while_progress(until_answered(callers, 50 + 7 * stop))
                await router.stop()
                await while_progress(calling)
            answered += callers.answered
            refused += callers.refused
            lost += callers.lost
            assert left_by(tmp_path) == []
            if stop < ROUNDS - 1:
                await router.start()

    print(f"{front}, {hop}: {len(answered)} answered, {dict(refused)}, {len(lost)} lost")  # noqa: T201 - the counts
    assert Counter(lost) == {}
    assert refused["not sent"] == ROUNDS * CONNECTIONS * IN_FLIGHT  # each caller's last call
    assert scorer.rows == len(answered)  # no refused call was read
    assert logged(tmp_path, "score", "version") == dict.fromkeys(answered, 1)
    assert (scorer.batches_over_frames > 0) == (hop == "frames")


@pytest.mark.parametrize("hop", HOPS)
@pytest.mark.parametrize("front", FRONTS)
async def test_a_killed_worker_takes_only_its_own_open_calls_with_it(
    front: str, hop: str, tmp_path: Path
) -> None:
    scorer = ServedScorer()
    calls: list[asyncio.Future[grpc.StatusCode]] = []
    async with open_router_process(
        tmp_path, deployment(), {1: [scorer]}, front=front, hop=hop, workers=2, **PATIENT
    ) as router:
        scorer.hang()
        books: list[router_pb2.GetRouterStatusResponse] = []
        while len(books) < 2 or min(each.outstanding_rows for each in books) < IN_FLIGHT:
            calls.append(asyncio.ensure_future(status_on_own_connection(router)))
            books = await until_open(router, len(calls))
        killed = max(books, key=lambda each: each.outstanding_rows)

        os.kill(killed.pid, signal.SIGKILL)
        await until_two_answer(router, but_not=killed.pid)
        scorer.resume()
        ended = Counter(await while_progress(asyncio.gather(*calls)))
        after = {await status_on_own_connection(router) for _ in range(CONNECTIONS)}
        await router.stop()
        left = left_by(tmp_path)

    own = killed.outstanding_rows
    print(f"{front}, {hop}: killed with {own} of {len(calls)} open calls: {ended}")  # noqa: T201 - the counts
    assert ended == Counter({Code.UNAVAILABLE: own, Code.OK: len(calls) - own})
    assert after == {Code.OK}
    assert left == []


async def status_on_own_connection(router: RouterProcess) -> grpc.StatusCode:
    async with connection_to(router) as channel:
        stub: Any = scoring_pb2_grpc.ScoringServiceStub(channel)
        request = pb.ScoreRequest(model=MODEL, entities={"user": USERS[0]})
        code: grpc.StatusCode = await stub.Score(request, timeout=PATIENT_S).code()
        return code


async def until_open(router: RouterProcess, calls: int) -> list[router_pb2.GetRouterStatusResponse]:
    """Return the counts of the workers once they have this many open calls together."""
    books: list[router_pb2.GetRouterStatusResponse] = []

    async def are_open() -> bool:
        books[:] = await read_books(router.root)
        return sum(each.outstanding_rows for each in books) == calls

    await until(are_open)
    return books


async def until_two_answer(router: RouterProcess, *, but_not: int = 0) -> None:
    """Return once two workers answer, neither of them the process `but_not`."""

    async def answer() -> bool:
        try:
            pids = {each.pid for each in await read_books(router.root)}
        except UnavailableError:
            return False
        return len(pids) == 2 and but_not not in pids

    await until(answer)


async def until_answered(callers: Callers, calls: int) -> None:
    while len(callers.answered) < calls:  # noqa: ASYNC110 - the callers set no event
        await asyncio.sleep(0.01)
