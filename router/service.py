"""ScoringService: translate, delegate, report once. Answers arrive as bytes and leave as such."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import grpc
import numpy as np

from domain.errors import InvalidInputError
from domain.features import FeatureScalar
from router.admit import Admission, Asked, AskedCandidates, new_request_id
from router.counters import Counters
from router.decisions.admission import Priority
from router.explain import explain
from router.gate import Gate
from router.live_model import LiveModel
from router.work import Work
from runtime.grpc_errors import abort_with, detail_of, retry_after_ms_of, status_of
from shadow.batches import OutcomeBatchLog
from understudy.v1 import scoring_pb2 as pb

SERVICE = pb.DESCRIPTOR.services_by_name["ScoringService"].full_name
_MOST_IN_FLIGHT_PER_STREAM = 256
_MOST_OUTCOMES = 10_000

Context = grpc.aio.ServicerContext[Any, Any]


class ScoringService:
    """The RPCs. What they share is in the stages; here is only what the wire asks for."""

    def __init__(
        self,
        admission: Admission,
        gate: Gate,
        counters: Counters,
        live_model: Callable[[str], LiveModel | None],
        log_outcomes: Callable[[OutcomeBatchLog], bool],
        utc_s: Callable[[], float],
    ) -> None:
        self._admission = admission
        self._gate = gate
        self._counters = counters
        self._live_model = live_model
        self._log_outcomes = log_outcomes
        self._utc_s = utc_s

    def handlers(self) -> grpc.GenericRpcHandler:
        """Return the generic handlers: requests parsed, answers already bytes."""
        unary = grpc.unary_unary_rpc_method_handler
        to_bytes = _serialized
        return grpc.method_handlers_generic_handler(
            SERVICE,
            {
                "Score": unary(self.score, pb.ScoreRequest.FromString, None),
                "ScoreBatch": unary(self.score_batch, pb.ScoreBatchRequest.FromString, None),
                "ScoreStream": grpc.stream_stream_rpc_method_handler(
                    self.score_stream, pb.ScoreRequest.FromString, None
                ),
                "ExplainAssignment": unary(
                    self.explain_assignment, pb.ExplainAssignmentRequest.FromString, to_bytes
                ),
                "RecordOutcomes": unary(
                    self.record_outcomes, pb.RecordOutcomesRequest.FromString, to_bytes
                ),
            },
        )

    async def score(self, request: pb.ScoreRequest, context: Context) -> bytes:
        try:
            return await self._score_one(request, context.time_remaining(), Priority.LIVE)
        except Exception as error:  # noqa: BLE001 - request boundary: each failure gets a status
            self._count_refusal(error)
            await abort_with(context, error, rpc="Score")

    async def score_batch(self, request: pb.ScoreBatchRequest, context: Context) -> bytes:
        try:
            work = self._admission.admit_candidates(
                Asked(
                    model=request.model,
                    request_id=request.request_id,
                    unit_key=request.unit_key,
                    entities=dict(request.entities),
                    features=scalars(request.features),
                ),
                AskedCandidates(
                    entity=request.candidate_entity,
                    ids=[candidate.id for candidate in request.candidates],
                    features=[
                        scalars(candidate.features) if candidate.features else {}
                        for candidate in request.candidates
                    ],
                    top_k=request.top_k,
                    is_sorted=request.sort,
                ),
                remaining_s=context.time_remaining(),
            )
            return await self._answer(work)
        except Exception as error:  # noqa: BLE001 - request boundary: each failure gets a status
            self._count_refusal(error)
            await abort_with(context, error, rpc="ScoreBatch")

    async def score_stream(
        self, requests: AsyncIterator[pb.ScoreRequest], context: Context
    ) -> None:
        """Score what arrives; many in flight, answers as they come.

        Reading pauses while too many are in flight: that is the flow control.
        """
        room = asyncio.Semaphore(_MOST_IN_FLIGHT_PER_STREAM)
        async with asyncio.TaskGroup() as tasks:
            async for request in requests:
                await room.acquire()
                task = tasks.create_task(self._score_streamed(request, context))
                task.add_done_callback(lambda _: room.release())

    async def explain_assignment(
        self, request: pb.ExplainAssignmentRequest, context: Context
    ) -> pb.ExplainAssignmentResponse:
        try:
            return explain(request.model, request.unit_key, self._live_model(request.model))
        except Exception as error:  # noqa: BLE001 - request boundary: each failure gets a status
            await abort_with(context, error, rpc="ExplainAssignment")

    async def record_outcomes(
        self, request: pb.RecordOutcomesRequest, context: Context
    ) -> pb.RecordOutcomesResponse:
        try:
            batches = outcome_batches(request, at_us=round(self._utc_s() * 1e6))
        except Exception as error:  # noqa: BLE001 - request boundary: each failure gets a status
            await abort_with(context, error, rpc="RecordOutcomes")
        accepted = sum(batch.rows for batch in batches if self._log_outcomes(batch))
        return pb.RecordOutcomesResponse(accepted=accepted)

    async def _score_one(
        self, request: pb.ScoreRequest, remaining_s: float | None, priority: Priority
    ) -> bytes:
        work = self._admission.admit(
            Asked(
                model=request.model,
                request_id=request.request_id,
                unit_key=request.unit_key,
                entities=dict(request.entities),
                features=scalars(request.features) if request.features else {},
                threshold=(
                    request.decision_threshold if request.HasField("decision_threshold") else None
                ),
                outputs=request.outputs,
                include_digests=request.include_digests,
            ),
            remaining_s=remaining_s,
            priority=priority,
        )
        return await self._answer(work)

    async def _answer(self, work: Work) -> bytes:
        self._gate.enter(work.rows, work.priority)
        try:
            work.live.submit(work)
            return await work.answer
        finally:
            self._gate.leave(work.rows)

    async def _score_streamed(self, request: pb.ScoreRequest, context: Context) -> None:
        request_id = request.request_id
        if not request_id:
            request_id = request.request_id = new_request_id()
        try:
            # The stream's deadline is not a request's: each gets the default budget.
            answer = await self._score_one(request, None, Priority.STREAM)
            message = pb.ScoreStreamResponse(
                request_id=request_id, response=pb.ScoreResponse.FromString(answer)
            )
        except Exception as error:  # noqa: BLE001 - request boundary: each failure gets a status
            self._count_refusal(error)
            message = pb.ScoreStreamResponse(
                request_id=request_id,
                error=pb.Error(
                    code=status_of(error).value[0],
                    message=detail_of(error),
                    retry_after_ms=retry_after_ms_of(error),
                ),
            )
        await context.write(message.SerializeToString())

    def _count_refusal(self, error: Exception) -> None:
        self._counters.refused[type(error).__name__] += 1


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
                f"features[{name}]", read="no value", accepted="number, integer, text or flag"
            )
        plain[name] = getattr(value, kind)
    return plain


def outcome_batches(request: pb.RecordOutcomesRequest, *, at_us: int) -> list[OutcomeBatchLog]:
    """Return the outcomes as one batch per model.

    Raises:
        InvalidInputError: an outcome lacks its request id or model, or its label is not finite.
    """
    if not 1 <= len(request.outcomes) <= _MOST_OUTCOMES:
        raise InvalidInputError.of(
            "outcomes", read=len(request.outcomes), accepted=f"1 to {_MOST_OUTCOMES}"
        )
    by_model: dict[str, list[pb.Outcome]] = {}
    for place, outcome in enumerate(request.outcomes):
        if not (outcome.request_id and outcome.model):
            raise InvalidInputError.of(
                f"outcomes[{place}]", read="no request_id or model", accepted="both"
            )
        if not np.isfinite(outcome.label):
            raise InvalidInputError.of(
                f"outcomes[{place}].label", read=outcome.label, accepted="a finite number"
            )
        by_model.setdefault(outcome.model, []).append(outcome)
    return [
        OutcomeBatchLog(
            model=model,
            at_us=at_us,
            request_ids=[outcome.request_id for outcome in outcomes],
            labels=np.array([outcome.label for outcome in outcomes]),
            observed_at_us=np.array(
                [
                    outcome.observed_at.ToMicroseconds()
                    if outcome.HasField("observed_at")
                    else at_us
                    for outcome in outcomes
                ],
                dtype=np.int64,
            ),
        )
        for model, outcomes in by_model.items()
    ]


def _serialized(message: Any) -> bytes:
    serialized: bytes = message.SerializeToString()
    return serialized
