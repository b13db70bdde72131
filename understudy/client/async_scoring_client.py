"""The client of the scoring service for asyncio; `ScoringClient` is the same for threads."""

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from datetime import datetime
from types import TracebackType
from typing import Self, Unpack

import grpc

from understudy.client.answers import ScoreAnswer, StreamAnswer
from understudy.client.asyncio_stream import AsyncioStream
from understudy.client.channels import CHANNEL_OPTIONS, DEFAULT_TIMEOUT_S, OUTCOMES_TIMEOUT_S
from understudy.client.repeats import call_repeatedly_async
from understudy.client.request_ids import new_request_id
from understudy.client.request_values import Features, id_text
from understudy.client.requests import (
    BatchOptions,
    ScoreOptions,
    batch_request,
    outcomes_request,
    score_request,
)
from understudy.scoring.v1 import scoring_pb2 as pb
from understudy.scoring.v1 import scoring_pb2_grpc


class AsyncScoringClient:
    """A client for asyncio, bound to one event loop. Close it, or use it in an `async with` block."""

    def __init__(self, target: str, *, timeout_s: float = DEFAULT_TIMEOUT_S) -> None:
        """Connect to `target` (host:port) on first use; `timeout_s` bounds each call."""
        self._channel = grpc.aio.insecure_channel(target, options=CHANNEL_OPTIONS)
        self._stub = scoring_pb2_grpc.ScoringServiceStub(self._channel)
        self._timeout_s = timeout_s

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        await self._channel.close()

    async def score(
        self,
        model: str,
        entities: Mapping[str, str],
        *,
        timeout_s: float | None = None,
        **options: Unpack[ScoreOptions],
    ) -> ScoreAnswer:
        """Score one unit; see `ScoreOptions`."""
        request = score_request(model, entities, **options)
        return ScoreAnswer(
            await call_repeatedly_async(self._stub.Score, request, timeout_s or self._timeout_s)
        )

    async def score_batch(
        self,
        model: str,
        candidates: Mapping[str, Features] | Sequence[str],
        *,
        timeout_s: float | None = None,
        **options: Unpack[BatchOptions],
    ) -> pb.ScoreBatchResponse:
        """Score candidates in one call; see `BatchOptions`."""
        request = batch_request(model, candidates, **options)
        return await call_repeatedly_async(
            self._stub.ScoreBatch, request, timeout_s or self._timeout_s
        )

    def score_stream(
        self,
        requests: AsyncIterator[pb.ScoreRequest] | Iterable[pb.ScoreRequest],
        *,
        timeout_s: float | None = None,
    ) -> AsyncIterator[StreamAnswer]:
        """Score `requests` as one stream; answers come in any order, by request id.

        If the router ends the call or is lost, unanswered requests are sent again on another call;
        each answer is returned once. `timeout_s` bounds the whole stream; with None it may stay open.
        Each request in it has the router's own deadline. The stream ends when the iterator is closed.
        """
        return AsyncioStream(requests, new_request_id).answers(self._stub, timeout_s)

    async def explain(
        self, model: str, unit_key: str, *, timeout_s: float | None = None
    ) -> pb.ExplainAssignmentResponse:
        """Return which arm answers `unit_key`, and why, without scoring."""
        return await self._stub.ExplainAssignment(
            pb.ExplainAssignmentRequest(model=model, unit_key=id_text(unit_key, "unit_key")),
            timeout=timeout_s or self._timeout_s,
        )

    async def record_outcomes(
        self,
        model: str,
        labels: Mapping[str, float],
        *,
        observed_at: datetime | None = None,
        timeout_s: float = OUTCOMES_TIMEOUT_S,
    ) -> int:
        """Report the ground truth (request id to label), all or none; return how many.

        `observed_at` (with a time zone) is the time when it became known, by default now.
        """
        request = outcomes_request(model, labels, observed_at=observed_at)
        answer = await call_repeatedly_async(self._stub.RecordOutcomes, request, timeout_s)
        return answer.accepted
