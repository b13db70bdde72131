"""Faults under load, with real processes: their effects on callers, counted."""

import asyncio
import itertools
import os
import signal
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import duckdb
import grpc
import psutil
import pytest

from router.cli.ask_workers import ask_workers, get_status
from stack.processes import ROUTER
from stack.router_books import read_books
from stack.traffic import Traffic, open_traffic
from tests.stack.deployed import Deployed, open_deployed
from tests.stack.waiting import refuses_connections, until, until_gone
from tests.virtual_time import turns
from understudy.client.async_scoring_client import AsyncScoringClient
from understudy.domain.changes import SetCanary, SetFallback
from understudy.domain.deployments import DegradationLevel, Fallback
from understudy.scoring.v1 import scoring_pb2, scoring_pb2_grpc

pytestmark = [pytest.mark.fault, pytest.mark.slow]
CONSTANT = 0.37
CALLS = 150
IN_FLIGHT = 20


@asynccontextmanager
async def under_load(deployed: Deployed, *, rate_per_s: float = 200) -> AsyncIterator[Traffic]:
    async with open_traffic(
        deployed.stack.addresses.router,
        model="cancer",
        entity="patient",
        units=deployed.units,
        rate_per_s=rate_per_s,
    ) as traffic:
        await traffic.until_ended(CALLS)
        yield traffic


async def declare_constant(deployed: Deployed) -> None:
    revision = await deployed.operator.change(
        SetFallback(Fallback(constant_score=CONSTANT)), reason="answer without the model too"
    )
    await deployed.operator.until_settled(revision)


def levels(traffic: Traffic, *, since: int = 0) -> Counter[DegradationLevel]:
    return Counter(DegradationLevel(call.level) for call in traffic.calls[since:])


@pytest.fixture(autouse=True)
def _features_may_take_their_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no level tell of the machine: these faults are of scorers, workers and revisions."""
    monkeypatch.setenv("ROUTER_FEATURE_SLOW_S", "60")


async def until_all_full(traffic: Traffic, *, calls: int = CALLS) -> None:
    async def is_full() -> bool:
        return set(levels(traffic, since=-calls)) == {DegradationLevel.FULL}

    await until(is_full)


@pytest.mark.long
async def test_a_hung_scorer_fails_no_call_if_a_constant_is_declared(tmp_path: Path) -> None:
    async with open_deployed(tmp_path / "s", versions=1) as deployed:
        await declare_constant(deployed)
        async with under_load(deployed) as traffic:
            hung = deployed.scorer(1)
            os.kill(hung.pid, signal.SIGSTOP)
            at_hang = len(traffic.calls)
            try:
                await traffic.until_ended(traffic.ended + CALLS)
            finally:
                if psutil.pid_exists(hung.pid):  # the host may have replaced it already
                    os.kill(hung.pid, signal.SIGCONT)
            during = levels(traffic, since=at_hang)
            await until_all_full(traffic)

    assert traffic.failures == []
    assert during[DegradationLevel.CONSTANT] > 0


@pytest.mark.long
async def test_a_replica_that_stalls_costs_no_call_and_no_level_when_hedged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SCORER_HOST_REPLICAS", "2")
    monkeypatch.setenv("ROUTER_SCORER_TIMEOUT_S", "60")  # it is slow, not gone:
    monkeypatch.setenv("SCORER_HOST_PROBE_TIMEOUT_S", "60")  # no replacement is started
    monkeypatch.setenv("ROUTER_HEDGE_AFTER_S", "0.02")
    async with open_deployed(tmp_path / "s", versions=1) as deployed:

        async def both_are_ready() -> bool:
            """Both answer every worker: a report alone would let the router replace its lanes later."""
            used = [
                [scorer.unproven for scorer in worker.scorers]
                for worker in await read_books(deployed.stack.directory.router)
            ]
            return all(each == [False, False] for each in used)

        await until(both_are_ready)
        slow = deployed.registry.get_status().scorers[0]
        try:
            async with under_load(deployed) as traffic:
                os.kill(slow.pid, signal.SIGSTOP)
                await traffic.until_ended(traffic.ended + 2 * CALLS)
            # The last call has ended, and the replica still stalls.
        finally:
            os.kill(slow.pid, signal.SIGCONT)

    assert traffic.failures == []
    assert set(levels(traffic)) == {DegradationLevel.FULL}


@pytest.mark.long
async def test_a_challenger_without_scorers_costs_no_call_and_no_level(tmp_path: Path) -> None:
    async with open_deployed(tmp_path / "s", versions=2) as deployed:
        await deployed.operator.until_settled(
            await deployed.operator.change(SetCanary(2, 5_000), reason="half for the challenger")
        )
        async with under_load(deployed) as traffic:
            killed = deployed.scorer(2)
            at_kill = len(traffic.calls)
            os.kill(killed.pid, signal.SIGKILL)
            await until_gone([killed.pid])
            await traffic.until_ended(traffic.ended + 2 * CALLS)

    versions_before = {call.version for call in traffic.calls[:at_kill]}
    assert versions_before == {1, 2}, "the challenger took no traffic: nothing was tested"
    assert traffic.failures == []
    assert set(levels(traffic)) == {DegradationLevel.FULL}


@pytest.mark.long
async def test_rapid_revisions_fail_no_call_and_each_takes_effect(tmp_path: Path) -> None:
    async with open_deployed(tmp_path / "s", versions=2) as deployed:
        revision = await deployed.operator.change(SetCanary(2, 100), reason="first step")
        await deployed.operator.until_settled(revision)
        async with under_load(deployed) as traffic:
            for step in range(2, 12):
                revision = await deployed.operator.change(
                    SetCanary(2, 100 * step), reason="next step"
                )
                while traffic.calls[-1].revision != revision:
                    await traffic.until_ended(traffic.ended + 1)
            await deployed.operator.until_settled(revision)
            client = AsyncScoringClient(deployed.stack.addresses.router, timeout_s=60.0)
            async with client:
                after = [await client.score("cancer", {"patient": u}) for u in deployed.units[:20]]

    assert traffic.failures == []
    assert set(levels(traffic)) == {DegradationLevel.FULL}
    assert {answer.served_by.revision for answer in after} == {revision}


async def test_a_killed_worker_is_replaced_and_retries_hide_it(tmp_path: Path) -> None:
    async with open_deployed(tmp_path / "s", versions=1) as deployed:
        router = psutil.Process(deployed.stack.supervisor.pids()[ROUTER])
        async with under_load(deployed) as traffic:
            workers = {child.pid for child in router.children()}
            killed = min(workers)
            os.kill(killed, signal.SIGKILL)
            await until_gone([killed])

            async def is_replaced() -> bool:
                now = {child.pid for child in router.children()}
                return len(now) == len(workers) and killed not in now

            await until(is_replaced)
            await traffic.until_ended(traffic.ended + CALLS)

    assert len(workers) == 2
    assert traffic.failures == [], "the client retries what no worker has answered"


@pytest.mark.long
async def test_a_router_told_to_stop_answers_all_calls_it_has_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ROUTER_DEFAULT_DEADLINE_S", "60")  # for the messages of a stream
    monkeypatch.setenv("ROUTER_LARGEST_DEADLINE_S", "60")
    monkeypatch.setenv("ROUTER_SCORER_TIMEOUT_S", "60")
    monkeypatch.setenv("SCORER_HOST_PROBE_TIMEOUT_S", "60")
    async with (
        open_deployed(tmp_path / "s", versions=1) as deployed,
        grpc.aio.insecure_channel(deployed.stack.addresses.router) as channel,  # retries nothing
    ):
        stub = scoring_pb2_grpc.ScoringServiceStub(channel)
        asked = [
            scoring_pb2.ScoreRequest(model="cancer", entities={"patient": unit}, request_id=unit)
            for unit in deployed.units[:IN_FLIGHT]
        ]
        connected = await _scored(stub, asked[0])  # this channel's worker, with the scorer
        scorer = deployed.scorer(1)
        os.kill(scorer.pid, signal.SIGSTOP)  # calls in flight stay there
        try:
            calls = [asyncio.ensure_future(_scored(stub, request)) for request in asked]
            stream = stub.ScoreStream()
            for request in asked:
                await stream.write(scoring_pb2.ScoreStreamRequest(request=request))
            await until(lambda: _has_outstanding(deployed, 2 * IN_FLIGHT))
            stopping = asyncio.ensure_future(deployed.stack.supervisor.stop(ROUTER))
            await until(lambda: refuses_connections(deployed.stack.addresses.router))
        finally:
            os.kill(scorer.pid, signal.SIGCONT)
        scored = await asyncio.gather(*calls)
        streamed = {answer.request_id: answer async for answer in stream}
        await stopping

    assert Counter([connected, *scored]) == {"OK": 1 + IN_FLIGHT}
    assert streamed.keys() == {request.request_id for request in asked}
    assert all(answer.HasField("response") for answer in streamed.values())
    assert await stream.code() is grpc.StatusCode.OK
    assert deployed_rows(deployed) == 1 + 2 * IN_FLIGHT, "answered and not logged, or the reverse"


async def _scored(stub: Any, request: scoring_pb2.ScoreRequest) -> str:
    try:
        await stub.Score(request, timeout=60.0)
    except grpc.aio.AioRpcError as error:
        return f"{error.code().name}: {error.details()}"
    return "OK"


async def _has_outstanding(deployed: Deployed, rows: int) -> bool:
    answers = await asyncio.to_thread(ask_workers, deployed.stack.directory.router, get_status)
    outstanding: int = sum(status.outstanding_rows for status in answers.by_worker.values())
    return outstanding == rows


def deployed_rows(deployed: Deployed) -> int:
    files = str(deployed.stack.directory.logs / "score" / "**" / "*.parquet")
    found = duckdb.execute("select count(*) from read_parquet(?)", [files]).fetchone()  # noqa: TID251 - not with the reader under test
    return int(found[0]) if found else 0


@contextmanager
def suspended_workers(deployed: Deployed) -> Iterator[None]:
    workers = psutil.Process(deployed.stack.supervisor.pids()[ROUTER]).children()
    for worker in workers:
        worker.suspend()
    try:
        yield
    finally:
        for worker in workers:
            worker.resume()


@pytest.mark.long
async def test_a_flood_is_refused_at_once_and_the_next_calls_are_answered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ROUTER_MOST_UNREAD_CALLS", "16")
    async with (
        open_deployed(tmp_path / "s", versions=1) as deployed,
        grpc.aio.insecure_channel(deployed.stack.addresses.router) as channel,
    ):
        score = scoring_pb2_grpc.ScoringServiceStub(channel).Score

        async def status_of_call(unit: str) -> grpc.StatusCode:
            request = scoring_pb2.ScoreRequest(model="cancer", entities={"patient": unit})
            try:
                await score(request, timeout=60.0)
            except grpc.aio.AioRpcError as error:
                return error.code()
            return grpc.StatusCode.OK

        units = itertools.islice(itertools.cycle(deployed.units), 3_000)
        assert await status_of_call(deployed.units[0]) is grpc.StatusCode.OK  # it is connected
        with suspended_workers(deployed):  # all arrive at once, however slowly they are sent
            flood = [asyncio.ensure_future(status_of_call(unit)) for unit in units]
            await turns()
        seen = Counter(await asyncio.gather(*flood))
        after = [await status_of_call(unit) for unit in deployed.units[:20]]

    assert set(seen) <= {
        grpc.StatusCode.OK,
        grpc.StatusCode.CANCELLED,  # by gRPC, before the router read them
        grpc.StatusCode.RESOURCE_EXHAUSTED,
    }
    assert seen[grpc.StatusCode.CANCELLED] > 0
    assert seen[grpc.StatusCode.OK] > 0
    assert set(after) == {grpc.StatusCode.OK}
