"""The adapter to a scorer, over real gRPC: odd answers and closed channels have our names."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import grpc
import numpy as np
import pytest

from domain.errors import CorruptedError, InvalidInputError, UnavailableError
from router.adapters.oip_scorer import OipScorer
from runtime.serving import bind, new_server
from tests.router.world import spec
from understudy.oip import inference_pb2 as oip

Answer = Callable[[bytes, "grpc.aio.ServicerContext[bytes, bytes]"], Awaitable[bytes]]
ROWS = (np.ones((3, 2), np.float32),)


@asynccontextmanager
async def scorer_that(answers: Answer) -> AsyncIterator[OipScorer]:
    server = new_server()
    method: grpc.RpcMethodHandler[bytes, bytes] = grpc.unary_unary_rpc_method_handler(answers)
    server.add_generic_rpc_handlers(
        (
            grpc.method_handlers_generic_handler(
                "inference.GRPCInferenceService", {"ModelInfer": method}
            ),
        )
    )
    port = bind(server, "127.0.0.1:0")
    await server.start()
    scorer = OipScorer(f"127.0.0.1:{port}")
    try:
        yield scorer
    finally:
        await scorer.close()
        await server.stop(None)


def answer_of(values: list[float], *, name: str = "score", shape: list[int] | None = None) -> bytes:
    tensor = oip.ModelInferResponse.InferOutputTensor(
        name=name, datatype="FP32", shape=shape or [len(values), 1]
    )
    raw = np.array(values, np.float32).tobytes()
    return oip.ModelInferResponse(outputs=[tensor], raw_output_contents=[raw]).SerializeToString()


async def test_scores_come_back_in_order() -> None:
    async def answers(_request: bytes, _context: object) -> bytes:
        return answer_of([0.25, 0.5, 0.75])

    async with scorer_that(answers) as scorer:
        inferred = await scorer.infer(spec(1), ROWS, timeout_s=5.0)

    assert inferred.scores.tolist() == [0.25, 0.5, 0.75]


@pytest.mark.parametrize(
    "answer",
    [
        answer_of([0.5]),  # fewer rows than were sent
        answer_of([0.5] * 3, name="other"),
        answer_of([0.5] * 3, shape=[2, 1]),
        oip.ModelInferResponse().SerializeToString(),
        oip.ModelInferResponse(
            outputs=[oip.ModelInferResponse.InferOutputTensor(name="score", datatype="FP32")]
        ).SerializeToString(),
        b"\xff\xff",
    ],
)
async def test_an_answer_that_does_not_fit_is_corrupted(answer: bytes) -> None:
    async def answers(_request: bytes, _context: object) -> bytes:
        return answer

    async with scorer_that(answers) as scorer:
        with pytest.raises(CorruptedError):
            await scorer.infer(spec(1), ROWS, timeout_s=5.0)


async def test_a_refusal_is_told_from_a_failure() -> None:
    async def answers(_request: bytes, context: "grpc.aio.ServicerContext[bytes, bytes]") -> bytes:
        await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "x: shape")

    async with scorer_that(answers) as scorer:
        with pytest.raises(InvalidInputError):
            await scorer.infer(spec(1), ROWS, timeout_s=5.0)


async def test_a_channel_closed_under_a_call_is_an_unavailable_scorer() -> None:
    entered, release = asyncio.Event(), asyncio.Event()

    async def answers(_request: bytes, _context: object) -> bytes:
        entered.set()
        await release.wait()
        return b""

    async with scorer_that(answers) as scorer, asyncio.timeout(10):
        calling = asyncio.ensure_future(scorer.infer(spec(1), ROWS, timeout_s=5.0))
        await entered.wait()
        await scorer.close()
        with pytest.raises(UnavailableError):
            await calling
        with pytest.raises(UnavailableError):
            await scorer.infer(spec(1), ROWS, timeout_s=5.0)
        release.set()
