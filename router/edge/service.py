"""ScoringService: translate, delegate, report once. Messages are bytes on arrival and departure."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import grpc

from router.admission.admit import Asked
from router.admission.intake import UnreadCall
from router.books.bounded_lines import RefusalLines
from router.calls.call import Arrival, Call
from router.decisions.priority import Priority
from router.edge.entry import guarded_handlers
from router.edge.explain import explain
from router.edge.outcomes import OutcomeRecorder, rows_of_outcomes
from router.edge.request_values import (
    ANY_TEXT,
    MOST_IN_A_REQUEST,
    check_sizes,
    scalars,
    text_of,
    texts,
    trace_of,
)
from router.edge.score_batch import BatchReader
from router.edge.score_stream import ScoreStream
from router.pipeline import Pipeline
from understudy.domain.errors import OverloadedError, failure_kind_of
from understudy.runtime.grpc_errors import abort_with
from understudy.runtime.open_streams import OpenStreams, StreamLimits
from understudy.runtime.parsing import RequestForm, parsed
from understudy.runtime.rpc_boundary import Context, Guard, open_to_all, peer_of
from understudy.scoring.v1 import scoring_pb2 as pb

SERVICE = pb.DESCRIPTOR.services_by_name["ScoringService"].full_name
_MOST_FIELDS_OF_A_ROW = 8_192
_SCORE_FORM = RequestForm(
    pb.ScoreRequest,
    MOST_IN_A_REQUEST,
    most_fields=_MOST_FIELDS_OF_A_ROW,
    most_bytes=ANY_TEXT,
)
_STREAM_FORM = RequestForm(
    pb.ScoreStreamRequest,
    {f"request.{path}": most for path, most in MOST_IN_A_REQUEST.items()},
    most_fields=_MOST_FIELDS_OF_A_ROW,
    most_bytes={f"request.{path}": most for path, most in ANY_TEXT.items()},
)


@dataclass(frozen=True, slots=True)
class ServiceLimits:
    streams: StreamLimits
    most_stream_age_s: float


class ScoringService:
    """The RPCs. Their common work is in the stages; this class only handles the wire."""

    def __init__(
        self,
        pipeline: Pipeline,
        limits: ServiceLimits,
    ) -> None:
        self._admission = pipeline.admission
        self._gate = pipeline.gate
        self._intake = pipeline.intake
        self._counters = pipeline.counters
        self._live = pipeline.models.live
        self._now_s = pipeline.clocks.monotonic_s
        self._refusal_lines = RefusalLines()
        self.limits = limits
        self.streams = OpenStreams(limits.streams)
        self._batches = BatchReader(
            pipeline.admission,
            most_values=pipeline.admission.most_candidate_features,
            now_s=self._now_s,
        )
        self._outcomes = OutcomeRecorder(
            pipeline.log_together,
            is_deployed=self._live.__contains__,
            clocks=pipeline.clocks,
        )

    def handlers(self, guard: Guard = open_to_all) -> grpc.GenericRpcHandler:
        """Return the generic handlers. Requests are bytes: unparsable ones are the caller's fault.

        (gRPC's own deserialiser would end such a call with UNKNOWN and a Python exception's text.)
        """
        unary = grpc.unary_unary_rpc_method_handler
        to_bytes = _serialized
        return guarded_handlers(
            SERVICE,
            {
                "Score": unary(self.score, None, None),
                "ScoreBatch": unary(self.score_batch, None, None),
                "ScoreStream": grpc.stream_stream_rpc_method_handler(self.score_stream, None, None),
                "ExplainAssignment": unary(self.explain_assignment, None, to_bytes),
                "RecordOutcomes": unary(self.record_outcomes, None, to_bytes),
            },
            guard,
            self.count_refusal,
        )

    async def score(self, received: bytes, context: Context) -> bytes:
        try:
            answer = _new_answer()
            call = UnreadCall(
                answer,
                Priority.LIVE,
                self._now_s(),
                context.time_remaining(),
                received,
                self._admit,
                context=context,
            )
            self._intake.put(call)
            try:
                return await answer
            finally:
                self._intake.leave(call)
        except Exception as error:  # noqa: BLE001 - request boundary: each failure gets a status
            self.count_refusal(error)
            await abort_with(context, error, rpc="Score")

    async def score_batch(self, received: bytes, context: Context) -> bytes:
        try:
            self._gate.check_room(1, Priority.BATCH)  # counting thousands of candidates takes time
            answer = _new_answer()
            arrival = Arrival(
                answer,
                Priority.BATCH,
                self._now_s(),
                context.time_remaining(),
                trace=trace_of(context),
            )
            parted = self._batches.open(received)
            with self._gate.holding(max(1, parted.entries), Priority.BATCH, len(received)):
                call = await self._batches.admit(parted, arrival)
                call.live.submit(call)
                return await answer
        except Exception as error:  # noqa: BLE001 - request boundary: each failure gets a status
            self.count_refusal(error)
            await abort_with(context, error, rpc="ScoreBatch")

    async def score_stream(self, requests: AsyncIterator[bytes], context: Context) -> None:
        """Score arriving messages; many are in flight, answered as they finish."""
        caller = peer_of(context)
        stream = ScoreStream(
            self._admit_streamed,
            self._intake,
            self.count_refusal,
            open_requests=self.streams.open_requests_of(caller),
            most_age_s=self.limits.most_stream_age_s,
            now_s=self._now_s,
            trace=trace_of(context),
        )
        try:
            await self.streams.run(stream, requests, context.write, caller=caller)
        except OverloadedError as error:
            self.count_refusal(error)
            await abort_with(context, error, rpc="ScoreStream")

    def end_streams(self) -> None:
        """Let every stream, including future ones, answer the messages it has read and end with OK."""
        self.streams.end()

    async def explain_assignment(
        self, received: bytes, context: Context
    ) -> pb.ExplainAssignmentResponse:
        try:
            self._gate.check_room(1, Priority.BATCH)
            request = parsed(pb.ExplainAssignmentRequest, received)
            return explain(request.model, request.unit_key, self._live.get(request.model))
        except Exception as error:  # noqa: BLE001 - request boundary: each failure gets a status
            self.count_refusal(error)
            await abort_with(context, error, rpc="ExplainAssignment")

    async def record_outcomes(self, received: bytes, context: Context) -> pb.RecordOutcomesResponse:
        try:
            self._gate.check_room(1, Priority.BATCH)
            until_s = self._until_s(context.time_remaining())
            parted = self._outcomes.open(received)
            rows = rows_of_outcomes(parted.entries)
            with self._gate.holding(rows, Priority.BATCH, len(received)):
                await self._outcomes.record(parted, until_s=until_s)
        except Exception as error:  # noqa: BLE001 - request boundary: each failure gets a status
            self.count_refusal(error)
            await abort_with(context, error, rpc="RecordOutcomes")
        return pb.RecordOutcomesResponse(accepted=parted.entries)

    def _admit(self, call: UnreadCall) -> Call:
        return self._admit_request(_SCORE_FORM.read(call.received), call)

    def _admit_streamed(self, call: UnreadCall) -> Call:
        return self._admit_request(_STREAM_FORM.read(call.received).request, call)

    def _admit_request(self, request: pb.ScoreRequest, call: UnreadCall) -> Call:
        call.request_id = request.request_id
        if call.context is not None:
            call.trace = trace_of(call.context)
        # Each look at a map or list of a message creates an object.
        entities, features, outputs = request.entities, request.features, request.outputs
        if features or outputs or len(entities) > 1:
            check_sizes(request, MOST_IN_A_REQUEST)
        threshold = request.decision_threshold if request.HasField("decision_threshold") else None
        asked = Asked(  # by position: keywords would take twice the time
            request.model,
            text_of(request, "request_id"),
            text_of(request, "unit_key"),
            texts(entities),
            scalars(features) if features else {},
            threshold,
            outputs,
            request.include_digests,
        )
        return self._admission.admit(asked, call)

    def _until_s(self, remaining_s: float | None) -> float:
        """Return the caller's deadline, or the latest one; monotonic."""
        largest_s = self._admission.budget.largest_s
        return self._now_s() + (largest_s if remaining_s is None else min(remaining_s, largest_s))

    def count_refusal(self, error: Exception) -> None:
        self._counters.refused[failure_kind_of(error)] += 1
        self._refusal_lines.count(error)


def _new_answer() -> asyncio.Future[bytes]:
    return asyncio.get_running_loop().create_future()


def _serialized(message: Any) -> bytes:
    serialized: bytes = message.SerializeToString()
    return serialized
