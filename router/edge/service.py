"""ScoringService: translate, delegate, report once. Messages are bytes on arrival and departure."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Any

import grpc

from router.admission.admit import Asked, AskedCandidates
from router.admission.intake import UnreadCall
from router.books.bounded_lines import RefusalLines
from router.calls.call import Arrival, Call
from router.decisions.priority import Priority
from router.edge.explain import explain
from router.edge.outcomes import MOST_OUTCOMES, outcome_batches
from router.edge.score_stream import ScoreStream
from router.pipeline import Pipeline
from understudy.domain.errors import Fault, InvalidInputError, failure_kind_of
from understudy.domain.features import FeatureScalar
from understudy.runtime.grpc_errors import abort_with
from understudy.runtime.open_streams import OpenStreams
from understudy.runtime.parsing import RequestForm, parsed
from understudy.scoring.v1 import scoring_pb2 as pb

SERVICE = pb.DESCRIPTOR.services_by_name["ScoringService"].full_name
_MOST_OPEN_PER_STREAM = 256
_MOST = {"entities": 32, "features": 4096}
_MOST_OUTPUTS = 64
_MOST_IN_A_ROW = {**_MOST, "outputs": _MOST_OUTPUTS}
_MOST_FIELDS_OF_A_ROW = 8_192
_MOST_CANDIDATE_FEATURES = 200_000  # of a ScoreBatch
_SCORE_FORM = RequestForm(pb.ScoreRequest, _MOST_IN_A_ROW, most_fields=_MOST_FIELDS_OF_A_ROW)
_STREAM_FORM = RequestForm(
    pb.ScoreStreamRequest,
    {f"request.{path}": most for path, most in _MOST_IN_A_ROW.items()},
    most_fields=_MOST_FIELDS_OF_A_ROW,
)
_OUTCOMES_FORM = RequestForm(pb.RecordOutcomesRequest, {"outcomes": MOST_OUTCOMES})

Context = grpc.aio.ServicerContext[Any, Any]


class ScoringService:
    """The RPCs. Their common work is in the stages; this class only handles the wire."""

    def __init__(
        self,
        pipeline: Pipeline,
        *,
        most_stream_age_s: float,
    ) -> None:
        self._admission = pipeline.admission
        self._gate = pipeline.gate
        self._intake = pipeline.intake
        self._counters = pipeline.counters
        self._live = pipeline.models.live
        self._log_outcomes = pipeline.log
        self._now_s = pipeline.clocks.monotonic_s
        self._utc_s = pipeline.clocks.utc_s
        self._refusal_lines = RefusalLines()
        self._most_stream_age_s = most_stream_age_s
        self._streams = OpenStreams()
        most_candidates = self._admission.most_candidates
        self._batch_form = RequestForm(
            pb.ScoreBatchRequest,
            {
                **_MOST,
                "candidates": most_candidates,
                "candidates.features": _MOST_CANDIDATE_FEATURES,
            },
            most_fields=_MOST_FIELDS_OF_A_ROW + 2 * most_candidates + _MOST_CANDIDATE_FEATURES,
        )

    def handlers(self) -> grpc.GenericRpcHandler:
        """Return the generic handlers. Requests are bytes: unparsable ones are the caller's fault.

        (gRPC's own deserialiser would end such a call with UNKNOWN and a Python exception's text.)
        """
        unary = grpc.unary_unary_rpc_method_handler
        to_bytes = _serialized
        return grpc.method_handlers_generic_handler(
            SERVICE,
            {
                "Score": unary(self.score, None, None),
                "ScoreBatch": unary(self.score_batch, None, None),
                "ScoreStream": grpc.stream_stream_rpc_method_handler(self.score_stream, None, None),
                "ExplainAssignment": unary(self.explain_assignment, None, to_bytes),
                "RecordOutcomes": unary(self.record_outcomes, None, to_bytes),
            },
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
            )
            self._intake.put(call)
            try:
                return await answer
            finally:
                self._intake.leave(call)
        except Exception as error:  # noqa: BLE001 - request boundary: each failure gets a status
            self._count_refusal(error)
            await abort_with(context, error, rpc="Score")

    async def score_batch(self, received: bytes, context: Context) -> bytes:
        try:
            self._gate.check_room(1, Priority.BATCH)  # reading thousands of candidates is expensive
            request = self._batch_form.read(received)
            check_sizes(request, {**_MOST, "candidates": self._admission.most_candidates})
            answer = _new_answer()
            call = self._admission.admit_candidates(
                Asked(
                    model=request.model,
                    request_id=_text_of(request, "request_id"),
                    unit_key=_text_of(request, "unit_key"),
                    entities=_texts(request.entities),
                    features=scalars(request.features),
                ),
                AskedCandidates(
                    entity=request.candidate_entity,
                    ids=[candidate.id for candidate in request.candidates],
                    features=[
                        scalars(candidate.features) if candidate.features else {}
                        for candidate in request.candidates
                    ],
                    top_k=request.top_k if request.HasField("top_k") else None,
                    is_sorted=request.sort,
                ),
                Arrival(answer, Priority.BATCH, self._now_s(), context.time_remaining()),
            )
            return await self._answer(call, answer)
        except Exception as error:  # noqa: BLE001 - request boundary: each failure gets a status
            self._count_refusal(error)
            await abort_with(context, error, rpc="ScoreBatch")

    async def score_stream(self, requests: AsyncIterator[bytes], context: Context) -> None:
        """Score arriving messages; many are in flight, answered as they finish."""
        stream = ScoreStream(
            self._admit_streamed,
            self._intake,
            self._count_refusal,
            most_open=_MOST_OPEN_PER_STREAM,
            most_age_s=self._most_stream_age_s,
            now_s=self._now_s,
        )
        await self._streams.run(stream, requests, context.write)

    def end_streams(self) -> None:
        """Let every stream, including future ones, answer the messages it has read and end with OK."""
        self._streams.end()

    async def explain_assignment(
        self, received: bytes, context: Context
    ) -> pb.ExplainAssignmentResponse:
        try:
            request = parsed(pb.ExplainAssignmentRequest, received)
            return explain(request.model, request.unit_key, self._live.get(request.model))
        except Exception as error:  # noqa: BLE001 - request boundary: each failure gets a status
            await abort_with(context, error, rpc="ExplainAssignment")

    async def record_outcomes(self, received: bytes, context: Context) -> pb.RecordOutcomesResponse:
        try:
            request = _OUTCOMES_FORM.read(received)
            batches = outcome_batches(
                request,
                at_us=round(self._utc_s() * 1e6),
                is_deployed=self._live.__contains__,
            )
        except Exception as error:  # noqa: BLE001 - request boundary: each failure gets a status
            await abort_with(context, error, rpc="RecordOutcomes")
        accepted = sum(batch.rows for batch in batches if self._log_outcomes(batch))
        return pb.RecordOutcomesResponse(accepted=accepted)

    def _admit(self, call: UnreadCall) -> Call:
        return self._admit_request(_SCORE_FORM.read(call.received), call)

    def _admit_streamed(self, call: UnreadCall) -> Call:
        return self._admit_request(_STREAM_FORM.read(call.received).request, call)

    def _admit_request(self, request: pb.ScoreRequest, call: UnreadCall) -> Call:
        call.request_id = request.request_id
        if request.features or request.outputs or len(request.entities) > 1:
            check_sizes(request, _MOST_IN_A_ROW)
        return self._admission.admit(
            Asked(
                model=request.model,
                request_id=_text_of(request, "request_id"),
                unit_key=_text_of(request, "unit_key"),
                entities=_texts(request.entities),
                features=scalars(request.features) if request.features else {},
                threshold=(
                    request.decision_threshold if request.HasField("decision_threshold") else None
                ),
                outputs=request.outputs,
                include_digests=request.include_digests,
            ),
            call,
        )

    async def _answer(self, call: Call, answer: asyncio.Future[bytes]) -> bytes:
        self._gate.enter(call.rows, call.priority)
        try:
            call.live.submit(call)
            return await answer
        finally:
            self._gate.leave(call.rows)

    def _count_refusal(self, error: Exception) -> None:
        self._counters.refused[failure_kind_of(error)] += 1
        self._refusal_lines.count(error)


def _new_answer() -> asyncio.Future[bytes]:
    return asyncio.get_running_loop().create_future()


def check_sizes(request: Any, most: Mapping[str, int]) -> None:
    """Refuse repeated fields with too many entries before reading any of them.

    Raises:
        InvalidInputError: with each field that has too many.
    """
    faults = [
        Fault(field, f"{len(getattr(request, field))} entries", f"at most {largest}")
        for field, largest in most.items()
        if len(getattr(request, field)) > largest
    ]
    if faults:
        raise InvalidInputError(faults)


def scalars(features: Any) -> dict[str, FeatureScalar]:
    """Return a map of FeatureValue as plain values; an unset one is refused.

    Raises:
        InvalidInputError: a value has no kind.
    """
    plain: dict[str, FeatureScalar] = {}
    for name, value in features.items():
        kind = value.WhichOneof("kind")
        if kind is None:
            raise InvalidInputError.of(
                f"features[{name}]", read="no value", accepted="number, integer, string or boolean"
            )
        plain[name] = getattr(value, kind)
    return plain


def _text_of(request: Any, field: str) -> str | None:
    """Return the text of an `optional` field, or None if it is not set."""
    text: str = getattr(request, field)
    return text or ("" if request.HasField(field) else None)


def _texts(entries: Any) -> dict[str, str]:
    # Twice as fast as dict(): protobuf's maps are slow to iterate as mappings.
    return {name: entries[name] for name in entries}


def _serialized(message: Any) -> bytes:
    serialized: bytes = message.SerializeToString()
    return serialized
