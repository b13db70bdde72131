"""Spans: what a process did for one call, for tracing systems that join the spans of processes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from hashlib import blake2b
from typing import Protocol

from understudy.domain.trace_context import TraceContext


class SpanKind(Enum):
    """The place of a span among processes."""

    SERVER = "server"  # the work for a call of another process
    INTERNAL = "internal"


@dataclass(frozen=True, slots=True)
class Span:
    """A finished span, part of the caller's trace."""

    name: str
    context: TraceContext  # the trace, and in `parent_id` the parent of this span
    span_id: str  # 16 hexadecimal digits in lower case
    kind: SpanKind
    started_s: float  # since 1970, as the next
    ended_s: float
    attributes: Mapping[str, str | int] = field(default_factory=dict)
    links: Sequence[TraceContext] = ()  # spans of other calls that shared the work
    failure: str = ""  # its kind; "" if the work succeeded


class SpanSink(Protocol):
    """A destination that never delays: it takes spans into a bounded queue, or drops them."""

    def offer(self, spans: Sequence[Span]) -> None: ...


def span_id_of(*parts: object) -> str:
    """Return the id of the span that `parts` identify: the same for the same parts.

    So the parts that know of a span need not hand its id to each other.
    """
    name = "\x00".join(map(str, parts))
    digest = blake2b(name.encode(), digest_size=8).hexdigest()
    return digest if digest.strip("0") else f"{1:016x}"  # all zero is invalid
