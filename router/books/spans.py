"""The spans of sampled calls, made after their batch from times that are measured anyway."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from router.calls.answered import Answered, level_of_call
from router.calls.call import Call, span_id_of_call
from router.calls.rows import starts_of
from router.ports import Clocks
from understudy.domain.errors import UnderstudyError, failure_kind_of
from understudy.domain.spans import Span, SpanKind, SpanSink, span_id_of
from understudy.domain.trace_context import TraceContext

MOST_SPANNED = 64  # calls of a batch; further ones have no spans
_CALL = "call"
_Stage = tuple[str, float, float]  # name, start and end, monotonic


@dataclass(frozen=True, slots=True)
class SpanBook:
    """Makes the spans of calls whose caller records the trace, and of no other."""

    sink: SpanSink
    clocks: Clocks

    def answered(self, answered: Answered, *, answered_s: float) -> None:
        """Offer the spans of a batch that was answered at `answered_s`, monotonic."""
        sampled = _sampled(answered.calls)
        if sampled:
            self.sink.offer(
                spans_of_answers(sampled, answered, answered_s, epoch_s=self._epoch_s())
            )

    def failed(self, calls: Sequence[Call], error: UnderstudyError, *, now_s: float) -> None:
        """Offer the spans of calls that ended with `error`."""
        sampled = _sampled(calls)
        if sampled:
            failure = failure_kind_of(error)
            self.sink.offer(spans_of_failures(sampled, failure, now_s, epoch_s=self._epoch_s()))

    def _epoch_s(self) -> float:
        """Return the time since 1970 at which the monotonic clock was 0."""
        return self.clocks.utc_s() - self.clocks.monotonic_s()


def spans_of_answers(
    calls: Sequence[Call], answered: Answered, answered_s: float, *, epoch_s: float
) -> list[Span]:
    """Return the spans of `calls`, which are part of a batch: one of the call, one of each stage.

    The stages of the batch are in the trace of each of its calls. Their inference was one: the first
    call's, whose trace has the span of the scorer, links to all others, and theirs to the first.
    """
    place_of = dict(zip(map(id, answered.calls), starts_of(answered.calls), strict=True))
    owns = [_own_context(call) for call in calls]
    spans: list[Span] = []
    for call, own in zip(calls, owns, strict=True):
        links = tuple(owns[1:]) if own is owns[0] else (owns[0],)
        for name, started_s, ended_s in _stages(call, answered, answered_s):
            spans.append(
                Span(
                    name,
                    own,
                    span_id_of(own.parent_id, name),
                    SpanKind.INTERNAL,
                    epoch_s + started_s,
                    epoch_s + ended_s,
                    links=links if name == "infer" else (),
                )
            )
        level = level_of_call(answered, call, place_of[id(call)])
        served = answered.served
        facts = {
            "understudy.version": served.version,
            "understudy.arm": served.arm.value,
            "understudy.revision": served.revision,
            "understudy.level": level.name.lower(),
            "understudy.batch_rows": answered.timing.rows,
        }
        spans.append(_span_of_call(call, own, answered_s, facts, epoch_s=epoch_s))
    return spans


def spans_of_failures(
    calls: Sequence[Call], failure: str, now_s: float, *, epoch_s: float
) -> list[Span]:
    """Return the spans of calls that no version and no fallback answered."""
    return [
        replace(
            _span_of_call(call, _own_context(call), now_s, {}, epoch_s=epoch_s), failure=failure
        )
        for call in calls
    ]


def _sampled(calls: Sequence[Call]) -> list[Call]:
    return [call for call in calls if call.trace is not None and call.trace.is_sampled][
        :MOST_SPANNED
    ]


def _own_context(call: Call) -> TraceContext:
    """Return the context of the parts of `call`: its own span is their parent."""
    if call.trace is None:
        raise AssertionError("only traced calls have spans")
    return replace(call.trace, parent_id=span_id_of_call(call, call.trace))


def _span_of_call(
    call: Call, own: TraceContext, ended_s: float, facts: dict[str, str | int], *, epoch_s: float
) -> Span:
    if call.trace is None:
        raise AssertionError("only traced calls have spans")
    attributes: dict[str, str | int] = {
        "understudy.model": call.live.deployment.model,
        "understudy.request_id": call.request_id,
        "understudy.rows": call.rows,
        **facts,
    }
    if call.part is not None:
        attributes["understudy.part"] = call.part
    return Span(
        _CALL,
        call.trace,
        own.parent_id,
        SpanKind.SERVER,
        epoch_s + call.arrived_s,
        epoch_s + ended_s,
        attributes,
    )


def _stages(call: Call, answered: Answered, answered_s: float) -> Iterator[_Stage]:
    """Yield the stages in their order; those of a step without a model have neither read nor asked."""
    timing = answered.timing
    ready_s = timing.taken_s + timing.fetch_us / 1e6
    inferred_s = ready_s + timing.infer_us / 1e6
    ends_s = {
        "admit": call.admitted_s,
        "queue": timing.taken_s,
        "fetch": ready_s,
        "infer": inferred_s,
        "answer": answered_s,
    }
    started_s = call.arrived_s
    for name, ended_s in ends_s.items():
        if ended_s > started_s:  # otherwise the stage took no part
            yield name, started_s, ended_s
            started_s = ended_s
