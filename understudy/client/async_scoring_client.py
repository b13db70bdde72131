"""The client of the scoring service for asyncio; `ScoringClient` is the same for threads."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from types import TracebackType
from typing import Any, Self, Unpack

import grpc

from understudy.client.answers import BatchAnswer, ScoreAnswer, StreamAnswer
from understudy.client.asyncio_stream import AsyncioStream
from understudy.client.channels import (
    CHANNEL_OPTIONS,
    DEFAULT_TIMEOUT_S,
    OUTCOMES_TIMEOUT_S,
    Metadata,
)
from understudy.client.connections import AsyncioConnections, Credentials, followed
from understudy.client.errors import ScoringError, error_of
from understudy.client.hedges import hedged_async
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
    """A client for asyncio. Close it, or use it in an `async with` block.

    It belongs to the event loop that uses it first.
    """

    def __init__(
        self,
        target: str,
        *,
        timeout_s: float = DEFAULT_TIMEOUT_S,
        credentials: Credentials | None = None,
        metadata: Metadata = (),
        interceptors: Sequence[grpc.aio.ClientInterceptor] = (),
        hedge_after_s: float | None = None,
    ) -> None:
        """Connect to `target` on first use; the arguments are those of `ScoringClient`."""
        self._target = target
        self._timeout_s = timeout_s
        self._metadata = tuple(metadata)
        self._credentials = followed(credentials)
        self._interceptors = interceptors
        self._hedge_after_s = hedge_after_s
        self._loop: asyncio.AbstractEventLoop | None = None  # of the first use
        self._connections: AsyncioConnections[_Connection] | None = None

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
        if self._connections is not None:
            await self._connections.close()

    async def score(
        self,
        model: str,
        entities: Mapping[str, str],
        *,
        timeout_s: float | None = None,
        metadata: Metadata = (),
        **options: Unpack[ScoreOptions],
    ) -> ScoreAnswer:
        """Score one unit; see `ScoreOptions`.

        Raises:
            ScoringError: the call failed; see its subclasses.
            TypeError, ValueError: as `score_request`.
            RuntimeError: another event loop has used this client.
        """
        request = score_request(model, entities, **options)
        return ScoreAnswer(await self._call(lambda each: each.score, request, timeout_s, metadata))

    async def score_batch(
        self,
        model: str,
        candidates: Mapping[str, Features] | Sequence[str],
        *,
        timeout_s: float | None = None,
        metadata: Metadata = (),
        **options: Unpack[BatchOptions],
    ) -> BatchAnswer:
        """Score candidates in one call; see `BatchOptions`. Raises the errors of `score`."""
        request = batch_request(model, candidates, **options)
        return BatchAnswer(
            await self._call(lambda each: each.score_batch, request, timeout_s, metadata)
        )

    async def score_stream(
        self,
        requests: AsyncIterator[pb.ScoreRequest] | Iterable[pb.ScoreRequest],
        *,
        timeout_s: float | None = None,
        metadata: Metadata = (),
    ) -> AsyncIterator[StreamAnswer]:
        """Score `requests` as one stream; answers come in any order, by request id.

        If the router ends the call or is lost, unanswered requests are sent again on another call;
        each answer is returned once. `timeout_s` bounds the whole stream; with None it may stay open.
        Each request in it has the router's own deadline. The stream begins when the first answer is
        requested, and ends when the iterator is closed.

        Raises:
            ScoringError: a call failed and another would not help, or five consecutive calls
                failed or ended without an answer to a pending request.
        """
        stream = AsyncioStream(requests, new_request_id)
        sent = (*self._metadata, *metadata)
        try:
            async with aclosing(stream.answers(self._stub, timeout_s, sent)) as answers:
                async for answer in answers:
                    yield answer
        except grpc.RpcError as error:
            async with self._in_use() as connection:
                raise self._error_of(error, connection) from error

    async def explain(
        self,
        model: str,
        unit_key: str,
        *,
        timeout_s: float | None = None,
        metadata: Metadata = (),
    ) -> pb.ExplainAssignmentResponse:
        """Return which arm answers `unit_key`, and why, without scoring.

        Raises:
            ScoringError: the call failed.
        """
        request = pb.ExplainAssignmentRequest(model=model, unit_key=id_text(unit_key, "unit_key"))
        answer: pb.ExplainAssignmentResponse = await self._call(
            lambda each: each.stub.ExplainAssignment, request, timeout_s, metadata
        )
        return answer

    async def record_outcomes(
        self,
        model: str,
        labels: Mapping[str, float],
        *,
        observed_at: datetime | None = None,
        timeout_s: float = OUTCOMES_TIMEOUT_S,
        metadata: Metadata = (),
    ) -> int:
        """Report the ground truth (request id to label), all or none; return how many.

        `observed_at` is the time when it became known, by default now; without a zone it is in UTC.

        Raises:
            ScoringError: the call failed.
        """
        request = outcomes_request(model, labels, observed_at=observed_at)
        answer = await self._call(
            lambda each: each.stub.RecordOutcomes, request, timeout_s, metadata
        )
        accepted: int = answer.accepted
        return accepted

    async def _call(
        self,
        method: Callable[["_Connection"], Any],
        request: object,
        timeout_s: float | None,
        metadata: Metadata,
    ) -> Any:
        limit_s = self._timeout_s if timeout_s is None else timeout_s
        sent = (*self._metadata, *metadata)
        async with self._in_use() as connection:
            try:
                return await call_repeatedly_async(
                    method(connection), request, limit_s, metadata=sent
                )
            except grpc.RpcError as error:
                raise self._error_of(error, connection) from error

    @asynccontextmanager
    async def _stub(self) -> AsyncIterator[Any]:
        async with self._in_use() as connection:
            yield connection.stub

    def _in_use(self) -> AbstractAsyncContextManager["_Connection"]:
        """Return the connection of the running event loop, for one call.

        grpc.aio binds a channel to the loop of its creation, and outside of any loop to one that never
        runs. So the first use opens it: a client may be the global of a module.
        """
        loop = asyncio.get_running_loop()
        if self._connections is None:
            self._connections = AsyncioConnections(self._credentials, self._open)
            self._loop = loop
        if self._loop is not loop:
            raise RuntimeError(
                "another event loop has used this AsyncScoringClient; open a client in each loop"
            )
        return self._connections.in_use()

    def _error_of(self, failed: grpc.RpcError, connection: "_Connection") -> ScoringError:
        return error_of(
            failed,
            self._target,
            may_be_connected=lambda: (
                connection.channel.get_state() is grpc.ChannelConnectivity.READY
            ),
        )

    def _open(self, credentials: grpc.ChannelCredentials | None) -> "_Connection":
        channel = (
            grpc.aio.insecure_channel(
                self._target, CHANNEL_OPTIONS, interceptors=self._interceptors
            )
            if credentials is None
            else grpc.aio.secure_channel(
                self._target, credentials, CHANNEL_OPTIONS, interceptors=self._interceptors
            )
        )
        stub: Any = scoring_pb2_grpc.ScoringServiceStub(channel)
        score, score_batch = stub.Score, stub.ScoreBatch
        if self._hedge_after_s is not None:
            score = hedged_async(score, self._hedge_after_s)
            score_batch = hedged_async(score_batch, self._hedge_after_s)
        return _Connection(channel, stub, score, score_batch)


@dataclass(frozen=True, slots=True, eq=False)
class _Connection:
    """A channel and its methods, bound to one event loop."""

    channel: grpc.aio.Channel
    stub: Any
    score: Any  # hedged if the client is
    score_batch: Any
