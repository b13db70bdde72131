"""Clients of the scoring service: one for threads, one for asyncio. Needs only grpcio and the stubs.

    with ScoringClient("router:8400") as client:
        answer = client.score("fraud", {"user": "u1"}, features={"amount": 99.5})
        if answer.decision is Decision.BELOW:
            approve(answer.score, answer.served_by.version)

A client keeps one connection: open it once and share it. Every call has a deadline. Safe calls
are repeated, a few times, on UNAVAILABLE and on CANCELLED from the server (which a flooded server
returns for calls that it has not read), and on RESOURCE_EXHAUSTED if the server gives a time to
retry (`grpc-retry-pushback-ms`) and the deadline allows it: without that time, the request itself
is too large. Other failures are raised at once as `grpc.RpcError`.
"""

import json
from collections.abc import (
    AsyncIterator,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
)
from datetime import UTC, datetime
from types import TracebackType
from typing import Required, Self, TypedDict, Unpack

import grpc
from google.protobuf.timestamp_pb2 import Timestamp

from understudy.client.answers import ScoreAnswer, StreamAnswer
from understudy.client.repeats import MOST_ATTEMPTS, call_repeatedly, call_repeatedly_async
from understudy.client.request_ids import new_request_id
from understudy.client.request_values import (
    Features,
    check_ids,
    feature_values,
    id_text,
    id_texts,
    optional_id,
)
from understudy.client.streams import AsyncioStream, ThreadedStream
from understudy.scoring.v1 import scoring_pb2 as pb
from understudy.scoring.v1 import scoring_pb2_grpc

DEFAULT_TIMEOUT_S = 0.5  # the router spends it on fetch, queue and model
OUTCOMES_TIMEOUT_S = 5.0

_SERVICE = "understudy.scoring.v1.ScoringService"
_REPEATABLE = ("Score", "ScoreBatch", "ExplainAssignment")  # outcomes would be logged twice
_SERVICE_CONFIG = {
    "loadBalancingConfig": [{"round_robin": {}}],
    "methodConfig": [
        {
            "name": [{"service": _SERVICE, "method": method} for method in _REPEATABLE],
            "retryPolicy": {
                "maxAttempts": MOST_ATTEMPTS,
                "initialBackoff": "0.05s",
                "maxBackoff": "0.4s",
                "backoffMultiplier": 2,
                # A call cancelled by its own caller is not repeated: it ends at once. Nor is
                # RESOURCE_EXHAUSTED: gRPC would repeat requests that are too large, see `repeats`.
                "retryableStatusCodes": ["UNAVAILABLE", "CANCELLED"],
            },
        }
    ],
    # If most calls fail, repeating them makes it worse: stop until they succeed again.
    "retryThrottling": {"maxTokens": 100, "tokenRatio": 0.2},
}
_CHANNEL_OPTIONS = (
    ("grpc.service_config", json.dumps(_SERVICE_CONFIG)),
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    # grpcio 1.85 also applies this limit, a minute by default, to keep-alive pings.
    ("grpc.http2.ping_timeout_ms", 5_000),
    ("grpc.initial_reconnect_backoff_ms", 50),
    ("grpc.max_reconnect_backoff_ms", 5_000),
    # Two clients have two connections, so that they can reach two workers of one port.
    ("grpc.use_local_subchannel_pool", 1),
)


class ScoreOptions(TypedDict, total=False):
    """Optional parts of a request, besides model and entities."""

    features: Features  # request-time features by name; they override stored ones
    request_id: str  # joins answer, logs and outcome; by default a new UUIDv7
    unit_key: str  # the key that sticks to an arm; by default the first entity id
    decision_threshold: float  # overrides the deployment's
    outputs: Sequence[str]  # names of model outputs to return besides the score
    include_digests: bool  # digests of artifact, provenance and deployment


class BatchOptions(TypedDict, total=False):
    """Optional parts of a batch request, besides model and candidates."""

    candidate_entity: Required[str]  # the entity type of the candidates
    entities: Mapping[str, str]  # shared by all candidates
    features: Features  # shared by all candidates; a candidate's own features override them
    request_id: str
    unit_key: str
    top_k: int  # number of best candidates to keep, at least 1; by default all
    sort: bool  # by score, descending


def score_request(
    model: str, entities: Mapping[str, str], **options: Unpack[ScoreOptions]
) -> pb.ScoreRequest:
    """Return the request for one score.

    Args:
        model: name of the deployment, e.g. "fraud".
        entities: entity type to entity id, e.g. {"user": "u1"}.
        **options: see `ScoreOptions`.

    Raises:
        TypeError: an id is not a string, or a feature is not a number, boolean or string.
        ValueError: an integer needs more than 64 bits.
    """
    return pb.ScoreRequest(
        model=model,
        entities=id_texts(entities, "entities"),
        features=feature_values(options.get("features", {})),
        request_id=_request_id(options.get("request_id")),
        unit_key=optional_id(options.get("unit_key"), "unit_key"),
        decision_threshold=options.get("decision_threshold"),
        outputs=options.get("outputs", ()),
        include_digests=options.get("include_digests", False),
    )


def batch_request(
    model: str,
    candidates: Mapping[str, Features] | Sequence[str],
    **options: Unpack[BatchOptions],
) -> pb.ScoreBatchRequest:
    """Return the request for the scores of candidates.

    Args:
        model: name of the deployment.
        candidates: entity ids, or a mapping from entity id to the candidate's own features.
        **options: see `BatchOptions`.

    Raises:
        The errors of `score_request`.
    """
    own: Mapping[str, Features] = (
        candidates if isinstance(candidates, Mapping) else {name: {} for name in candidates}
    )
    return pb.ScoreBatchRequest(
        model=model,
        entities=id_texts(options.get("entities", {}), "entities"),
        features=feature_values(options.get("features", {})),
        request_id=_request_id(options.get("request_id")),
        unit_key=optional_id(options.get("unit_key"), "unit_key"),
        candidate_entity=options["candidate_entity"],
        candidates=[
            pb.Candidate(
                id=id_text(name, "candidates"),
                features=feature_values(values, f"candidates[{name!r}]"),
            )
            for name, values in own.items()
        ],
        top_k=options.get("top_k"),
        sort=options.get("sort", False),
    )


def outcomes_request(
    model: str, labels: Mapping[str, float], *, observed_at: datetime | None = None
) -> pb.RecordOutcomesRequest:
    """Return the request that reports outcomes; see `ScoringClient.record_outcomes`.

    Raises:
        TypeError: a request id is not a string.
        ValueError: a request has no label.
    """
    check_ids(labels, "request id in labels")
    when = Timestamp()
    when.FromDatetime((observed_at or datetime.now(UTC)).astimezone(UTC))
    outcomes = [
        pb.Outcome(
            model=model,
            request_id=request_id,
            label=_label(label, request_id),
            observed_at=when,
        )
        for request_id, label in labels.items()
    ]
    return pb.RecordOutcomesRequest(outcomes=outcomes)


class ScoringClient:
    """A client for threads, which may share it. Close it, or use it in a `with` block."""

    def __init__(self, target: str, *, timeout_s: float = DEFAULT_TIMEOUT_S) -> None:
        """Connect to `target` (host:port) on first use; `timeout_s` bounds each call."""
        self._channel = grpc.insecure_channel(target, options=_CHANNEL_OPTIONS)
        self._stub = scoring_pb2_grpc.ScoringServiceStub(self._channel)
        self._timeout_s = timeout_s

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
        self._channel.close()

    def score(
        self,
        model: str,
        entities: Mapping[str, str],
        *,
        timeout_s: float | None = None,
        **options: Unpack[ScoreOptions],
    ) -> ScoreAnswer:
        """Score one unit; see `ScoreOptions`."""
        request = score_request(model, entities, **options)
        return ScoreAnswer(call_repeatedly(self._stub.Score, request, timeout_s or self._timeout_s))

    def score_batch(
        self,
        model: str,
        candidates: Mapping[str, Features] | Sequence[str],
        *,
        timeout_s: float | None = None,
        **options: Unpack[BatchOptions],
    ) -> pb.ScoreBatchResponse:
        """Score candidates in one call; see `BatchOptions`."""
        request = batch_request(model, candidates, **options)
        return call_repeatedly(self._stub.ScoreBatch, request, timeout_s or self._timeout_s)

    def score_stream(
        self, requests: Iterable[pb.ScoreRequest], *, timeout_s: float | None = None
    ) -> Iterator[StreamAnswer]:
        """Score `requests` as one stream; answers come in any order, by request id.

        If the router ends the call or is lost, unanswered requests are sent again on another call;
        each answer is returned once. `timeout_s` bounds the whole stream; with None it may stay open.
        Each request in it has the router's own deadline. The stream begins when the first answer is
        requested, and ends when the iterator is closed.
        """
        return ThreadedStream(requests, new_request_id).answers(self._stub, timeout_s)

    def explain(
        self, model: str, unit_key: str, *, timeout_s: float | None = None
    ) -> pb.ExplainAssignmentResponse:
        """Return which arm answers `unit_key`, and why, without scoring."""
        return self._stub.ExplainAssignment(
            pb.ExplainAssignmentRequest(model=model, unit_key=id_text(unit_key, "unit_key")),
            timeout=timeout_s or self._timeout_s,
        )

    def record_outcomes(
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
        return call_repeatedly(self._stub.RecordOutcomes, request, timeout_s).accepted


class AsyncScoringClient:
    """A client for asyncio, bound to one event loop. Close it, or use it in an `async with` block."""

    def __init__(self, target: str, *, timeout_s: float = DEFAULT_TIMEOUT_S) -> None:
        """Connect to `target` (host:port) on first use; `timeout_s` bounds each call."""
        self._channel = grpc.aio.insecure_channel(target, options=_CHANNEL_OPTIONS)
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


def _request_id(given: str | None) -> str:
    """Return an id for the call, generated here so that it stays the same if the call is repeated."""
    return new_request_id() if given is None else id_text(given, "request_id")


def _label(label: float | None, request_id: str) -> float:
    # None would become a message without a label, which the server refuses, far from the cause.
    if label is None:
        raise ValueError(f"labels[{request_id!r}]: read None; accepted: a number")
    return label
