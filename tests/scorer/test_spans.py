"""Spans of a scorer: of requests whose sender records the trace, on streams and by themselves."""

import signal
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc
import pytest

from scorer.server.service import SERVICE
from scorer.server.spans import RequestSpans
from tests.artifact.models import doubling_model
from tests.kept_spans import KeptSpans
from tests.runtime.otlp_receiver import LIMIT_S, collecting
from tests.scorer.conftest import StartScorer
from tests.scorer.serving import IN_WORKER_S, INLINE_S, REF, infer_request, open_service
from tests.scorer.test_service import ROWS
from understudy.domain.spans import SpanKind
from understudy.domain.trace_context import TraceContext
from understudy.oip import inference_pb2 as pb

TRACE = TraceContext("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331", 1)


def named_in(request: pb.ModelInferRequest, trace: str) -> pb.ModelInferRequest:
    request.parameters["traceparent"].string_param = trace
    return request


def request_spans(kept: KeptSpans) -> RequestSpans:
    return RequestSpans(kept, REF, lambda: time.time_ns() / 1e9)


@pytest.mark.parametrize("inline_run_s", [INLINE_S, IN_WORKER_S])
async def test_a_sampled_request_of_a_stream_has_a_span_in_its_senders_trace(
    tmp_path: Path, inline_run_s: float
) -> None:
    kept = KeptSpans()
    model = doubling_model(tmp_path / "model.onnx")
    async with open_service(
        model, tmp_path, spans=request_spans(kept), inline_run_s=inline_run_s
    ) as served:
        call = served.stream()
        unsampled = replace(TRACE, flags=0).traceparent
        for request in (
            named_in(infer_request(ROWS, request_id="sampled"), TRACE.traceparent),
            named_in(infer_request(ROWS), unsampled),
            named_in(infer_request(ROWS), "00-odd"),
            infer_request(ROWS),
            named_in(infer_request(ROWS, name="Z"), TRACE.traceparent),
        ):
            await call.write(request)
            await call.read()
        await call.done_writing()

    answered, failed = kept.spans
    assert (answered.name, answered.context, answered.kind) == (
        "ModelInfer",
        TRACE,
        SpanKind.SERVER,
    )
    assert answered.attributes == {
        "understudy.model": REF.model,
        "understudy.version": REF.number,
        "understudy.rows": len(ROWS),
    }
    assert answered.started_s <= answered.ended_s
    assert (answered.failure, failed.failure) == ("", "invalid_input")
    assert answered.span_id != failed.span_id


async def test_a_call_by_itself_may_name_its_trace_in_the_metadata(tmp_path: Path) -> None:
    kept = KeptSpans()
    model = doubling_model(tmp_path / "model.onnx")
    sent = (("traceparent", TRACE.traceparent), ("tracestate", "vendor=a"))
    async with open_service(model, tmp_path, spans=request_spans(kept)) as served:
        await served.call("ModelInfer", infer_request(ROWS), metadata=sent)
        await served.call("ModelInfer", infer_request(ROWS), metadata=(("traceparent", "00-odd"),))
        await served.call("ModelInfer", infer_request(ROWS))
        with pytest.raises(grpc.aio.AioRpcError):
            await served.call("ModelInfer", infer_request(ROWS, name="Z"), metadata=sent)

    answered, failed = kept.spans
    assert answered.context == replace(TRACE, state="vendor=a")
    assert failed.failure == "invalid_input"


@pytest.mark.long
async def test_a_scorer_process_sends_its_spans_before_it_ends(
    artifact: Path, start_scorer: StartScorer
) -> None:
    with collecting() as collector:
        scorer = await start_scorer(artifact, **collector.environment)
        async with grpc.aio.insecure_channel(scorer.address) as channel:
            infer: Any = channel.unary_unary(f"/{SERVICE}/ModelInfer")
            request = named_in(infer_request(ROWS), TRACE.traceparent)
            await infer(request.SerializeToString(), timeout=LIMIT_S)
        await scorer.end(signal.SIGTERM)

    (span,) = collector.spans["understudy-scorer"]
    assert (span.trace_id.hex(), span.parent_span_id.hex()) == (TRACE.trace_id, TRACE.parent_id)
