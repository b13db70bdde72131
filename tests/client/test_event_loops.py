"""The client for asyncio, made outside of an event loop, as the global of a module is."""

import asyncio

import pytest

from tests.client.test_client import ScriptedService, served
from understudy.client.async_scoring_client import AsyncScoringClient
from understudy.client.requests import score_request


def test_a_client_made_before_its_event_loop_answers() -> None:
    with served(ScriptedService()) as target:
        client = AsyncScoringClient(target, timeout_s=60.0, hedge_after_s=60.0)

        async def use() -> tuple[float, int, int]:
            async with client:
                answer = await client.score("fraud", {"user": "u"})
                requests = [score_request("fraud", {"user": "u"})]
                streamed = [each async for each in client.score_stream(requests, timeout_s=60.0)]
                reported = await client.record_outcomes("fraud", {"r": 1.0}, timeout_s=60.0)
                return answer.score, len(streamed), reported

        assert asyncio.run(use()) == (0.25, 1, 1)


def test_a_client_of_another_event_loop_says_what_to_do() -> None:
    with served(ScriptedService()) as target:
        client = AsyncScoringClient(target, timeout_s=60.0)

        async def use() -> float:
            return (await client.score("fraud", {"user": "u"})).score

        with asyncio.Runner() as first, asyncio.Runner() as second:
            assert first.run(use()) == 0.25
            with pytest.raises(RuntimeError, match="open a client in each loop"):
                second.run(use())
            first.run(client.close())


def test_a_client_that_was_never_used_closes() -> None:
    client = AsyncScoringClient("127.0.0.1:9")

    asyncio.run(client.close())
