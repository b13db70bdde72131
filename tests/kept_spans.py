"""A sink of spans that keeps them all."""

from collections.abc import Sequence

from understudy.domain.spans import Span


class KeptSpans:
    def __init__(self) -> None:
        self.spans: list[Span] = []

    def offer(self, spans: Sequence[Span]) -> None:
        self.spans += spans

    def named(self, *names: str) -> list[Span]:
        return [span for span in self.spans if span.name in names]
