"""ScoringService over real gRPC: every RPC, and its errors for invalid input."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from structlog.testing import capture_logs

from router.decisions.priority import Priority
from router.decisions.row_limit import RowLimit
from router.edge.service import SERVICE
from tests.router.samples import MODEL
from tests.router.served import Served, open_served
from tests.router.world import until
from tests.virtual_time import skip, turns
from understudy.logs.batches import OutcomeBatchLog
from understudy.runtime.error_details import faults_in
from understudy.runtime.grpc_errors import PUSHBACK_KEY
from understudy.scoring.v1 import scoring_pb2 as pb


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    async with open_served() as each:
        yield each


def request(entity: str = "u7", **fields: Any) -> pb.ScoreRequest:
    return pb.ScoreRequest(model=MODEL, entities={"user": entity}, **fields)


def streamed(asked: pb.ScoreRequest) -> pb.ScoreStreamRequest:
    return pb.ScoreStreamRequest(request=asked)


async def status_of(call: Any) -> grpc.aio.AioRpcError:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return caught.value


async def test_a_score_names_the_answering_version_and_its_time(served: Served) -> None:
    answer = await served.stub.Score(request())

    assert answer.served_by.model == MODEL
    assert answer.served_by.revision == 7
    assert answer.served_by.version in {1, 2}
    assert answer.timing.batch_rows == 1
    assert answer.timing.total_us >= answer.timing.infer_us
    assert answer.score == pytest.approx(70 + answer.served_by.version / 1000)


async def test_a_request_without_id_gets_a_uuid7(served: Served) -> None:
    first = (await served.stub.Score(request())).request_id
    second = (await served.stub.Score(request())).request_id

    assert first != second
    assert (len(first), first[14], first[19] in "89ab") == (36, "7", True)


async def test_the_unit_key_sticks_to_an_arm_whatever_the_entity(served: Served) -> None:
    versions = {
        (await served.stub.Score(request(f"u{i}", unit_key="session-1"))).served_by.version
        for i in range(40)
    }

    assert len(versions) == 1


async def test_explain_agrees_with_score(served: Served) -> None:
    for index in range(30):
        explained = await served.stub.ExplainAssignment(
            pb.ExplainAssignmentRequest(model=MODEL, unit_key=f"u{index}")
        )
        scored = await served.stub.Score(request(f"u{index}"))

        assert (explained.assigned.arm, explained.assigned.version) == (
            scored.served_by.arm,
            scored.served_by.version,
        )
        assert [share.effective_bp for share in explained.shares] == [7_000, 3_000]


async def test_candidates_share_one_call(served: Served) -> None:
    answer = await served.stub.ScoreBatch(
        pb.ScoreBatchRequest(
            model=MODEL,
            candidate_entity="user",
            candidates=[pb.Candidate(id=f"u{index}") for index in range(60)],
            unit_key="page-1",
            sort=True,
            decision_threshold=1e9,
            outputs=["score"],
            include_digests=True,
        )
    )

    assert [result.id for result in answer.results] == [f"u{i}" for i in reversed(range(60))]
    assert {result.decision for result in answer.results} == {pb.DECISION_BELOW}
    assert all(list(r.outputs[0].values) == [r.score] for r in answer.results)
    assert answer.served_by.digests.artifact
    assert answer.timing.batch_rows == 60


async def test_a_stream_answers_every_request_by_its_id(served: Served) -> None:
    call = served.stub.ScoreStream()
    for index in range(300):
        await call.write(streamed(request(f"u{index}", request_id=f"s{index}")))
    await call.write(streamed(pb.ScoreRequest(model="nope", request_id="bad")))
    await call.done_writing()

    answers = {answer.request_id: answer async for answer in call}

    assert len(answers) == 301
    assert answers["bad"].error.code == grpc.StatusCode.NOT_FOUND.value[0]
    assert all(answers[f"s{i}"].response.score // 10 == i for i in range(300))


def outcomes(count: int) -> pb.RecordOutcomesRequest:
    return pb.RecordOutcomesRequest(
        outcomes=[pb.Outcome(request_id=f"r{i}", model=MODEL, label=i % 2) for i in range(count)]
    )


async def test_outcomes_that_the_log_has_no_room_for_are_refused_together() -> None:
    async with open_served(log=lambda _batch: False) as served:
        error = await status_of(served.stub.RecordOutcomes(outcomes(30)))

    assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert "took none of the 30 outcomes" in str(error.details())
    assert (PUSHBACK_KEY, "500") in tuple(error.trailing_metadata() or ())


async def test_a_large_call_with_faults_from_the_start_is_refused_before_it_is_counted(
    served: Served,
) -> None:
    unknown = pb.Candidate(id="u1", features={"unknown": pb.FeatureValue(number=1.0)})
    batch = pb.ScoreBatchRequest(
        model=MODEL, candidate_entity="user", candidates=[unknown] * 999
    ).SerializeToString()
    reported = pb.RecordOutcomesRequest(
        outcomes=[pb.Outcome(request_id=f"r{i}", model=MODEL) for i in range(2_000)]
    ).SerializeToString()
    no_message = b"\x0f"  # at the end, which is not reached

    for rpc, received, fault in (
        ("ScoreBatch", batch, "candidates[19].features[unknown]"),
        ("RecordOutcomes", reported, "outcomes[19].label"),
    ):
        call: Any = served.channel.unary_unary(f"/{SERVICE}/{rpc}")
        error = await status_of(call(received + no_message))

        assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
        *_, last = faults_in(error.trailing_metadata() or ())
        assert last.field == fault


REQUESTS: dict[str, Any] = {
    "Score": request("u1"),
    "ScoreBatch": pb.ScoreBatchRequest(
        model=MODEL, candidate_entity="user", candidates=[pb.Candidate(id="u1")]
    ),
    "ScoreStream": streamed(request("u1")),
    "ExplainAssignment": pb.ExplainAssignmentRequest(model=MODEL, unit_key="u"),
    "RecordOutcomes": outcomes(1),
}


@pytest.mark.parametrize("method", pb.DESCRIPTOR.services_by_name["ScoringService"].methods_by_name)
async def test_a_full_router_refuses_every_rpc_with_the_time_of_a_retry(
    served: Served, method: str
) -> None:
    served.world.gate.enter(1_000, Priority.LIVE)
    call = getattr(served.stub, method)
    if method == "ScoreStream":
        answer = await call(iter([REQUESTS[method]])).read()
        status, retry_after_ms = answer.error.code, answer.error.retry_after_ms
    else:
        error = await status_of(call(REQUESTS[method]))
        status = error.code().value[0]
        retry_after_ms = int(dict(error.trailing_metadata() or ())[PUSHBACK_KEY])
    served.world.gate.leave(1_000, Priority.LIVE)

    assert status == grpc.StatusCode.RESOURCE_EXHAUSTED.value[0]
    assert retry_after_ms > 0
    assert served.world.gate.outstanding_rows == 0
    assert served.world.logged == []


async def test_outcomes_enter_the_gate_with_all_their_rows(served: Served) -> None:
    gate = served.world.gate
    with gate.holding(700, Priority.LIVE, 0):  # one more row of outcomes has room, 625 do not
        error = await status_of(served.stub.RecordOutcomes(outcomes(10_000)))
        one = await served.stub.RecordOutcomes(outcomes(1))

    assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert one.accepted == 1
    assert gate.outstanding_rows == 0
    assert sum(len(batch.request_ids) for batch in served.world.logged) == 1


async def test_answered_and_refused_calls_leave_no_bytes_in_the_gate(served: Served) -> None:
    for method, asked in REQUESTS.items():
        call = getattr(served.stub, method)
        if method == "ScoreStream":
            _ = [answer async for answer in call(iter([asked, pb.ScoreStreamRequest()]))]
        else:
            await call(asked)
            with suppress(grpc.aio.AioRpcError):
                await call(type(asked)())

    assert (served.world.gate.outstanding_rows, served.world.gate.outstanding_bytes) == (0, 0)


async def test_outcomes_are_accepted_by_model(served: Served) -> None:
    answer = await served.stub.RecordOutcomes(
        pb.RecordOutcomesRequest(
            outcomes=[pb.Outcome(request_id=f"r{i}", model=MODEL, label=i % 2) for i in range(10)]
        )
    )

    batches = [batch for batch in served.world.logged if isinstance(batch, OutcomeBatchLog)]
    assert answer.accepted == 10
    assert batches[0].labels.tolist() == [i % 2 for i in range(10)]


@pytest.mark.parametrize(
    ("bad", "status", "named"),
    [
        (pb.ScoreRequest(), "INVALID_ARGUMENT", "model"),
        (pb.ScoreRequest(model="nope", entities={"user": "u1"}), "NOT_FOUND", "nope"),
        (pb.ScoreRequest(model=MODEL), "INVALID_ARGUMENT", "entities[user]"),
        (
            pb.ScoreRequest(model=MODEL, entities={"shop": "s1", "user": "u1"}),
            "INVALID_ARGUMENT",
            "entities[shop]",
        ),
        (pb.ScoreRequest(model=MODEL, entities={"user": ""}), "INVALID_ARGUMENT", "entities[user]"),
        (
            pb.ScoreRequest(model=MODEL, entities={"user": "x" * 10_000}),
            "INVALID_ARGUMENT",
            "10000 characters",
        ),
        (request(features={"nope": pb.FeatureValue(number=1)}), "INVALID_ARGUMENT", "nope"),
        (request(features={"amount": pb.FeatureValue()}), "INVALID_ARGUMENT", "amount"),
        (request(features={"amount": pb.FeatureValue(text="1")}), "INVALID_ARGUMENT", "amount"),
        (
            request(features={"amount": pb.FeatureValue(number=float("nan"))}),
            "INVALID_ARGUMENT",
            "amount",
        ),
        (
            request(features={"amount": pb.FeatureValue(number=float("inf"))}),
            "INVALID_ARGUMENT",
            "amount",
        ),
        (request(decision_threshold=float("nan")), "INVALID_ARGUMENT", "decision_threshold"),
        (request(outputs=["nope"]), "INVALID_ARGUMENT", "outputs"),
        (request(request_id="x" * 300), "INVALID_ARGUMENT", "request_id"),
        (request(request_id=""), "INVALID_ARGUMENT", "request_id"),
        (request(unit_key=""), "INVALID_ARGUMENT", "unit_key"),
        (
            request(features={f"f{i}": pb.FeatureValue(number=1) for i in range(5_000)}),
            "INVALID_ARGUMENT",
            "features: read more than 4096",
        ),
        (request(outputs=["score"] * 1_000), "INVALID_ARGUMENT", "1000 entries"),
        (request(features={"x": pb.FeatureValue(text="y" * 100_000)}), "INVALID_ARGUMENT", "x"),
        (pb.ScoreRequest(model="m" * 60_000), "NOT_FOUND", "mmm"),
    ],
)
async def test_bad_input_is_refused_by_name(
    served: Served, bad: pb.ScoreRequest, status: str, named: str
) -> None:
    error = await status_of(served.stub.Score(bad))

    assert error.code().name == status
    assert named in (error.details() or "")
    assert len(error.details() or "") < 10_000, "what a caller sends must not come back at length"


@pytest.mark.parametrize(
    ("bad", "named"),
    [
        (pb.ScoreBatchRequest(model=MODEL, candidate_entity="user"), "candidates"),
        (
            pb.ScoreBatchRequest(
                model=MODEL,
                candidate_entity="user",
                candidates=[pb.Candidate(id="u1")] * 100_000,
            ),
            "candidates: read more than 1000; accepted: at most 1000",
        ),
        (
            pb.ScoreBatchRequest(
                model=MODEL, candidate_entity="shop", candidates=[pb.Candidate(id="u1")]
            ),
            "candidate_entity",
        ),
        (
            pb.ScoreBatchRequest(
                model=MODEL, candidate_entity="user", candidates=[pb.Candidate(id="")]
            ),
            "candidates[0].id",
        ),
        (
            pb.ScoreBatchRequest(
                model=MODEL, candidate_entity="user", candidates=[pb.Candidate(id="u1")], top_k=0
            ),
            "top_k",
        ),
    ],
)
async def test_bad_candidates_are_refused_by_name(
    served: Served, bad: pb.ScoreBatchRequest, named: str
) -> None:
    error = await status_of(served.stub.ScoreBatch(bad))

    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert named in (error.details() or "")


@pytest.mark.parametrize(
    ("bad", "code"),
    [
        (pb.Outcome(request_id="r", model="made-up", label=1), grpc.StatusCode.NOT_FOUND),
        (pb.Outcome(request_id="r" * 300, model=MODEL), grpc.StatusCode.INVALID_ARGUMENT),
        (pb.Outcome(request_id="", model=MODEL), grpc.StatusCode.INVALID_ARGUMENT),
        (
            pb.Outcome(request_id="r", model=MODEL, observed_at=Timestamp(seconds=10**18)),
            grpc.StatusCode.INVALID_ARGUMENT,
        ),
        (
            pb.Outcome(request_id="r", model=MODEL, observed_at=Timestamp(seconds=-1)),
            grpc.StatusCode.INVALID_ARGUMENT,
        ),
        (
            pb.Outcome(request_id="r", model=MODEL, observed_at=Timestamp(nanos=2 * 10**9)),
            grpc.StatusCode.INVALID_ARGUMENT,
        ),
        (
            pb.Outcome(request_id="r", model=MODEL, observed_at=Timestamp(nanos=-5)),
            grpc.StatusCode.INVALID_ARGUMENT,
        ),
    ],
)
async def test_bad_outcomes_open_no_files(
    served: Served, bad: pb.Outcome, code: grpc.StatusCode
) -> None:
    good = pb.Outcome(request_id="r1", model=MODEL, label=1)

    error = await status_of(
        served.stub.RecordOutcomes(pb.RecordOutcomesRequest(outcomes=[good, bad]))
    )

    assert error.code() is code
    if bad.HasField("observed_at"):
        assert "outcomes[1].observed_at." in (error.details() or "")
    assert served.world.logged == []


async def test_an_outcome_without_a_label_is_refused_by_the_fields_name(served: Served) -> None:
    outcomes = [
        pb.Outcome(request_id="r1", model=MODEL, label=0.0),
        pb.Outcome(request_id="r2", model=MODEL),
    ]

    error = await status_of(served.stub.RecordOutcomes(pb.RecordOutcomesRequest(outcomes=outcomes)))

    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert error.details() == "outcomes[1].label: read nothing; accepted: a finite number"
    assert served.world.logged == []


async def test_a_request_id_twice_is_answered_twice(served: Served) -> None:
    answers = [await served.stub.Score(request(request_id="same")) for _ in range(2)]

    assert [answer.request_id for answer in answers] == ["same", "same"]


async def test_bytes_that_are_not_a_request_never_reach_the_model(served: Served) -> None:
    raw: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = served.channel.unary_unary(
        "/understudy.scoring.v1.ScoringService/Score"
    )

    # Field 1 (model) with bytes that are not UTF-8; then bytes that are no protobuf at all.
    for garbage in (b"\x0a\x02\xff\xfe", b"\xff\xff\xff"):
        error = await status_of(raw(garbage))
        assert error.code() is grpc.StatusCode.INVALID_ARGUMENT

    assert sum(served.world.counters.rows.values()) == 0


async def test_a_full_router_refuses_at_once_with_a_time_to_retry(served: Served) -> None:
    served.world.gate.enter(100_000, Priority.LIVE)

    error = await status_of(served.stub.Score(request()))

    assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert int(dict(error.trailing_metadata() or ())[PUSHBACK_KEY]) > 0
    for method in (
        "Score",
        "ScoreBatch",
    ):  # unreadable bytes, which a full router does not try to read
        raw: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = served.channel.unary_unary(
            f"/{SERVICE}/{method}"
        )
        refused = await status_of(raw(b"\xff\xff\xff"))
        assert refused.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


@pytest.mark.stopped_clock
async def test_refusals_of_a_second_are_logged_in_one_line(served: Served) -> None:
    with capture_logs() as written:
        for _ in range(3):
            await status_of(served.stub.Score(pb.ScoreRequest()))
        await status_of(served.stub.ScoreBatch(pb.ScoreBatchRequest(model="nope")))
        assert written == []
        skip(1.0)
        await turns()

    (line,) = written
    assert (line["event"], line["InvalidInputError"], line["NotFoundError"]) == (
        "calls_refused",
        3,
        1,
    )


async def test_a_disconnected_caller_leaves_nothing_behind(served: Served) -> None:
    scorer = served.world.scorers["one"]
    call = served.stub.Score(request(unit_key="u1"))
    await scorer.entered.wait() if scorer.release else None

    call.cancel()
    follow_up = await served.stub.Score(request())

    assert follow_up.score > 0
    assert served.world.gate.outstanding_rows == 0


async def test_the_limit_grows_when_it_is_in_use_and_queues_are_short(served: Served) -> None:
    gate = served.world.gate
    gate.limit = RowLimit(gate.limit.policy, 59.5)

    scorers = [served.world.scorers[name] for name in ("one", "two")]
    for scorer in scorers:
        scorer.release = asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        for index in range(30):
            tasks.create_task(_scored(served, f"u{index}"))
        await until(lambda: gate.outstanding_rows == 30)
        for scorer in scorers:
            assert scorer.release is not None
            scorer.release.set()

    # The callers have disconnected when answers are counted: the earlier number counts.
    assert gate.limit.rows > 59.5


async def _scored(served: Served, entity: str) -> None:
    await served.stub.Score(request(entity))
