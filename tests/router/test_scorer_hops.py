"""The port to a scorer over each hop: one contract, whichever carries the messages."""

import asyncio
from dataclasses import replace
from pathlib import Path

import grpc
import numpy as np
import pytest

from router.adapters.open_oip_scorer import open_oip_scorer
from router.decisions.hop import Hop
from router.ports import OtherArtifactError
from tests.router.hops import GOOD, LONG_S, answer_of, failure, give_up_two, hopped, until, wrapped
from tests.router.samples import spec
from tests.virtual_time import skip, turns
from understudy.domain.errors import (
    CorruptedError,
    DeadlinePassedError,
    InvalidInputError,
    UnavailableError,
)
from understudy.domain.trace_context import TraceContext
from understudy.inference.request_parameters import trace_of_parameters
from understudy.oip import inference_pb2 as oip
from understudy.runtime.transport.transport import LOCAL

ROWS = (np.ones((3, 2), np.float32),)
pytestmark = [pytest.mark.stopped_clock, pytest.mark.parametrize("hop", Hop)]


async def test_scores_are_returned_in_order_over_the_hop_that_was_chosen(
    hop: Hop, tmp_path: Path
) -> None:
    async with hopped(hop, tmp_path) as found:
        inferred = await found.scorer.infer(spec(1), ROWS, timeout_s=LONG_S)

        assert inferred.scores.tolist() == [0.25, 0.5, 0.75]
        assert found.scorer.hop is hop


async def test_each_request_carries_its_time_limit(hop: Hop, tmp_path: Path) -> None:
    async with hopped(hop, tmp_path) as found:
        await found.scorer.infer(spec(1), ROWS, timeout_s=10.0)
        await found.scorer.infer(spec(1), ROWS, timeout_s=5.5)

    timeouts = [request.parameters["timeout"].int64_param for request in found.process.requests]
    assert timeouts == [10_000_000, 5_500_000]


async def test_a_request_names_the_trace_of_a_caller(hop: Hop, tmp_path: Path) -> None:
    trace = TraceContext("1" * 32, "2" * 16, 1, "vendor=a")
    async with hopped(hop, tmp_path) as found:
        await found.scorer.infer(spec(1), ROWS, timeout_s=LONG_S, trace=trace)
        await found.scorer.infer(spec(1), ROWS, timeout_s=LONG_S, trace=replace(trace, state=""))
        await found.scorer.infer(spec(1), ROWS, timeout_s=LONG_S)

    read = [trace_of_parameters(request) for request in found.process.requests]
    assert read == [trace, replace(trace, state=""), None]


async def test_concurrent_requests_get_their_own_answers(hop: Hop, tmp_path: Path) -> None:
    async with hopped(hop, tmp_path) as found, asyncio.TaskGroup() as tasks:
        process = found.process
        process.may_answer.clear()
        asked = []
        for number in range(20):
            process.answer = answer_of([number / 32] * 3)
            asked.append(tasks.create_task(found.scorer.infer(spec(1), ROWS, timeout_s=LONG_S)))
            await until(lambda: len(process.requests) == len(asked))
        process.may_answer.set()
        answers = [(await each).scores[0] for each in asked]

    assert answers == [number / 32 for number in range(20)]


async def test_a_request_that_is_given_up_leaves_its_answer_to_no_other(
    hop: Hop, tmp_path: Path
) -> None:
    async with hopped(hop, tmp_path) as found:
        process, scorer = found.process, found.scorer
        await scorer.infer(spec(1), ROWS, timeout_s=LONG_S)
        process.may_answer.clear()
        await give_up_two(scorer, ROWS, process.requests)
        process.answer = answer_of([1.0, 1.0, 1.0])
        process.may_answer.set()
        inferred = await scorer.infer(spec(1), ROWS, timeout_s=LONG_S)

    assert inferred.scores.tolist() == [1.0, 1.0, 1.0], "an answer of a request given up"


async def test_without_time_nothing_is_sent(hop: Hop, tmp_path: Path) -> None:
    async with hopped(hop, tmp_path) as found:
        with pytest.raises(DeadlinePassedError):
            await found.scorer.infer(spec(1), ROWS, timeout_s=0.0)

    assert not found.process.requests


@pytest.mark.fault
async def test_a_process_exchanged_behind_an_answered_address_gets_no_request(
    hop: Hop, tmp_path: Path
) -> None:
    async with hopped(hop, tmp_path) as found:
        await found.scorer.infer(spec(1), ROWS, timeout_s=LONG_S)
        await found.stop()
        found.process.loaded = "f" * 64
        await found.start()

        for _ in range(3):
            with pytest.raises(OtherArtifactError, match="it loaded ffff"):
                await found.scorer.infer(spec(1), ROWS, timeout_s=LONG_S)

        await found.stop()
        found.process.loaded = spec(1).artifact_digest
        await found.start()
        await found.scorer.infer(spec(1), ROWS, timeout_s=LONG_S)

    assert len(found.process.requests) == 2


@pytest.mark.fault
async def test_a_connection_that_proved_one_version_carries_no_request_of_another(
    hop: Hop, tmp_path: Path
) -> None:
    async with hopped(hop, tmp_path) as found:
        await found.scorer.infer(spec(1), ROWS, timeout_s=LONG_S)

        with pytest.raises(OtherArtifactError):
            await found.scorer.infer(spec(2), ROWS, timeout_s=LONG_S)

    assert len(found.process.requests) == 1


async def test_a_restart_while_idle_costs_no_answer(hop: Hop, tmp_path: Path) -> None:
    async with hopped(hop, tmp_path) as found:
        for _ in range(3):
            await found.scorer.infer(spec(1), ROWS, timeout_s=LONG_S)
            await found.stop()
            await found.start()
        inferred = await found.scorer.infer(spec(1), ROWS, timeout_s=LONG_S)

        assert inferred.scores.tolist() == [0.25, 0.5, 0.75]
        assert found.scorer.hop is hop


@pytest.mark.fault
async def test_a_process_that_ends_instead_of_answering_is_an_unavailable_scorer(
    hop: Hop, tmp_path: Path
) -> None:
    async with hopped(hop, tmp_path) as found:
        found.process.may_answer.clear()
        asked = asyncio.ensure_future(found.scorer.infer(spec(1), ROWS, timeout_s=LONG_S))
        await until(lambda: found.process.requests)
        await found.stop()

        with pytest.raises(UnavailableError):
            await asked


async def test_an_answer_to_no_request_is_corrupted_and_the_next_one_counts(
    hop: Hop, tmp_path: Path
) -> None:
    async with hopped(hop, tmp_path) as found:
        stray = oip.ModelStreamInferResponse.FromString(GOOD)
        stray.infer_response.id = "of another"

        async def answer_another(_request: bytes) -> bytes:
            return stray.SerializeToString()

        right, found.answer_to = found.answer_to, answer_another
        with pytest.raises(CorruptedError, match="does not match its request"):
            await found.scorer.infer(spec(1), ROWS, timeout_s=LONG_S)
        found.answer_to = right
        inferred = await found.scorer.infer(spec(1), ROWS, timeout_s=LONG_S)

    assert inferred.scores.tolist() == [0.25, 0.5, 0.75]


async def test_an_answer_read_after_the_loop_was_blocked_counts(hop: Hop, tmp_path: Path) -> None:
    """The router's own code blocks the loop: the scorer is not to blame."""
    async with hopped(hop, tmp_path) as found:
        found.process.may_answer.clear()
        asking = asyncio.ensure_future(found.scorer.infer(spec(1), ROWS, timeout_s=0.5))
        await until(lambda: found.process.requests)
        skip(1.0)  # the loop was blocked beyond the scorer's time
        await turns()  # the timer runs, then the answer is read
        found.process.may_answer.set()

        assert (await asking).scores.tolist() == [0.25, 0.5, 0.75]


@pytest.mark.parametrize(
    "answer",
    [
        answer_of([0.5]),  # fewer rows than were sent
        answer_of([0.5] * 3, name="other"),
        answer_of([0.5] * 3, shape=[2, 1]),
        wrapped(oip.ModelInferResponse()),
        wrapped(
            oip.ModelInferResponse(
                outputs=[oip.ModelInferResponse.InferOutputTensor(name="score", datatype="FP32")]
            )
        ),
        b"\xff\xff",
    ],
)
async def test_an_answer_that_does_not_fit_is_corrupted(
    answer: bytes, hop: Hop, tmp_path: Path
) -> None:
    async with hopped(hop, tmp_path) as found:
        found.process.answer = answer
        with pytest.raises(CorruptedError):
            await found.scorer.infer(spec(1), ROWS, timeout_s=LONG_S)
        found.process.answer = GOOD
        await found.scorer.infer(spec(1), ROWS, timeout_s=LONG_S)


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (grpc.StatusCode.INVALID_ARGUMENT, InvalidInputError),
        (grpc.StatusCode.DEADLINE_EXCEEDED, DeadlinePassedError),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, UnavailableError),
        (grpc.StatusCode.INTERNAL, UnavailableError),
    ],
)
async def test_a_failed_request_is_named_and_later_ones_are_answered(
    status: grpc.StatusCode, kind: type[Exception], hop: Hop, tmp_path: Path
) -> None:
    async with hopped(hop, tmp_path) as found:
        found.process.answer = failure(status)
        with pytest.raises(kind):
            await found.scorer.infer(spec(1), ROWS, timeout_s=LONG_S)
        found.process.answer = GOOD
        await found.scorer.infer(spec(1), ROWS, timeout_s=LONG_S)


async def test_a_failure_without_a_status_is_reported_with_its_text(
    hop: Hop, tmp_path: Path
) -> None:
    """As with Triton's own: it has only the text."""
    async with hopped(hop, tmp_path) as found:
        told = oip.ModelStreamInferResponse(error_message="out of memory")
        found.process.answer = told.SerializeToString()
        with pytest.raises(UnavailableError, match="out of memory"):
            await found.scorer.infer(spec(1), ROWS, timeout_s=LONG_S)


async def test_an_address_without_a_process_is_an_unavailable_scorer(
    hop: Hop, tmp_path: Path
) -> None:
    scorer = open_oip_scorer(f"unix:{tmp_path}/none.sock", None, LOCAL, hop)
    try:
        with pytest.raises(UnavailableError):
            await scorer.require_ready(spec(1).ref, spec(1).artifact_digest, timeout_s=LONG_S)
        with pytest.raises(UnavailableError):
            await scorer.infer(spec(1), ROWS, timeout_s=LONG_S)
    finally:
        await scorer.close()


async def test_a_scorer_closed_under_a_call_is_unavailable(hop: Hop, tmp_path: Path) -> None:
    async with hopped(hop, tmp_path) as found, asyncio.timeout(LONG_S):
        found.process.may_answer.clear()
        calling = asyncio.ensure_future(found.scorer.infer(spec(1), ROWS, timeout_s=LONG_S))
        await until(lambda: found.process.requests)
        await found.scorer.close()
        with pytest.raises(UnavailableError):
            await calling
        with pytest.raises(UnavailableError):
            await found.scorer.infer(spec(1), ROWS, timeout_s=LONG_S)
        found.process.may_answer.set()
