"""Spans to a collector over OTLP, by a thread: a slow collector costs spans, and never a call."""

from collections import deque
from collections.abc import Sequence
from threading import Event, Thread

import structlog
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import (
    SERVICE_NAME,
    SERVICE_VERSION,
    OTELResourceDetector,
    Resource,
)
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, TraceFlags, TraceState
from opentelemetry.trace import SpanKind as OtelKind
from opentelemetry.trace.status import Status, StatusCode

from understudy.domain.errors import InvalidInputError
from understudy.domain.spans import Span, SpanKind
from understudy.domain.trace_context import TraceContext
from understudy.runtime.distribution import serving_version

_MOST_QUEUED = 8_192  # spans
_MOST_AT_ONCE = 512  # in one message
_PAUSE_S = 1.0  # between messages, while few spans wait
_KINDS = {SpanKind.SERVER: OtelKind.SERVER, SpanKind.INTERNAL: OtelKind.INTERNAL}
_log = structlog.get_logger()


class OtlpSpans:
    """A bounded queue of spans and the thread that exports them. Must be closed."""

    def __init__(
        self, exporter: SpanExporter, resource: Resource, *, most_queued: int = _MOST_QUEUED
    ) -> None:
        self._exporter = exporter
        self._resource = resource
        self._scope = InstrumentationScope("understudy", serving_version())
        self._most_queued = most_queued
        self._queue: deque[Span] = deque()  # appended by one thread and taken by another
        self._dropped = 0
        self._told = 0  # of the dropped ones
        self._is_closing = Event()
        self._thread = Thread(target=self._run, name="otlp-spans", daemon=True)
        self._thread.start()

    def offer(self, spans: Sequence[Span]) -> None:
        room = max(0, self._most_queued - len(self._queue))
        self._queue.extend(spans[:room])
        self._dropped += max(0, len(spans) - room)

    def close(self, limit_s: float) -> None:
        self._is_closing.set()
        self._thread.join(limit_s)
        self._exporter.shutdown()  # which ends an export that still runs
        self._tell_dropped(len(self._queue))

    def _run(self) -> None:
        while not self._is_closing.wait(_PAUSE_S):
            self._export_queued()
        self._export_queued()

    def _export_queued(self) -> None:
        while self._queue:
            spans = [self._queue.popleft() for _ in range(min(len(self._queue), _MOST_AT_ONCE))]
            made = [_readable(span, self._resource, self._scope) for span in spans]
            # Its failures are logged by the exporter, which repeats a call within its time limit.
            if self._exporter.export(made) is not SpanExportResult.SUCCESS:
                self._dropped += len(made)
        self._tell_dropped(0)

    def _tell_dropped(self, left: int) -> None:
        dropped = self._dropped + left
        if dropped > self._told:
            _log.warning("spans_dropped", spans=dropped - self._told)
            self._told = dropped


def open_otlp_spans(service: str) -> OtlpSpans:
    """Return the exporter that OTEL_EXPORTER_OTLP_* describe.

    Raises:
        InvalidInputError: the library refuses a variable.
    """
    try:
        exporter = OTLPSpanExporter()
    except (ValueError, OSError) as error:
        accepted = "values of the OpenTelemetry specification"
        raise InvalidInputError.of(
            "OTEL_EXPORTER_OTLP_*", read=str(error), accepted=accepted
        ) from error
    detected = OTELResourceDetector().detect()
    own = {SERVICE_NAME: service, SERVICE_VERSION: serving_version()}
    return OtlpSpans(exporter, Resource(own).merge(detected))


def _readable(span: Span, resource: Resource, scope: InstrumentationScope) -> ReadableSpan:
    trace = span.context
    return ReadableSpan(
        span.name,
        context=_span_context(trace, span.span_id, is_remote=False),
        parent=_span_context(trace, trace.parent_id, is_remote=span.kind is SpanKind.SERVER),
        resource=resource,
        attributes=span.attributes,
        links=[Link(_span_context(link, link.parent_id, is_remote=False)) for link in span.links],
        kind=_KINDS[span.kind],
        status=Status(StatusCode.ERROR, span.failure) if span.failure else Status(),
        start_time=_ns_of(span.started_s),
        end_time=_ns_of(span.ended_s),
        instrumentation_scope=scope,
    )


def _ns_of(time_s: float) -> int:
    return round(time_s * 1e6) * 1000  # a float since 1970 has no finer digits


def _span_context(trace: TraceContext, span_id: str, *, is_remote: bool) -> SpanContext:
    return SpanContext(
        int(trace.trace_id, 16),
        int(span_id, 16),
        is_remote=is_remote,
        trace_flags=TraceFlags(trace.flags),
        trace_state=TraceState.from_header([trace.state]) if trace.state else None,
    )
