"""Traces of callers: in the score log and in lines about requests, whatever the RPC."""

from typing import Any

import pytest
from structlog.testing import capture_logs

from router.books.request_log import RequestLines, RequestLogLines
from tests.router.infer_requests import infer_request
from tests.router.samples import MODEL
from tests.router.served import PATIENT_S, Served, open_served
from tests.router.world import open_world, two_arms
from understudy.domain.trace_context import TraceContext
from understudy.inference.reflection import SERVICE as INFERENCE
from understudy.scoring.v1 import scoring_pb2 as pb

TRACE = TraceContext("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331", 1)
SENT = (("traceparent", TRACE.traceparent),)


def traces_of(served: Served) -> dict[str, str | None]:
    """Return the trace of each logged request id; None in a batch without any."""
    untraced: list[str | None] = [None]
    return {
        request_id: trace
        for batch in served.world.score_logs
        for request_id, trace in zip(
            batch.request_ids, batch.trace_ids or untraced * batch.rows, strict=True
        )
    }


def a_request(request_id: str) -> pb.ScoreRequest:
    return pb.ScoreRequest(model=MODEL, request_id=request_id, entities={"user": "u1"})


async def infer(served: Served, request_id: str, metadata: Any) -> None:
    call: Any = served.channel.unary_unary(f"/{INFERENCE}/ModelInfer")
    request = infer_request({"user": ("BYTES", ["u1", "u2"])}, request_id=request_id)
    await call(request.SerializeToString(), metadata=metadata, timeout=PATIENT_S)


async def infer_streamed(served: Served, request_id: str, metadata: Any) -> None:
    open_stream: Any = served.channel.stream_stream(f"/{INFERENCE}/ModelStreamInfer")
    call = open_stream(metadata=metadata)
    request = infer_request({"user": ("BYTES", ["u1"])}, request_id=request_id)
    await call.write(request.SerializeToString())
    await call.done_writing()
    assert [each async for each in call]


async def test_every_rpc_logs_the_trace_of_its_caller_for_each_row() -> None:
    async with open_served() as served:
        await served.stub.Score(a_request("single"), metadata=SENT)
        await served.stub.ScoreBatch(
            pb.ScoreBatchRequest(
                model=MODEL,
                request_id="batch",
                candidate_entity="user",
                candidates=[pb.Candidate(id="u1"), pb.Candidate(id="u2")],
            ),
            metadata=SENT,
        )
        call = served.stub.ScoreStream(metadata=SENT)
        await call.write(pb.ScoreStreamRequest(request=a_request("streamed")))
        await call.done_writing()
        assert [each async for each in call]
        await infer(served, "tensors", SENT)
        await infer_streamed(served, "streamed tensors", SENT)
        await served.stub.Score(a_request("untraced"))

        traces = traces_of(served)

    assert traces.pop("untraced") is None
    assert sorted(traces) == [
        "batch",
        "single",
        "streamed",
        "streamed tensors",
        "tensors/0",
        "tensors/1",
    ]
    assert set(traces.values()) == {TRACE.trace_id}


@pytest.mark.parametrize(
    "metadata",
    [
        (("traceparent", "00-1"),),
        (("traceparent-bin", b"\x00\xff"),),
        (("tracestate", "a=1"),),
    ],
)
async def test_a_call_with_an_invalid_context_is_answered_without_a_trace(metadata: Any) -> None:
    async with open_served() as served:
        answer = await served.stub.Score(a_request("r"), metadata=metadata)

        assert answer.request_id == "r"
        assert traces_of(served) == {"r": None}


async def test_rows_of_a_batch_keep_their_own_traces() -> None:
    other = TraceContext("1" * 32, "2" * 16)
    async with open_world() as world:
        await two_arms(world, challengers=())
        await world.score_together(
            "one",
            lambda: world.submit("u1", request_id="first", trace=TRACE),
            lambda: world.submit("u2", request_id="second"),
            lambda: world.submit("u3", request_id="third", trace=other),
        )

        (batch,) = [each for each in world.score_logs if "second" in each.request_ids]

    assert batch.trace_ids is not None
    assert dict(zip(batch.request_ids, batch.trace_ids, strict=True)) == {
        "first": TRACE.trace_id,
        "second": "",
        "third": other.trace_id,
    }


@pytest.mark.virtual_time
async def test_lines_about_requests_name_the_trace() -> None:
    async with open_world(request_log=RequestLogLines(RequestLines.ALL, 1)) as world:
        await two_arms(world, challengers=())
        with capture_logs() as lines:
            await world.score("u1", trace=TRACE)
            await world.score("u2")

    written = [line.get("trace_id") for line in lines if line["event"] == "request_scored"]
    assert written == [TRACE.trace_id, None]
