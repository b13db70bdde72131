"""SIGTERM in a difficult state: an open breaker, an open stream, and a shadow far behind."""

import asyncio
import json
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import duckdb
import grpc
import pytest

from tests.router.router_process import USERS, RouterProcess, ServedScorer, open_router_process
from tests.router.samples import MODEL, deployment
from tests.runtime.front.fronts import FRONTS
from tests.stack.waiting import refuses_connections, until
from understudy.domain.deployments import Challenger, Shadow
from understudy.domain.errors import UnavailableError
from understudy.scoring.v1 import scoring_pb2 as pb
from understudy.scoring.v1 import scoring_pb2_grpc

pytestmark = [pytest.mark.fault, pytest.mark.slow]
CALLS = STREAMED = 24
PATIENT_S = 60.0


@pytest.mark.parametrize("front", FRONTS)
async def test_a_stop_loses_no_row_of_the_score_log_and_none_of_the_shadow_log(
    front: str, tmp_path: Path
) -> None:
    champion, challenger, shadow = ServedScorer(), ServedScorer(), ServedScorer()
    declared = deployment(challengers=(Challenger(2, 5_000),), shadows=(Shadow(3, 10_000),))
    async with (
        open_router_process(
            tmp_path,
            declared,
            {1: [champion], 2: [challenger], 3: [shadow]},
            front=front,
            default_deadline_s=PATIENT_S,  # for the messages of a stream
            largest_deadline_s=PATIENT_S,
            scorer_timeout_s=PATIENT_S,
            scorer_trip_after=1,  # its calls may come in one batch
            mirror_batch_rows=4,
            mirror_most_wait_s=PATIENT_S,
            mirror_timeout_s=PATIENT_S,
            termination_s=900.0,  # the mirrors have a part of it
        ) as router,
        grpc.aio.insecure_channel(router.address) as channel,  # retries nothing
    ):
        stub: Any = scoring_pb2_grpc.ScoringServiceStub(channel)
        challenger.fails = True
        shadow.hang_after(1)
        answers = await asyncio.gather(
            *(stub.Score(each, timeout=PATIENT_S) for each in requests("call", CALLS))
        )
        await until(lambda: breaker_is_open(router))
        champion.hang()  # so that the stream's messages are in flight at the signal
        stream = stub.ScoreStream()
        for each in requests("stream", STREAMED):
            await stream.write(pb.ScoreStreamRequest(request=each))
        await until(lambda: has_outstanding(router, STREAMED))
        await until(lambda: has_mirrored(router))
        mirrored_before = (await router.books()).mirrors[0]
        stopping = asyncio.ensure_future(router.stop())
        await until(lambda: refuses_connections(router.address))
        champion.resume()
        answers += [each.response async for each in stream]
        await until(lambda: has_closed_its_books(router))  # its last step before closing its queues
        shadow.resume()
        await stopping

    assert mirrored_before.in_flight > mirrored_before.ok > 0, "its queue was not under way"
    answered = Counter(each.request_id for each in answers)
    assert set(answered) == {each.request_id for each in expected()}
    assert set(answered.values()) == {1}
    assert logged(tmp_path, "score", "version") == {
        each.request_id: each.served_by.version for each in answers
    }
    assert logged(tmp_path, "shadow", "status") == dict.fromkeys(answered, "ok")


@pytest.mark.long
async def test_a_shadow_and_a_scorer_that_hang_do_not_take_the_time_of_the_logs(
    tmp_path: Path,
) -> None:
    champion, shadow = ServedScorer(), ServedScorer()
    async with (
        open_router_process(
            tmp_path,
            deployment(shadows=(Shadow(3, 10_000),)),
            {1: [champion], 3: [shadow]},
            default_deadline_s=PATIENT_S,
            scorer_timeout_s=PATIENT_S,
            largest_deadline_s=PATIENT_S,
            mirror_batch_rows=4,
            mirror_most_wait_s=PATIENT_S,
            mirror_timeout_s=PATIENT_S,
            drain_grace_s=0.3,
            termination_s=10.0,
        ) as router,
        grpc.aio.insecure_channel(router.address) as channel,
    ):
        stub: Any = scoring_pb2_grpc.ScoringServiceStub(channel)
        shadow.hang()
        answers = [await stub.Score(each, timeout=PATIENT_S) for each in requests("call", CALLS)]
        champion.hang()
        hung = stub.Score(next(iter(requests("hung", 1))), timeout=PATIENT_S)
        await until(lambda: has_outstanding(router, 1))

        await router.stop()

        assert await hung.code() is not grpc.StatusCode.OK
    answered = {each.request_id for each in answers}
    assert set(logged(tmp_path, "score", "version")) == answered
    mirrored = logged(tmp_path, "shadow", "status")
    ended = Counter(mirrored.values())
    assert set(ended) == {"timeout", "at_stop"}, (
        "the rows that the shadow had, and those that waited"
    )
    told = [json.loads(line) for line in told_by(tmp_path) if line.startswith("{")]
    (line,) = [each for each in told if each["event"] == "mirror_not_finished"]
    assert line["dropped_rows"] == ended["at_stop"] == CALLS - ended["timeout"]
    assert "stop_overran" not in {each["event"] for each in told}


def told_by(root: Path) -> list[str]:
    """Return the output of the router and its worker."""
    return [
        line for path in (root / "process-logs").iterdir() for line in path.read_text().splitlines()
    ]


def requests(kind: str, count: int) -> Iterable[pb.ScoreRequest]:
    return (
        pb.ScoreRequest(model=MODEL, entities={"user": user}, request_id=f"{kind}-{user}")
        for user in USERS[:count]
    )


def expected() -> Iterable[pb.ScoreRequest]:
    return (*requests("call", CALLS), *requests("stream", STREAMED))


async def breaker_is_open(router: RouterProcess) -> bool:
    return any(each.breaker_open for each in (await router.books()).scorers)


async def has_outstanding(router: RouterProcess, rows: int) -> bool:
    return (await router.books()).outstanding_rows == rows


async def has_mirrored(router: RouterProcess) -> bool:
    return (await router.books()).mirrors[0].ok > 0


async def has_closed_its_books(router: RouterProcess) -> bool:
    try:
        await router.books()
    except UnavailableError:
        return True
    return False


def logged(root: Path, kind: str, column: str) -> dict[str, object]:
    """Return a column of a log by request id, with one row each."""
    files = str(root / "logs" / kind / "**" / "*.parquet")
    rows = duckdb.execute(  # noqa: TID251 - not with the reader under test
        f"select request_id, {column} from read_parquet(?)",  # noqa: S608 - ours, not a caller's
        [files],
    ).fetchall()
    found = dict(rows)
    assert len(found) == len(rows), "a row is there twice"
    return found
