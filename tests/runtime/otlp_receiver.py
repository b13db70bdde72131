"""A collector of spans: a gRPC server that speaks OTLP and keeps what it receives."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Event
from typing import Any

import grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as pb
from opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc import (
    TraceServiceServicer,
    add_TraceServiceServicer_to_server,
)
from opentelemetry.proto.trace.v1.trace_pb2 import Span

LIMIT_S = 120.0


@dataclass
class Collector(TraceServiceServicer):
    """Keeps spans by the name of the service that sent them."""

    wanted: int = 0  # spans, before `has_wanted` is set
    address: str = ""
    spans: dict[str, list[Span]] = field(default_factory=dict)
    has_wanted: Event = field(default_factory=Event)

    def Export(self, request: Any, _context: Any) -> pb.ExportTraceServiceResponse:  # noqa: N802 - the protocol's name
        for group in request.resource_spans:
            facts = {each.key: each.value.string_value for each in group.resource.attributes}
            kept = self.spans.setdefault(facts["service.name"], [])
            for scope in group.scope_spans:
                kept += scope.spans
        if sum(map(len, self.spans.values())) >= self.wanted:
            self.has_wanted.set()
        return pb.ExportTraceServiceResponse()

    @property
    def environment(self) -> dict[str, str]:
        """The variables with which a process sends its spans here."""
        return {
            "OTEL_TRACES_EXPORTER": "otlp",
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://{self.address}",
        }


@contextmanager
def collecting(wanted: int = 0) -> Iterator[Collector]:
    collector = Collector(wanted)
    server = grpc.server(ThreadPoolExecutor(2))
    add_TraceServiceServicer_to_server(collector, server)  # type: ignore[no-untyped-call]  # generated
    collector.address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    server.start()
    try:
        yield collector
    finally:
        server.stop(None).wait(LIMIT_S)
