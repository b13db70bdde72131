"""The export of spans: when it is on, what a collector receives, and how little its absence costs."""

from threading import Event

import pytest
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.proto.trace.v1.trace_pb2 import Span as Received
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from structlog.testing import capture_logs

from tests.runtime.otlp_receiver import LIMIT_S, collecting
from understudy.domain.errors import InvalidInputError
from understudy.domain.spans import Span, SpanKind, span_id_of
from understudy.domain.trace_context import TraceContext
from understudy.runtime.otlp_spans import OtlpSpans
from understudy.runtime.span_export import (
    check_span_export,
    scorer_span_environment,
    span_export,
)

TRACE = TraceContext("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331", 1, "vendor=a")
ON = {"OTEL_TRACES_EXPORTER": "otlp"}


def a_span(name: str = "call", **changes: object) -> Span:
    usual = {"context": TRACE, "span_id": "a" * 16, "kind": SpanKind.SERVER}
    times = {"started_s": 1_800_000_000.25, "ended_s": 1_800_000_000.75}
    return Span(name, **{**usual, **times, **changes})  # type: ignore[arg-type]  # a test states only what matters


@pytest.mark.parametrize(
    ("environment", "is_on"),
    [
        ({}, False),
        ({"OTEL_TRACES_EXPORTER": ""}, False),
        ({"OTEL_TRACES_EXPORTER": "none"}, False),
        ({**ON, "OTEL_SDK_DISABLED": "true"}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4317"}, False),
        (ON, True),
        ({**ON, "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, True),
        ({**ON, "OTEL_TRACES_SAMPLER": "parentbased_always_off"}, True),
        ({**ON, "OTEL_EXPORTER_OTLP_ENDPOINT": "http://[::1]:4317"}, True),
        ({**ON, "OTEL_EXPORTER_OTLP_ENDPOINT": "https://collector.example"}, True),
        (
            {
                **ON,
                "OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4317",
                "OTEL_EXPORTER_OTLP_INSECURE": "true",
            },
            True,
        ),
    ],
)
def test_spans_are_made_only_if_they_are_asked_for(
    environment: dict[str, str], is_on: bool
) -> None:
    assert check_span_export(environment) is is_on


@pytest.mark.parametrize(
    ("name", "value", "accepted"),
    [
        ("OTEL_TRACES_EXPORTER", "zipkin", "otlp or none"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf", "grpc"),
        ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/json", "grpc"),
        ("OTEL_TRACES_SAMPLER", "always_on", "traceparent"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4317", "https"),
        ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://10.0.0.1:4317", "INSECURE=true"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4317", "http://HOST:PORT"),
    ],
)
def test_a_variable_that_would_not_act_is_refused(name: str, value: str, accepted: str) -> None:
    with pytest.raises(InvalidInputError) as refused:
        check_span_export({**ON, name: value})

    (fault,) = refused.value.faults
    assert fault.field == name
    assert value in fault.read
    assert accepted in fault.accepted


def test_scorers_get_the_export_without_its_secrets() -> None:
    own = {**ON, "OTEL_EXPORTER_OTLP_HEADERS": "authorization=secret", "OTHER": "1"}

    assert scorer_span_environment(own) == ON


def test_a_collector_receives_spans_as_they_were_offered(monkeypatch: pytest.MonkeyPatch) -> None:
    other = TraceContext("1" * 32, "2" * 16, 1)
    with collecting() as collector:
        for name, value in collector.environment.items():
            monkeypatch.setenv(name, value)
        with span_export("understudy-test", close_within_s=LIMIT_S) as sink:
            assert sink is not None
            sink.offer(
                [a_span(attributes={"understudy.version": 3}), a_span("failed", failure="x")]
            )
            sink.offer([a_span("infer", kind=SpanKind.INTERNAL, links=(other,))])

    call, failed, infer = collector.spans["understudy-test"]
    assert (call.trace_id.hex(), call.parent_span_id.hex()) == (TRACE.trace_id, TRACE.parent_id)
    assert (call.name, call.kind, call.span_id.hex()) == (
        "call",
        Received.SPAN_KIND_SERVER,
        "a" * 16,
    )
    assert (call.start_time_unix_nano, call.end_time_unix_nano) == (
        1_800_000_000_250_000_000,
        1_800_000_000_750_000_000,
    )
    assert call.trace_state == "vendor=a"
    assert call.attributes[0].value.int_value == 3
    assert (failed.status.code, failed.status.message) == (2, "x")
    assert [(link.trace_id.hex(), link.span_id.hex()) for link in infer.links] == [
        (other.trace_id, other.parent_id)
    ]


def test_the_name_of_the_service_may_be_the_environments(monkeypatch: pytest.MonkeyPatch) -> None:
    with collecting() as collector:
        for name, value in {**collector.environment, "OTEL_SERVICE_NAME": "scoring"}.items():
            monkeypatch.setenv(name, value)
        with span_export("understudy-test", close_within_s=LIMIT_S) as sink:
            assert sink is not None
            sink.offer([a_span()])

    assert list(collector.spans) == ["scoring"]


class Stuck(SpanExporter):
    """An exporter whose collector does not answer until the end."""

    def __init__(self) -> None:
        self.entered = Event()
        self.ended = Event()

    def export(self, spans: object) -> SpanExportResult:
        self.entered.set()
        self.ended.wait(LIMIT_S)
        return SpanExportResult.FAILURE

    def shutdown(self) -> None:
        self.ended.set()


def test_a_collector_that_does_not_answer_costs_spans_and_no_time() -> None:
    exporter = Stuck()
    export = OtlpSpans(exporter, Resource({}), most_queued=10)
    export.offer([a_span()])
    assert exporter.entered.wait(LIMIT_S)  # it holds the first one

    with capture_logs() as lines:
        export.offer([a_span()] * 25)
        export.close(0.0)

    told = [line["spans"] for line in lines if line["event"] == "spans_dropped"]
    assert sum(told) >= 25  # 15 found no room, and 10 were never sent


def test_an_absent_collector_does_not_hold_up_the_end() -> None:
    export = OtlpSpans(
        OTLPSpanExporter(endpoint="http://127.0.0.1:1", timeout=LIMIT_S), Resource({})
    )
    export.offer([a_span()])

    export.close(0.0)  # the time limit of the test would end a wait


def test_an_id_is_the_same_for_the_same_parts_and_another_for_others() -> None:
    ids = {span_id_of(*parts) for parts in (("a", "b"), ("ab",), ("a", "b", None), ("b", "a"))}

    assert span_id_of("a", "b") in ids
    assert len(ids) == 4
    assert all(len(each) == 16 and int(each, 16) for each in ids)
