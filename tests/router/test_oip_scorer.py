"""Streams of the adapter over gRPC: kept, one request at a time; the rest is in `test_scorer_hops.py`."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import grpc
import numpy as np
import pytest

from router.adapters.oip_scorer import OipScorer
from tests.router.hops import GOOD, LONG_S, answer_of, failure, give_up_two, until, with_id_of
from tests.router.samples import spec
from tests.router.scorer_stream import Context, answering_each, serving_streams
from understudy.domain.errors import (
    CorruptedError,
    DeadlinePassedError,
    InvalidInputError,
    UnavailableError,
)
from understudy.oip import inference_pb2 as oip
from understudy.runtime.front.grpc_server import open_server, started
from understudy.runtime.transport.transport import LOCAL

ROWS = (np.ones((3, 2), np.float32),)
pytestmark = pytest.mark.stopped_clock


@asynccontextmanager
async def scorer_of(handler: grpc.GenericRpcHandler) -> AsyncIterator[OipScorer]:
    async with open_server() as server:
        server.add_generic_rpc_handlers((handler,))
        port = LOCAL.bind(server, "127.0.0.1:0")
        scorer = OipScorer(f"127.0.0.1:{port}")
        async with started(server):
            try:
                yield scorer
            finally:
                await scorer.close()


class Counted:
    """A scorer that counts its streams and answers as configured."""

    def __init__(self) -> None:
        self.streams = 0
        self.requests: list[oip.ModelInferRequest] = []
        self.ended = 0
        self.answer = GOOD
        self.hold = asyncio.Event()
        self.hold.set()

    async def serve(self, requests: AsyncIterator[bytes], context: Context) -> None:
        self.streams += 1
        try:
            async for body in requests:
                self.requests.append(oip.ModelInferRequest.FromString(body))
                await self.hold.wait()
                await context.write(with_id_of(body, self.answer))
        finally:
            self.ended += 1


async def test_one_stream_serves_one_request_after_the_other() -> None:
    counted = Counted()
    async with scorer_of(serving_streams(counted.serve)) as scorer:
        for _ in range(50):
            await scorer.infer(spec(1), ROWS, timeout_s=LONG_S)

    assert counted.streams == 1
    assert len(counted.requests) == 50


async def test_concurrent_requests_have_separate_streams_and_few_are_kept() -> None:
    counted = Counted()
    counted.hold.clear()
    async with scorer_of(serving_streams(counted.serve)) as scorer, asyncio.TaskGroup() as tasks:
        for _ in range(20):
            tasks.create_task(scorer.infer(spec(1), ROWS, timeout_s=LONG_S))
        await until(lambda: len(counted.requests) == 20)
        counted.hold.set()
        await until(lambda: counted.ended == 12)  # eight are kept
    assert counted.streams == 20


async def test_a_request_that_is_given_up_ends_only_its_own_stream() -> None:
    counted = Counted()
    async with scorer_of(serving_streams(counted.serve)) as scorer:
        await scorer.infer(spec(1), ROWS, timeout_s=LONG_S)
        counted.hold.clear()
        await give_up_two(scorer, ROWS, counted.requests)
        await until(lambda: counted.ended == 2)  # the scorer has noticed both
        counted.answer = answer_of([1.0, 1.0, 1.0])
        counted.hold.set()
        inferred = await scorer.infer(spec(1), ROWS, timeout_s=LONG_S)

    assert inferred.scores.tolist() == [1.0, 1.0, 1.0], "an answer of a request given up"
    assert counted.streams == 3


async def test_a_stream_that_ended_while_idle_is_replaced() -> None:
    """As after a restart of the scorer: no call fails because of it."""
    counted = Counted()
    end = asyncio.Event()

    async def serve(requests: AsyncIterator[bytes], context: Context) -> None:
        serving = asyncio.ensure_future(counted.serve(requests, context))
        ending = asyncio.ensure_future(end.wait())
        try:
            await asyncio.wait({serving, ending}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            serving.cancel()
            ending.cancel()

    async with scorer_of(serving_streams(serve)) as scorer:
        await scorer.infer(spec(1), ROWS, timeout_s=LONG_S)
        ((kept, _),) = scorer._kept  # only the stream knows when it has noticed the end
        end.set()
        await until(kept.done)
        end.clear()
        await scorer.infer(spec(1), ROWS, timeout_s=LONG_S)

    assert counted.streams == 2


async def test_a_kept_stream_that_accepts_nothing_any_more_costs_no_answer() -> None:
    """As with a scorer that drains or was replaced: its end may not have been noticed yet."""
    counted = Counted()
    answered = 0

    async def serve_one(requests: AsyncIterator[bytes], context: Context) -> None:
        nonlocal answered
        counted.streams += 1
        async for body in requests:
            await context.write(with_id_of(body, GOOD))
            answered += 1
            if counted.streams == 1:
                await anext(aiter(requests))  # read by gRPC, never by the scorer
                return

    async with scorer_of(serving_streams(serve_one)) as scorer:
        await scorer.infer(spec(1), ROWS, timeout_s=LONG_S)
        inferred = await scorer.infer(spec(1), ROWS, timeout_s=LONG_S)

    assert inferred.scores.tolist() == [0.25, 0.5, 0.75]
    assert (counted.streams, answered) == (2, 2)


async def test_the_answer_to_another_request_is_corrupted_and_ends_its_stream() -> None:
    counted = Counted()

    async def serve_twice(requests: AsyncIterator[bytes], context: Context) -> None:
        """Answer the first request twice: later answers are one behind."""
        counted.streams += 1
        async for body in requests:
            await context.write(with_id_of(body, GOOD))
            if counted.streams == 1:
                await context.write(with_id_of(body, GOOD))

    async with scorer_of(serving_streams(serve_twice)) as scorer:
        await scorer.infer(spec(1), ROWS, timeout_s=LONG_S)
        with pytest.raises(CorruptedError, match="does not match its request"):
            await scorer.infer(spec(1), ROWS, timeout_s=LONG_S)
        await scorer.infer(spec(1), ROWS, timeout_s=LONG_S)

    assert counted.streams == 2


async def test_a_stream_that_ends_instead_of_answering_is_an_unavailable_scorer() -> None:
    async def serve(requests: AsyncIterator[bytes], _context: Context) -> None:
        await anext(aiter(requests))

    async with scorer_of(serving_streams(serve)) as scorer:
        with pytest.raises(UnavailableError):
            await scorer.infer(spec(1), ROWS, timeout_s=LONG_S)


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (grpc.StatusCode.INVALID_ARGUMENT, InvalidInputError),
        (grpc.StatusCode.DEADLINE_EXCEEDED, DeadlinePassedError),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, UnavailableError),
        (grpc.StatusCode.INTERNAL, UnavailableError),
    ],
)
async def test_a_failed_request_is_named_and_its_stream_continues(
    status: grpc.StatusCode, kind: type[Exception]
) -> None:
    counted = Counted()
    counted.answer = failure(status)
    async with scorer_of(serving_streams(counted.serve)) as scorer:
        with pytest.raises(kind):
            await scorer.infer(spec(1), ROWS, timeout_s=LONG_S)
        counted.answer = GOOD
        await scorer.infer(spec(1), ROWS, timeout_s=LONG_S)

    assert counted.streams == 1


async def test_an_empty_answer_is_corrupted() -> None:
    async def answer_nothing(_request: bytes) -> bytes:
        return b""

    async with scorer_of(answering_each(answer_nothing)) as scorer:
        with pytest.raises(CorruptedError):
            await scorer.infer(spec(1), ROWS, timeout_s=LONG_S)
