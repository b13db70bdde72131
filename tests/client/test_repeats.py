"""Both clients repeat RESOURCE_EXHAUSTED only if the server allows it; connection ages are invisible."""

import asyncio
from collections.abc import Awaitable, Callable
from time import monotonic
from typing import Any

import grpc
import pytest

from tests.client.test_client import PUSHBACK_MS, ScriptedService, served
from understudy.client.answers import ScoreAnswer
from understudy.client.async_scoring_client import AsyncScoringClient
from understudy.client.repeats import MOST_ATTEMPTS
from understudy.client.scoring_client import ScoringClient

LIMIT_BYTES = 16 * 1024
LARGE = {"text": "x" * 2 * LIMIT_BYTES}
Scored = Callable[..., Awaitable[ScoreAnswer]]


async def by_threads(target: str, *, timeout_s: float = 60.0, **options: Any) -> ScoreAnswer:
    with ScoringClient(target, timeout_s=timeout_s) as client:
        return client.score("fraud", {"user": "u1"}, **options)


async def by_asyncio(target: str, *, timeout_s: float = 60.0, **options: Any) -> ScoreAnswer:
    async with AsyncScoringClient(target, timeout_s=timeout_s) as client:
        return await client.score("fraud", {"user": "u1"}, **options)


both_clients = pytest.mark.parametrize("score", [by_threads, by_asyncio])


class CountingInterceptor(grpc.ServerInterceptor):
    """Counts the calls that arrive, including calls whose message is never read."""

    def __init__(self) -> None:
        self.calls = 0

    def intercept_service(self, continuation: Any, handler_call_details: Any) -> Any:
        self.calls += 1
        return continuation(handler_call_details)


@both_clients
async def test_a_request_that_is_too_large_is_sent_once(score: Scored) -> None:
    arrived = CountingInterceptor()
    limit = (("grpc.max_receive_message_length", LIMIT_BYTES),)

    with (
        served(ScriptedService(), options=limit, interceptors=(arrived,)) as target,
        pytest.raises(grpc.RpcError) as failure,
    ):
        await score(target, features=LARGE)

    assert failure.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert arrived.calls == 1


@both_clients
async def test_a_full_server_is_called_again_when_it_says_so(score: Scored) -> None:
    service = ScriptedService(
        status=grpc.StatusCode.RESOURCE_EXHAUSTED, failures=2, pushback_ms=PUSHBACK_MS
    )

    with served(service) as target:
        answer = await score(target)

    first_s, second_s, third_s = service.entered_s
    assert answer.score == 0.25
    assert min(second_s - first_s, third_s - second_s) >= PUSHBACK_MS / 1000 * 0.9


async def test_as_many_calls_as_one_worker_can_lose_are_all_repeated() -> None:
    lost = 400  # at once, as with the connections of a worker that was killed
    service = ScriptedService(status=grpc.StatusCode.UNAVAILABLE, failures=lost)

    with served(service) as target:
        async with AsyncScoringClient(target, timeout_s=60.0) as client:
            calls = [client.score("fraud", {"user": "u1"}) for _ in range(lost)]
            answers = await asyncio.gather(*calls)

    assert {answer.score for answer in answers} == {0.25}


@both_clients
async def test_a_server_that_stays_full_is_not_called_for_ever(score: Scored) -> None:
    service = ScriptedService(
        status=grpc.StatusCode.RESOURCE_EXHAUSTED, failures=100, pushback_ms=1
    )

    with served(service) as target, pytest.raises(grpc.RpcError):
        await score(target)

    assert service.calls["Score"] == MOST_ATTEMPTS


@both_clients
async def test_a_pushback_beyond_the_deadline_ends_the_call_at_once(score: Scored) -> None:
    service = ScriptedService(
        status=grpc.StatusCode.RESOURCE_EXHAUSTED, failures=1, pushback_ms=7_200_000
    )

    with served(service) as target, pytest.raises(grpc.RpcError) as failure:
        await score(target, timeout_s=3_600.0)  # waited for, it would not end

    assert failure.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert service.calls["Score"] == 1


def test_calls_continue_while_connections_end_by_age() -> None:
    service = ScriptedService()
    age = (("grpc.max_connection_age_ms", 100), ("grpc.max_connection_age_grace_ms", 5_000))
    until_s = monotonic() + 120.0
    calls = 0

    with served(service, options=age) as target, ScoringClient(target, timeout_s=60.0) as client:
        while len(service.peers) < 4 and monotonic() < until_s:
            client.score("fraud", {"user": "u1"})
            calls += 1

    assert len(service.peers) >= 4, "the connection was replaced three times"
    assert service.calls["Score"] == calls, "no call failed, and none was made twice"
