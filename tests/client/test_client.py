"""The clients against a scripted server on loopback."""

import asyncio
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from time import monotonic
from typing import Any

import grpc
import pytest

from understudy.client.async_scoring_client import AsyncScoringClient
from understudy.client.requests import batch_request, outcomes_request, score_request
from understudy.client.scoring_client import ScoringClient
from understudy.scoring.v1 import scoring_pb2 as pb
from understudy.scoring.v1 import scoring_pb2_grpc

PUSHBACK_MS = 150


@dataclass
class ScriptedService(scoring_pb2_grpc.ScoringServiceServicer):
    """Fails a call as often as `failures` says, then echoes the request in its answer."""

    status: grpc.StatusCode = grpc.StatusCode.UNAVAILABLE
    failures: int = 0
    pushback_ms: int = 0
    trailers: tuple[tuple[str, bytes], ...] = ()  # of failed calls
    calls: Counter[str] = field(default_factory=Counter)
    scored: list[pb.ScoreRequest] = field(default_factory=list)
    batches: list[pb.ScoreBatchRequest] = field(default_factory=list)
    outcomes: list[pb.Outcome] = field(default_factory=list)
    peers: set[str] = field(default_factory=set)
    metadata: list[dict[str, Any]] = field(default_factory=list)
    seconds_left: list[float] = field(default_factory=list)
    entered_s: list[float] = field(default_factory=list)  # monotonic
    answer_may_go: threading.Event = field(default_factory=threading.Event)
    holds_answers: bool = False
    held: frozenset[int] = frozenset()  # numbers of Score calls whose answers are held
    counting: threading.Lock = field(default_factory=threading.Lock)

    def Score(self, request, context):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN201, N802
        self._enter("Score", context)
        self.scored.append(request)
        if self.holds_answers or self.calls["Score"] in self.held:
            self.answer_may_go.wait(120)
        return pb.ScoreResponse(request_id=request.request_id, score=0.25)

    def ScoreBatch(self, request, context):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN201, N802
        self._enter("ScoreBatch", context)
        self.batches.append(request)
        return pb.ScoreBatchResponse(
            request_id=request.request_id,
            results=[pb.CandidateResult(id=each.id, score=0.5) for each in request.candidates],
        )

    def ScoreStream(self, request_iterator, context):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN201, N802
        self._enter("ScoreStream", context)
        for request in request_iterator:
            asked = request.request
            response = pb.ScoreResponse(request_id=asked.request_id, score=0.75)
            yield pb.ScoreStreamResponse(request_id=asked.request_id, response=response)

    def ExplainAssignment(self, request, context):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN201, N802
        self._enter("ExplainAssignment", context)
        assigned = pb.ArmVersion(arm=pb.ARM_CHAMPION, version=3)
        return pb.ExplainAssignmentResponse(model=request.model, assigned=assigned)

    def RecordOutcomes(self, request, context):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN201, N802
        self._enter("RecordOutcomes", context)
        self.outcomes.extend(request.outcomes)
        return pb.RecordOutcomesResponse(accepted=len(request.outcomes))

    def _enter(self, name: str, context: grpc.ServicerContext) -> None:
        with self.counting:  # calls come on several threads
            self.calls[name] += 1
            number = self.calls[name]
        self.peers.add(context.peer())
        self.entered_s.append(monotonic())
        self.metadata.append(dict(context.invocation_metadata()))
        remaining_s = context.time_remaining()
        if remaining_s is not None:
            self.seconds_left.append(remaining_s)
        if number <= self.failures:
            if self.pushback_ms:
                pushback = (("grpc-retry-pushback-ms", str(self.pushback_ms)),)
                context.set_trailing_metadata(pushback)
            elif self.trailers:
                context.set_trailing_metadata(self.trailers)
            context.abort(self.status, "scripted")


Serve = Callable[[ScriptedService], str]


@contextmanager
def served(
    service: ScriptedService,
    *,
    options: Sequence[tuple[str, int]] = (),
    interceptors: Sequence[grpc.ServerInterceptor] = (),
    credentials: grpc.ServerCredentials | None = None,
) -> Iterator[str]:
    server = grpc.server(
        ThreadPoolExecutor(4),
        options=[("grpc.so_reuseport", 0), *options],
        interceptors=list(interceptors),
    )
    scoring_pb2_grpc.add_ScoringServiceServicer_to_server(service, server)
    port = (
        server.add_insecure_port("127.0.0.1:0")
        if credentials is None
        else server.add_secure_port("127.0.0.1:0", credentials)
    )
    server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        service.answer_may_go.set()
        server.stop(0).wait(60)


def test_a_score_carries_all_options() -> None:
    service = ScriptedService()

    with served(service) as target, ScoringClient(target) as client:
        answer = client.score(
            "fraud",
            {"user": "u1"},
            features={"amount": 9.5, "count": 3, "country": "NL", "is_new": True},
            request_id="r1",
            unit_key="k1",
            decision_threshold=0.4,
            outputs=("probabilities",),
            include_digests=True,
        )

    assert (answer.request_id, answer.score) == ("r1", 0.25)
    (asked,) = service.scored
    assert dict(asked.entities) == {"user": "u1"}
    assert asked.features["amount"].number == 9.5
    assert asked.features["count"].integer == 3
    assert asked.features["country"].text == "NL"
    assert asked.features["is_new"].WhichOneof("kind") == "flag"
    assert (asked.unit_key, asked.decision_threshold) == ("k1", 0.4)
    assert (list(asked.outputs), asked.include_digests) == (["probabilities"], True)


def test_options_that_are_not_given_are_not_sent() -> None:
    score = score_request("fraud", {"user": "u1"})
    batch = batch_request("rank", ["a"], candidate_entity="item")

    assert not score.HasField("decision_threshold")
    assert not score.HasField("unit_key")
    assert not batch.HasField("top_k")


def test_an_outcome_without_a_label_is_never_sent() -> None:
    labels: dict[str, Any] = {"r1": 0.0, "r2": None}

    with pytest.raises(ValueError, match=r"labels\['r2'\]: read None; accepted: a number"):
        outcomes_request("fraud", labels)


@pytest.fixture
def tokyo(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let the machine be in Tokyo."""
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "Asia/Tokyo")
        time.tzset()
        yield
    time.tzset()


@pytest.mark.usefixtures("tokyo")
def test_a_time_without_a_zone_is_in_utc_wherever_the_machine_is() -> None:
    when = datetime(2026, 3, 4, 5, 6, 7)  # noqa: DTZ001 - the case

    request = outcomes_request("m", {"r": 1.0}, observed_at=when)

    assert request.outcomes[0].observed_at.ToDatetime() == when


def test_calls_have_a_default_deadline_and_their_own_if_given() -> None:
    service = ScriptedService()

    with served(service) as target, ScoringClient(target, timeout_s=30.0) as client:
        client.score("fraud", {"user": "u1"})
        client.score("fraud", {"user": "u1"}, timeout_s=600.0)

    own_s, given_s = service.seconds_left
    assert 0 < own_s < 31.0  # the value on the wire is rounded up
    assert 400.0 < given_s < 602.0


def test_a_call_past_its_deadline_fails() -> None:
    service = ScriptedService(holds_answers=True)

    with (
        served(service) as target,
        ScoringClient(target) as client,
        pytest.raises(grpc.RpcError) as failure,
    ):
        client.score("fraud", {"user": "u1"}, timeout_s=0.2)

    assert failure.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED


@pytest.mark.parametrize(
    "status",
    [
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.CANCELLED,  # a flooded server's status for calls that it has not read
    ],
)
def test_a_refused_score_is_repeated_under_the_same_id(status: grpc.StatusCode) -> None:
    service = ScriptedService(status=status, failures=2)

    with served(service) as target, ScoringClient(target, timeout_s=60.0) as client:
        answer = client.score("fraud", {"user": "u1"})

    assert service.calls["Score"] == 3
    assert answer.request_id == service.scored[0].request_id


@pytest.mark.parametrize(
    "status",
    [
        grpc.StatusCode.INVALID_ARGUMENT,
        grpc.StatusCode.NOT_FOUND,
        grpc.StatusCode.FAILED_PRECONDITION,
        grpc.StatusCode.INTERNAL,
        grpc.StatusCode.RESOURCE_EXHAUSTED,  # without a pushback: the request is too large
    ],
)
def test_other_failures_are_not_repeated(status: grpc.StatusCode) -> None:
    service = ScriptedService(status=status, failures=1)

    with (
        served(service) as target,
        ScoringClient(target, timeout_s=60.0) as client,
        pytest.raises(grpc.RpcError) as failure,
    ):
        client.score("fraud", {"user": "u1"})

    assert failure.value.code() is status
    assert service.calls["Score"] == 1


def test_a_repeated_call_waits_as_long_as_the_server_says() -> None:
    service = ScriptedService(
        status=grpc.StatusCode.RESOURCE_EXHAUSTED, failures=1, pushback_ms=PUSHBACK_MS
    )

    with served(service) as target, ScoringClient(target, timeout_s=60.0) as client:
        client.score("fraud", {"user": "u1"})

    first_s, second_s = service.entered_s
    # A pushback is a lower bound that the client obeys; without it the wait is 10 ms.
    assert second_s - first_s >= PUSHBACK_MS / 1000 * 0.9


def test_outcomes_that_a_full_server_did_not_take_are_sent_again() -> None:
    service = ScriptedService(
        status=grpc.StatusCode.RESOURCE_EXHAUSTED, failures=1, pushback_ms=PUSHBACK_MS
    )

    with served(service) as target, ScoringClient(target, timeout_s=60.0) as client:
        accepted = client.record_outcomes("fraud", {"r1": 1.0}, timeout_s=60.0)

    assert accepted == 1
    assert service.calls["RecordOutcomes"] == 2


def test_outcomes_that_may_have_been_taken_are_not_sent_twice() -> None:
    service = ScriptedService(failures=1)

    with (
        served(service) as target,
        ScoringClient(target, timeout_s=60.0) as client,
        pytest.raises(grpc.RpcError),
    ):
        client.record_outcomes("fraud", {"r1": 1.0})

    assert service.calls["RecordOutcomes"] == 1


def test_outcomes_carry_label_and_time() -> None:
    service = ScriptedService()
    when = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)

    with served(service) as target, ScoringClient(target) as client:
        accepted = client.record_outcomes("fraud", {"r1": 1.0, "r2": 0.0}, observed_at=when)

    assert accepted == 2
    assert [(each.request_id, each.label) for each in service.outcomes] == [("r1", 1), ("r2", 0)]
    assert service.outcomes[0].observed_at.ToDatetime(tzinfo=UTC) == when


def test_a_batch_asks_for_each_candidate_with_its_own_features() -> None:
    service = ScriptedService()

    with served(service) as target, ScoringClient(target) as client:
        answer = client.score_batch(
            "rank",
            {"a": {"price": 1.5}, "b": {}},
            candidate_entity="item",
            entities={"user": "u1"},
            top_k=1,
            sort=True,
            decision_threshold=0.4,
            outputs=("why",),
            include_digests=True,
        )

    (asked,) = service.batches
    assert [result.id for result in answer.results] == ["a", "b"]
    assert asked.candidates[0].features["price"].number == 1.5
    assert (asked.candidate_entity, asked.top_k, asked.sort) == ("item", 1, True)
    assert (asked.decision_threshold, list(asked.outputs)) == (0.4, ["why"])
    assert asked.include_digests


def test_candidates_may_be_plain_ids() -> None:
    request = batch_request("rank", ["a", "b"], candidate_entity="item")

    assert [candidate.id for candidate in request.candidates] == ["a", "b"]


def test_a_stream_answers_every_request_by_its_id() -> None:
    requests = [score_request("fraud", {"user": f"u{index}"}) for index in range(20)]

    with served(ScriptedService()) as target, ScoringClient(target) as client:
        answers = list(client.score_stream(requests))

    assert {each.request_id for each in answers} == {each.request_id for each in requests}


def test_one_client_keeps_one_connection_and_two_have_two() -> None:
    service = ScriptedService()

    with served(service) as target, ScoringClient(target, timeout_s=60.0) as client:
        for _ in range(5):
            client.score("fraud", {"user": "u1"})
        assert len(service.peers) == 1
        with ScoringClient(target, timeout_s=60.0) as other:
            other.score("fraud", {"user": "u1"})

    assert len(service.peers) == 2


async def test_the_asyncio_client_does_the_same() -> None:
    service = ScriptedService(failures=1)

    async def requests() -> AsyncIterator[pb.ScoreRequest]:
        for index in range(3):
            yield score_request("fraud", {"user": f"u{index}"}, request_id=f"s{index}")

    with served(service) as target:
        async with AsyncScoringClient(target, timeout_s=60.0) as client:
            answers = await asyncio.gather(
                *(client.score("fraud", {"user": "u1"}, request_id=f"r{n}") for n in range(8))
            )
            batch = await client.score_batch("rank", ["a"], candidate_entity="item")
            explained = await client.explain("fraud", "u1")
            service.failures = 0
            accepted = await client.record_outcomes("fraud", {"r1": 1.0})
            streamed = [each.request_id async for each in client.score_stream(requests())]
            listed = [each async for each in client.score_stream([score_request("fraud", {})])]

    assert [answer.request_id for answer in answers] == [f"r{n}" for n in range(8)]
    assert [result.id for result in batch.results] == ["a"]
    assert (explained.assigned.version, accepted, len(listed)) == (3, 1, 1)
    assert sorted(streamed) == ["s0", "s1", "s2"]
    assert service.calls["Score"] == 9


async def test_a_stream_closed_early_ends_its_call() -> None:
    async def endless() -> AsyncIterator[pb.ScoreRequest]:
        while True:
            yield score_request("fraud", {"user": "u1"})
            await asyncio.sleep(0)

    with served(ScriptedService()) as target:
        async with AsyncScoringClient(target) as client:
            answers = client.score_stream(endless())
            first = await anext(answers)
            await answers.aclose()  # type: ignore[attr-defined] # an async generator

    assert first.response is not None
    assert first.response.score == 0.75
