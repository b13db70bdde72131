"""The client of the scoring service for threads; `AsyncScoringClient` is the same for asyncio.

    with ScoringClient("router:8400") as client:
        answer = client.score("fraud", {"user": "u1"}, features={"amount": 99.5})
        if answer.decision is Decision.BELOW:
            approve(answer.score, answer.served_by.version)

A client keeps one connection: open it once and share it. Every call has a deadline. Safe calls
are repeated, a few times, on UNAVAILABLE and on CANCELLED from the server (which a flooded server
returns for calls that it has not read), and on RESOURCE_EXHAUSTED if the server gives a time to
retry and the deadline allows it: without that time, the request itself is too large. Other
failures are raised at once, as the classes of `errors`.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from types import TracebackType
from typing import Any, Self, Unpack

import grpc

from understudy.client.answers import BatchAnswer, ScoreAnswer, StreamAnswer
from understudy.client.channels import (
    CHANNEL_OPTIONS,
    DEFAULT_TIMEOUT_S,
    OUTCOMES_TIMEOUT_S,
    Metadata,
    may_be_connected,
)
from understudy.client.connections import Credentials, ThreadedConnections, followed
from understudy.client.errors import ScoringError, error_of
from understudy.client.hedges import hedged
from understudy.client.repeats import call_repeatedly
from understudy.client.request_ids import new_request_id
from understudy.client.request_values import Features, id_text
from understudy.client.requests import (
    BatchOptions,
    ScoreOptions,
    batch_request,
    outcomes_request,
    score_request,
)
from understudy.client.threaded_stream import ThreadedStream
from understudy.scoring.v1 import scoring_pb2 as pb
from understudy.scoring.v1 import scoring_pb2_grpc

Interceptor = grpc.UnaryUnaryClientInterceptor | grpc.StreamStreamClientInterceptor


class ScoringClient:
    """A client for threads, which may share it. Close it, or use it in a `with` block."""

    def __init__(
        self,
        target: str,
        *,
        timeout_s: float = DEFAULT_TIMEOUT_S,
        credentials: Credentials | None = None,
        metadata: Metadata = (),
        interceptors: Sequence[Interceptor] = (),
        hedge_after_s: float | None = None,
    ) -> None:
        """Connect to `target` (host:port, or any name that gRPC resolves) on first use.

        Args:
            target: address of the router.
            timeout_s: bounds each call that has no limit of its own.
            credentials: of a connection with TLS; `TlsFiles` are followed: the call after their
                replacement goes over a new connection. None for plain text.
            metadata: sent with every call; names in lower case.
            interceptors: of gRPC, the first one outermost.
            hedge_after_s: sends Score and ScoreBatch once more if there is no answer after this
                time, and takes the earlier one. Both may be logged, under one request id. None:
                never.

        Raises:
            OSError, ValueError: the files cannot be used.
        """
        self._target = target
        self._timeout_s = timeout_s
        self._metadata = tuple(metadata)
        self._interceptors = interceptors
        self._hedge_after_s = hedge_after_s
        self._connections = ThreadedConnections(followed(credentials), self._open)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        self._connections.close()

    def score(
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
        """
        request = score_request(model, entities, **options)
        return ScoreAnswer(self._call(lambda each: each.score, request, timeout_s, metadata))

    def score_batch(
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
        return BatchAnswer(self._call(lambda each: each.score_batch, request, timeout_s, metadata))

    def score_stream(
        self,
        requests: Iterable[pb.ScoreRequest],
        *,
        timeout_s: float | None = None,
        metadata: Metadata = (),
    ) -> Iterator[StreamAnswer]:
        """Score `requests` as one stream; answers come in any order, by request id.

        If the router ends the call or is lost, unanswered requests are sent again on another call;
        each answer is returned once. `timeout_s` bounds the whole stream; with None it may stay open.
        Each request in it has the router's own deadline. The stream begins when the first answer is
        requested, and ends when the iterator is closed.

        Raises:
            ScoringError: a call failed and another would not help, or five consecutive calls
                failed or ended without an answer to a pending request.
        """
        stream = ThreadedStream(requests, new_request_id)
        try:
            yield from stream.answers(self._stub, timeout_s, (*self._metadata, *metadata))
        except grpc.RpcError as error:
            with self._connections.in_use() as connection:
                raise self._error_of(error, connection) from error

    def explain(
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
        answer: pb.ExplainAssignmentResponse = self._call(
            lambda each: each.stub.ExplainAssignment, request, timeout_s, metadata
        )
        return answer

    def record_outcomes(
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
        answer = self._call(lambda each: each.stub.RecordOutcomes, request, timeout_s, metadata)
        accepted: int = answer.accepted
        return accepted

    def _call(
        self,
        method: Callable[["_Connection"], Any],
        request: object,
        timeout_s: float | None,
        metadata: Metadata,
    ) -> Any:
        limit_s = self._timeout_s if timeout_s is None else timeout_s
        sent = (*self._metadata, *metadata)
        with self._connections.in_use() as connection:
            try:
                return call_repeatedly(method(connection), request, limit_s, metadata=sent)
            except grpc.RpcError as error:
                raise self._error_of(error, connection) from error

    @contextmanager
    def _stub(self) -> Iterator[Any]:
        with self._connections.in_use() as connection:
            yield connection.stub

    def _error_of(self, failed: grpc.RpcError, connection: "_Connection") -> ScoringError:
        channel = connection.channel
        return error_of(failed, self._target, may_be_connected=lambda: may_be_connected(channel))

    def _open(self, credentials: grpc.ChannelCredentials | None) -> "_Connection":
        channel = (
            grpc.insecure_channel(self._target, CHANNEL_OPTIONS)
            if credentials is None
            else grpc.secure_channel(self._target, credentials, CHANNEL_OPTIONS)
        )
        intercepted = grpc.intercept_channel(channel, *self._interceptors)
        stub: Any = scoring_pb2_grpc.ScoringServiceStub(intercepted)
        score, score_batch = stub.Score, stub.ScoreBatch
        if self._hedge_after_s is not None:
            score = hedged(score, self._hedge_after_s)
            score_batch = hedged(score_batch, self._hedge_after_s)
        return _Connection(channel, stub, score, score_batch)


@dataclass(frozen=True, slots=True, eq=False)
class _Connection:
    """A channel and its methods."""

    channel: grpc.Channel
    stub: Any
    score: Any  # hedged if the client is
    score_batch: Any
