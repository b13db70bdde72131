"""Odd but valid input: repeated request ids, messages beyond the limit."""

import asyncio

import grpc
import pytest

from tests.router.samples import MODEL
from tests.router.served import Served, open_served
from understudy.runtime.grpc_errors import PUSHBACK_KEY
from understudy.scoring.v1 import scoring_pb2 as pb

LIMIT_BYTES = 64 * 1024
LARGE = {"amount": pb.FeatureValue(text="x" * LIMIT_BYTES)}


def request(entity: str, request_id: str = "same") -> pb.ScoreRequest:
    return pb.ScoreRequest(
        model=MODEL, entities={"user": entity}, unit_key="one unit", request_id=request_id
    )


async def streamed(served: Served, *requests: pb.ScoreRequest) -> list[pb.ScoreStreamResponse]:
    call = served.stub.ScoreStream()
    for each in requests:
        await call.write(pb.ScoreStreamRequest(request=each))
    await call.done_writing()
    return [answer async for answer in call]


async def test_an_id_used_twice_in_a_stream_is_answered_twice_each_with_its_own_score() -> None:
    async with open_served() as served:
        answers = await streamed(served, *(request(f"u{index}") for index in range(50)))

    assert {answer.request_id for answer in answers} == {"same"}
    assert sorted(answer.response.score // 10 for answer in answers) == list(range(50))


async def test_of_two_equal_ids_only_the_failing_one_fails() -> None:
    async with open_served() as served:
        answers = await streamed(served, request("u7"), pb.ScoreRequest(request_id="same"))

    kinds = sorted(str(answer.WhichOneof("result")) for answer in answers)
    assert kinds == ["error", "response"]
    assert {answer.request_id for answer in answers} == {"same"}


async def test_an_id_in_many_concurrent_calls_is_answered_to_each_caller_with_its_own_score() -> (
    None
):
    async with open_served() as served:
        answers = await asyncio.gather(
            *(served.stub.Score(request(f"u{index}")) for index in range(50))
        )

    assert {answer.request_id for answer in answers} == {"same"}
    assert [answer.score // 10 for answer in answers] == list(range(50))


@pytest.mark.parametrize(
    ("method", "large"),
    [
        ("Score", pb.ScoreRequest(model=MODEL, entities={"user": "u1"}, features=LARGE)),
        ("ScoreBatch", pb.ScoreBatchRequest(model=MODEL, features=LARGE)),
        (
            "RecordOutcomes",
            pb.RecordOutcomesRequest(outcomes=[pb.Outcome(model="m" * LIMIT_BYTES)]),
        ),
    ],
)
async def test_a_message_beyond_the_limit_is_refused_without_a_time_to_retry(
    method: str, large: pb.ScoreRequest
) -> None:
    async with open_served(max_message_bytes=LIMIT_BYTES) as served:
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await getattr(served.stub, method)(large)
        after = await served.stub.Score(request("u7"))

    assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert PUSHBACK_KEY not in dict(refused.value.trailing_metadata() or ())
    assert after.score // 10 == 7
    assert served.world.gate.outstanding_rows == 0


async def test_a_message_beyond_the_limit_ends_its_stream_and_no_other() -> None:
    async with open_served(max_message_bytes=LIMIT_BYTES) as served:
        other = served.stub.ScoreStream()
        await other.write(pb.ScoreStreamRequest(request=request("u1", "first")))
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await streamed(served, pb.ScoreRequest(model=MODEL, features=LARGE))
        await other.write(pb.ScoreStreamRequest(request=request("u2", "second")))
        await other.done_writing()
        answers = [answer.request_id async for answer in other]

    assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert sorted(answers) == ["first", "second"]
