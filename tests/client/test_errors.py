"""Failed calls of both clients: the class says who must act, the attributes hold the facts."""

import socket
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2, status_pb2

from tests.client.test_client import ScriptedService, served
from understudy.client import (
    AccessRefusedError,
    AsyncScoringClient,
    CannotConnectError,
    DeadlineExceededError,
    InvalidRequestError,
    NotFoundError,
    OverloadedError,
    RequestTooLargeError,
    ScoringClient,
    ScoringError,
    UnavailableError,
    Violation,
    error_in,
    score_request,
)
from understudy.scoring.v1 import scoring_pb2 as pb

Code = grpc.StatusCode
UNIT = {"user": "u1"}


async def by_threads(target: str, timeout_s: float) -> None:
    with ScoringClient(target, timeout_s=timeout_s) as client:
        client.score("fraud", UNIT)


async def by_asyncio(target: str, timeout_s: float) -> None:
    async with AsyncScoringClient(target, timeout_s=timeout_s) as client:
        await client.score("fraud", UNIT)


async def by_threads_streaming(target: str, timeout_s: float) -> None:
    with ScoringClient(target) as client:
        list(client.score_stream([score_request("fraud", UNIT)], timeout_s=timeout_s))


async def by_asyncio_streaming(target: str, timeout_s: float) -> None:
    async with AsyncScoringClient(target) as client:
        requests = [score_request("fraud", UNIT)]
        _ = [each async for each in client.score_stream(requests, timeout_s=timeout_s)]


Score = Callable[[str, float], Awaitable[None]]
every_client = pytest.mark.parametrize(
    "score", [by_threads, by_asyncio, by_threads_streaming, by_asyncio_streaming]
)
both_clients = pytest.mark.parametrize("score", [by_threads, by_asyncio])


def detailed(code: grpc.StatusCode, *details: Any) -> tuple[tuple[str, bytes], ...]:
    status = status_pb2.Status(code=code.value[0], message="scripted")
    for each in details:
        status.details.add().Pack(each)
    return (("grpc-status-details-bin", status.SerializeToString()),)


@every_client
@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (Code.INVALID_ARGUMENT, InvalidRequestError),
        (Code.NOT_FOUND, NotFoundError),
        (Code.PERMISSION_DENIED, AccessRefusedError),
        (Code.UNAUTHENTICATED, AccessRefusedError),
        (Code.RESOURCE_EXHAUSTED, RequestTooLargeError),  # a full server gives a time
        (Code.DEADLINE_EXCEEDED, DeadlineExceededError),
    ],
)
async def test_the_class_of_an_error_says_who_must_act(
    score: Score, status: grpc.StatusCode, kind: type[ScoringError]
) -> None:
    service = ScriptedService(status=status, failures=100)

    with served(service) as target, pytest.raises(grpc.RpcError) as failed:
        await score(target, 60.0)

    error = failed.value
    assert type(error) is kind
    assert (error.code(), error.details()) == (status, "scripted")


@both_clients
async def test_a_defect_of_the_server_has_no_class_of_its_own(score: Score) -> None:
    service = ScriptedService(status=Code.INTERNAL, failures=100)

    with served(service) as target, pytest.raises(ScoringError) as failed:
        await score(target, 60.0)

    assert type(failed.value) is ScoringError


@both_clients
async def test_the_facts_of_an_error_are_those_that_the_server_sent(score: Score) -> None:
    info = error_details_pb2.ErrorInfo(reason="INVALID_INPUT", metadata={"model": "fraud"})
    request = error_details_pb2.BadRequest()
    request.field_violations.add(field="features[amount]", description="read nan; accepted: finite")
    service = ScriptedService(
        status=Code.INVALID_ARGUMENT,
        failures=1,
        trailers=detailed(Code.INVALID_ARGUMENT, info, request),
    )

    with served(service) as target, pytest.raises(InvalidRequestError) as failed:
        await score(target, 60.0)

    error = failed.value
    assert error.violations == (Violation("features[amount]", "read nan; accepted: finite"),)
    assert (error.reason, error.facts) == ("INVALID_INPUT", {"model": "fraud"})
    assert str(error) == "INVALID_ARGUMENT: scripted"


@both_clients
async def test_a_full_server_may_also_give_its_time_in_the_details(score: Score) -> None:
    retry = error_details_pb2.RetryInfo()
    retry.retry_delay.FromMilliseconds(20)
    service = ScriptedService(
        status=Code.RESOURCE_EXHAUSTED,
        failures=2,
        trailers=detailed(Code.RESOURCE_EXHAUSTED, retry),
    )

    with served(service) as target:
        await score(target, 60.0)

    assert service.calls["Score"] == 3


@both_clients
async def test_a_full_server_beyond_the_deadline_tells_its_time(score: Score) -> None:
    service = ScriptedService(status=Code.RESOURCE_EXHAUSTED, failures=1, pushback_ms=7_200_000)

    with served(service) as target, pytest.raises(OverloadedError) as failed:
        await score(target, 60.0)

    assert failed.value.retry_after_s == 7_200


@pytest.fixture(params=["refuses", "is silent"])
def dead_target(request: pytest.FixtureRequest) -> Iterator[str]:
    """The address of a port without a listener, or of one that never answers."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        if request.param == "is silent":
            taken.listen()
        yield f"127.0.0.1:{taken.getsockname()[1]}"


@every_client
async def test_a_dead_router_reads_as_no_connection_and_names_its_address(
    score: Score, dead_target: str
) -> None:
    with pytest.raises(CannotConnectError, match=f"cannot connect to {dead_target}"):
        await score(dead_target, 0.3)


def test_a_deadline_with_a_connection_is_a_deadline() -> None:
    service = ScriptedService()

    with served(service) as target, ScoringClient(target, timeout_s=60.0) as client:
        client.score("fraud", UNIT)
        service.holds_answers = True
        with pytest.raises(DeadlineExceededError):
            client.score("fraud", UNIT, timeout_s=0.2)


async def test_a_deadline_with_a_connection_is_a_deadline_with_asyncio_too() -> None:
    service = ScriptedService()

    with served(service) as target:
        async with AsyncScoringClient(target, timeout_s=60.0) as client:
            await client.score("fraud", UNIT)
            service.holds_answers = True
            with pytest.raises(DeadlineExceededError):
                await client.score("fraud", UNIT, timeout_s=0.2)


@both_clients
async def test_a_router_that_cannot_answer_is_not_a_missing_connection(score: Score) -> None:
    service = ScriptedService(
        status=Code.UNAVAILABLE,
        failures=100,
        trailers=detailed(Code.UNAVAILABLE, error_details_pb2.ErrorInfo(reason="UNAVAILABLE")),
    )

    with served(service) as target, pytest.raises(UnavailableError) as failed:
        await score(target, 60.0)

    assert type(failed.value) is UnavailableError


def test_the_error_of_a_candidate_has_the_class_of_a_failed_call() -> None:
    violation = pb.FieldViolation(field="candidates[3].id", description="read ''")
    message = pb.Error(code=3, reason="INVALID_INPUT", field_violations=[violation])

    error = error_in(message)

    assert type(error) is InvalidRequestError
    assert error.violations == (Violation("candidates[3].id", "read ''"),)
    assert type(error_in(pb.Error(code=8, retry_after_ms=5))) is OverloadedError
