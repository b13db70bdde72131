"""Spans of sampled calls: one of the call and one of each stage, made from the batch's times."""

import asyncio
from dataclasses import replace

import pytest

from router.books.spans import MOST_SPANNED
from tests.kept_spans import KeptSpans
from tests.router.samples import UTC_S
from tests.router.world import World, awaited, open_world, two_arms
from understudy.domain.deployments import Fallback
from understudy.domain.errors import UnavailableError
from understudy.domain.spans import SpanKind
from understudy.domain.trace_context import TraceContext

pytestmark = pytest.mark.virtual_time
SAMPLED = TraceContext("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331", 1, "vendor=a")
SLOW_S = 0.05  # of virtual time
STAGES = ("admit", "queue", "fetch", "infer", "answer")


def sampled(number: int) -> TraceContext:
    return TraceContext(f"{number:032x}", f"{number:016x}", 1)


async def score_slowly(world: World, trace: TraceContext) -> None:
    """Let the scorer take `SLOW_S` for one call that waits for it."""
    scorer = world.scorers["one"]
    scorer.release = asyncio.Event()
    call = world.submit("u1", trace=trace)
    await scorer.entered.wait()
    await asyncio.sleep(SLOW_S)  # of virtual time
    scorer.release.set()
    await awaited(call)
    await asyncio.sleep(0)


async def test_a_sampled_call_has_a_span_below_its_callers_and_one_of_each_stage() -> None:
    kept = KeptSpans()
    async with open_world(spans=kept) as world:
        await two_arms(world, challengers=())
        await score_slowly(world, SAMPLED)

        (told,) = world.scorers["one"].traces
    (call,) = kept.named("call")
    stages = kept.named(*STAGES)

    assert (call.context, call.kind, call.failure) == (SAMPLED, SpanKind.SERVER, "")
    assert call.attributes["understudy.version"] == 1
    assert call.attributes["understudy.level"] == "full"
    assert {stage.context.parent_id for stage in stages} == {call.span_id}
    assert {stage.context.trace_id for stage in stages} == {SAMPLED.trace_id}
    assert told == replace(SAMPLED, parent_id=call.span_id)  # the scorer's span is below it


async def test_stages_follow_each_other_and_fill_the_call() -> None:
    kept = KeptSpans()
    async with open_world(spans=kept) as world:
        await two_arms(world, challengers=())
        await score_slowly(world, SAMPLED)
    (call,) = kept.named("call")
    stages = kept.named(*STAGES)  # those of no length, on virtual time, are left out

    (infer,) = kept.named("infer")
    assert round(infer.ended_s - infer.started_s, 3) == SLOW_S
    assert round(call.ended_s - call.started_s, 3) == SLOW_S
    assert abs(call.ended_s - UTC_S) < 10
    ends = [call.started_s, *(stage.ended_s for stage in stages)]
    assert [stage.started_s for stage in stages] == ends[:-1]
    assert ends[-1] == call.ended_s


@pytest.mark.parametrize("trace", [None, replace(SAMPLED, flags=0), replace(SAMPLED, flags=2)])
async def test_a_call_that_its_caller_does_not_record_has_no_span(
    trace: TraceContext | None,
) -> None:
    kept = KeptSpans()
    async with open_world(spans=kept) as world:
        await two_arms(world, challengers=())
        await world.score("u1", trace=trace)

        assert world.scorers["one"].traces == [trace]
    assert kept.spans == []


async def test_without_an_export_the_scorer_is_told_the_callers_own_span() -> None:
    async with open_world() as world:
        await two_arms(world, challengers=())
        await world.score("u1", trace=SAMPLED)

        assert world.scorers["one"].traces == [SAMPLED]


async def test_calls_of_a_batch_keep_their_traces_and_are_linked_by_their_inference() -> None:
    kept = KeptSpans()
    async with open_world(spans=kept) as world:
        await two_arms(world, challengers=())
        await world.score_together(
            "one",
            lambda: world.submit("u1"),
            lambda: world.submit("u2", trace=replace(sampled(9), flags=0)),
            *(
                lambda number=number: world.submit(f"u{number + 2}", trace=sampled(number))
                for number in (1, 2, 3)
            ),
        )
        told = world.scorers["one"].traces[-1]
    calls = kept.named("call")

    assert [call.context for call in calls] == [sampled(number) for number in (1, 2, 3)]
    assert {call.attributes["understudy.batch_rows"] for call in calls} == {5}
    own = [replace(call.context, parent_id=call.span_id) for call in calls]
    assert told == own[0]
    infers = kept.named("infer")
    assert [infer.context for infer in infers] == own[: len(infers)]
    assert len({span.span_id for span in kept.spans}) == len(kept.spans)


async def test_a_call_that_fails_has_a_span_with_the_kind_of_failure() -> None:
    kept = KeptSpans()
    async with open_world(spans=kept) as world:
        await two_arms(world, challengers=())
        world.scorers["one"].failing = True
        with pytest.raises(UnavailableError):
            await world.score("u1", trace=SAMPLED)

        (told,) = {trace for trace in world.scorers["one"].traces if trace is not None}
    (call,) = kept.named("call")

    assert call.failure == "unavailable"
    assert told.parent_id == call.span_id


async def test_a_declared_answer_has_a_span_that_names_its_level() -> None:
    kept = KeptSpans()
    async with open_world(spans=kept) as world:
        await two_arms(world, challengers=(), fallback=Fallback(constant_score=0.5))
        world.scorers["one"].failing = True
        await world.score("u1", trace=SAMPLED)
    (call,) = kept.named("call")

    assert (call.failure, call.attributes["understudy.level"]) == ("", "constant")
    assert kept.named("fetch", "infer") == []


async def test_a_batch_of_candidates_is_one_call_and_its_parts_have_spans_of_their_own() -> None:
    kept = KeptSpans()
    async with open_world(spans=kept, most_batch_rows=4) as world:
        await two_arms(world, challengers=())
        await world.score_batch([f"u{index}" for index in range(10)], trace=SAMPLED)
    calls = kept.named("call")

    parts = [call.attributes["understudy.part"] for call in calls]
    assert sorted(parts) == list(range(len(calls)))
    assert len(calls) > 1
    assert sum(int(call.attributes["understudy.rows"]) for call in calls) == 10
    assert len({call.span_id for call in calls}) == len(calls)


async def test_the_spans_of_a_batch_are_bounded() -> None:
    kept = KeptSpans()
    count = MOST_SPANNED + 10
    async with open_world(spans=kept, most_batch_rows=count) as world:
        await two_arms(world, challengers=())
        await world.score_together(
            "one",
            *(
                lambda number=number: world.submit(f"u{number % 50}", trace=sampled(number))
                for number in range(1, count + 1)
            ),
        )

    assert len(kept.named("call")) == MOST_SPANNED
