"""A router whose workers are inside Envoy: what callers, operators and its supervisor see."""

import os
import signal
from pathlib import Path
from typing import Any

import grpc
import psutil
import pytest

from router.settings import RouterSettings
from router.worker_environment import worker_environment
from tests.router.router_process import (
    PATIENT,
    USERS,
    ServedScorer,
    open_patient_traffic,
    open_router_process,
)
from tests.router.samples import MODEL, deployment
from tests.router.test_hung_workers import WaitForConnection, until_all_answer
from tests.runtime.front.fronts import WITH_ENVOY
from tests.stack.waiting import until, until_gone
from understudy.domain.deployments import Fallback
from understudy.domain.logged_ids import IdForm
from understudy.scoring.v1 import scoring_pb2 as pb
from understudy.scoring.v1 import scoring_pb2_grpc

PATIENT_S = 60.0
CALLS = 20
_SHARED_MEMORY = "/dev/shm"  # noqa: S108 - only listed: Envoy may leave files here


def workers() -> list[psutil.Process]:
    """Return the Envoy processes below this one."""
    return [
        each
        for each in psutil.Process().children(recursive=True)
        if each.status() != psutil.STATUS_ZOMBIE and each.name() == "envoy"
    ]


def asked(user: str) -> pb.ScoreRequest:
    return pb.ScoreRequest(model=MODEL, entities={"user": user})


@WITH_ENVOY
@pytest.mark.fault
async def test_a_worker_inside_envoy_answers_each_kind_of_call_and_is_restarted(
    tmp_path: Path,
) -> None:
    async with (
        open_router_process(
            tmp_path,
            deployment(),
            {1: [ServedScorer()]},
            front="envoy",
            default_deadline_s=PATIENT_S,
            largest_deadline_s=PATIENT_S,
        ) as router,
        grpc.aio.insecure_channel(router.address) as channel,
    ):
        stub: Any = scoring_pb2_grpc.ScoringServiceStub(channel)
        scored = [await stub.Score(asked(user), timeout=PATIENT_S) for user in USERS[:CALLS]]
        requests = [pb.ScoreStreamRequest(request=asked(user)) for user in USERS[:CALLS]]
        streamed = [each async for each in stub.ScoreStream(iter(requests), timeout=PATIENT_S)]
        candidates = [pb.Candidate(id=user) for user in USERS[:3]]
        batch = pb.ScoreBatchRequest(model=MODEL, candidate_entity="user", candidates=candidates)
        batched = await stub.ScoreBatch(batch, timeout=PATIENT_S)
        (worker,) = workers()
        books = await router.books()

        worker.kill()

        async def is_back() -> bool:
            return [each for each in workers() if each.pid != worker.pid] != []

        await until(is_back)
        after = await stub.Score(asked(USERS[0]), timeout=PATIENT_S, wait_for_ready=True)
        await router.stop()

    assert {each.served_by.version for each in (*scored, after)} == {1}
    assert {each.response.served_by.version for each in streamed} == {1}
    assert (len(streamed), len(batched.results)) == (CALLS, 3)
    assert sum(each.rows for each in books.answered) == 2 * CALLS + 3
    assert [name for name in os.listdir(_SHARED_MEMORY) if "envoy" in name] == []  # noqa: PTH208 - names
    assert workers() == []


@WITH_ENVOY
@pytest.mark.fault
@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP], ids=["killed", "hangs"])
@pytest.mark.parametrize(
    "fallback", [Fallback(), Fallback(constant_score=0.5)], ids=["without", "with"]
)
async def test_a_lost_worker_inside_envoy_is_replaced_while_the_other_answers(
    tmp_path: Path, fallback: Fallback, number: signal.Signals
) -> None:
    async with (
        open_router_process(
            tmp_path,
            deployment(fallback=fallback),
            {1: [ServedScorer()]},
            front="envoy",
            workers=2,
            **PATIENT,
        ) as router,
        open_patient_traffic(router, rate_per_s=50, interceptors=[WaitForConnection()]) as traffic,
    ):
        await traffic.until_ended(CALLS)
        await until_all_answer(router, 2)
        lost, well = workers()
        before = traffic.ended
        lost.send_signal(number)

        await until_gone([lost.pid])
        await until_all_answer(router, 2)
        ended = traffic.ended
        await traffic.until_ended(ended + CALLS)
        after = {each.pid for each in workers()}

    print(f"{len(traffic.failures)} of {ended - before}: {set(traffic.failures)}")  # noqa: T201 - the counts
    assert traffic.failures == []
    assert (well.pid in after, lost.pid in after) == (True, False)


def settings(**given: Any) -> RouterSettings:
    return RouterSettings(
        features="lmdb:/f",
        log_dir=Path("/l"),
        state_dir=Path("/s"),
        log_ids=IdForm.UNKEYED,
        **given,
    )


@pytest.mark.parametrize(
    ("front", "idle"),
    [("envoy", "listeners"), ("envoy", "most_unread_calls"), ("grpc", "most_open_calls")],
)
def test_a_setting_of_the_other_front_is_refused(front: str, idle: str) -> None:
    with pytest.raises(ValueError, match=f"{idle} would not act: front is {front}"):
        settings(front=front, **{idle: 20 if idle != "listeners" else 3})


def test_workers_get_the_settings_that_were_given_and_no_defaults() -> None:
    given = settings(front="auto", most_open_calls=20)

    environment = worker_environment(given)

    assert environment["ROUTER_MOST_OPEN_CALLS"] == "20"
    assert "ROUTER_LISTENERS" not in environment
