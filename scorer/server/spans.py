"""The span of each sampled request of a scorer, in the trace that its sender names."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from understudy.domain.spans import Span, SpanKind, SpanSink, span_id_of
from understudy.domain.trace_context import TraceContext, trace_context_of_metadata
from understudy.domain.versions import VersionRef
from understudy.inference.request_parameters import trace_of_parameters
from understudy.oip import inference_pb2 as pb

_INFER = "ModelInfer"


@dataclass(frozen=True, slots=True)
class OpenSpan:
    """A request that is not answered yet."""

    trace: TraceContext  # of the sender, whose span is the parent
    request_id: str
    started_s: float  # since 1970


@dataclass(frozen=True, slots=True)
class RequestSpans:
    """Makes the spans of requests whose sender records the trace, and of no other."""

    sink: SpanSink
    ref: VersionRef
    utc_s: Callable[[], float]  # seconds since 1970

    def open(self, request: pb.ModelInferRequest, metadata: Any = ()) -> OpenSpan | None:
        """Return the span to close with the answer; None if the sender records no trace.

        `metadata`: of a call by itself; a stream's requests name the trace as parameters.
        """
        trace = trace_of_parameters(request) or trace_context_of_metadata(metadata)
        if trace is None or not trace.is_sampled:
            return None
        return OpenSpan(trace, request.id, self.utc_s())

    def close(self, opened: OpenSpan, *, rows: int, failure: str = "") -> None:
        """Offer the span of a request that has ended.

        Args:
            opened: the request.
            rows: its rows; 0 if it was refused unread.
            failure: the kind of failure; "" if it was answered.
        """
        trace = opened.trace
        parts = (trace.trace_id, trace.parent_id, str(self.ref), opened.request_id)
        self.sink.offer(
            [
                Span(
                    _INFER,
                    trace,
                    span_id_of(*parts, opened.started_s),
                    SpanKind.SERVER,
                    opened.started_s,
                    self.utc_s(),
                    {
                        "understudy.model": self.ref.model,
                        "understudy.version": self.ref.number,
                        "understudy.rows": rows,
                    },
                    failure=failure,
                )
            ]
        )
