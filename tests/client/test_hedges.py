"""A slow call is sent once more; the earlier answer counts, and the other call is cancelled."""

from collections.abc import Awaitable, Callable
from typing import Any

import grpc
import pytest

from tests.client.test_client import ScriptedService, served
from understudy.client import AsyncScoringClient, ScoringClient, ScoringError

UNIT = {"user": "u1"}
PATIENT_S = 60.0
SOON_S = 0.02


async def by_threads(target: str, **options: Any) -> str:
    with ScoringClient(target, **{"timeout_s": PATIENT_S, **options}) as client:
        return client.score("fraud", UNIT).request_id


async def by_asyncio(target: str, **options: Any) -> str:
    async with AsyncScoringClient(target, **{"timeout_s": PATIENT_S, **options}) as client:
        return (await client.score("fraud", UNIT)).request_id


Score = Callable[..., Awaitable[str]]
both_clients = pytest.mark.parametrize("score", [by_threads, by_asyncio])


@both_clients
async def test_a_slow_call_is_answered_by_a_second_one_of_the_same_id(score: Score) -> None:
    service = ScriptedService(held=frozenset({1}))

    with served(service) as target:
        request_id = await score(target, hedge_after_s=SOON_S)

    assert [each.request_id for each in service.scored] == [request_id] * 2


@both_clients
async def test_a_quick_call_is_sent_once(score: Score) -> None:
    service = ScriptedService()

    with served(service) as target:
        await score(target, hedge_after_s=PATIENT_S)

    assert service.calls["Score"] == 1


@both_clients
async def test_a_failure_before_the_hedge_is_raised_at_once(score: Score) -> None:
    service = ScriptedService(status=grpc.StatusCode.INVALID_ARGUMENT, failures=1)

    with served(service) as target, pytest.raises(ScoringError) as failed:
        await score(target, hedge_after_s=PATIENT_S)

    assert failed.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert service.calls["Score"] == 1


@both_clients
async def test_two_attempts_without_an_answer_end_by_the_deadline(score: Score) -> None:
    service = ScriptedService(holds_answers=True)

    with served(service) as target, pytest.raises(ScoringError) as failed:
        await score(target, hedge_after_s=SOON_S, timeout_s=0.5)

    assert failed.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
