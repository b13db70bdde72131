"""Spans that router processes send to a collector, on both fronts."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import grpc
import pytest

from tests.router.router_process import PATIENT, USERS, ServedScorer, open_router_process
from tests.router.samples import MODEL, deployment
from tests.runtime.front.fronts import WITH_ENVOY
from tests.runtime.otlp_receiver import LIMIT_S, Collector, collecting
from understudy.domain.trace_context import TraceContext
from understudy.runtime.exit_codes import USAGE
from understudy.scoring.v1 import scoring_pb2 as pb
from understudy.scoring.v1 import scoring_pb2_grpc

ABSENT = "http://127.0.0.1:1"
CALLS = 10


def trace(number: int, *, flags: int = 1) -> TraceContext:
    return TraceContext(f"{number:032x}", f"{number:016x}", flags)


def set_all(monkeypatch: pytest.MonkeyPatch, variables: dict[str, str]) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)


async def score_each(root: Path, scorer: ServedScorer, front: str) -> list[pb.ScoreResponse]:
    """Return the answers of a router to `CALLS` sampled calls and as many others, then end it."""
    async with (
        open_router_process(root, deployment(), {1: [scorer]}, front=front, **PATIENT) as router,
        grpc.aio.insecure_channel(router.address) as channel,
    ):
        stub: Any = scoring_pb2_grpc.ScoringServiceStub(channel)
        answers = []
        for number, user in enumerate(USERS[:CALLS], 1):
            for sent in (trace(number), trace(number + CALLS, flags=0)):
                request = pb.ScoreRequest(model=MODEL, entities={"user": user})
                metadata = (("traceparent", sent.traceparent),)
                call = stub.Score(request, timeout=LIMIT_S, metadata=metadata)
                answers.append(await call)
        await router.stop()
    return answers


@pytest.mark.long
@pytest.mark.parametrize("front", ["grpc", pytest.param("envoy", marks=WITH_ENVOY)])
async def test_each_sampled_call_arrives_at_the_collector_when_the_router_has_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, front: str
) -> None:
    scorer = ServedScorer()
    with collecting() as collector:
        set_all(monkeypatch, collector.environment)
        answers = await score_each(tmp_path, scorer, front)

    assert len(answers) == 2 * CALLS
    spans = collector.spans["understudy-router"]
    calls = [span for span in spans if span.name == "call"]
    sampled = [trace(number) for number in range(1, CALLS + 1)]
    assert sorted(call.trace_id.hex() for call in calls) == [each.trace_id for each in sampled]
    assert {span.trace_id.hex() for span in spans} == {each.trace_id for each in sampled}
    told = {each.parent_id for each in scorer.traces if each is not None and each.is_sampled}
    assert told == {call.span_id.hex() for call in calls}
    stages = {span.name for span in spans} - {"call"}
    assert stages == {"admit", "queue", "fetch", "infer", "answer"}


@pytest.mark.long
async def test_an_absent_collector_costs_no_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_all(monkeypatch, {**Collector().environment, "OTEL_EXPORTER_OTLP_ENDPOINT": ABSENT})

    answers = await score_each(tmp_path, ServedScorer(), "grpc")

    assert [each.degradation.level for each in answers] == [pb.DEGRADATION_LEVEL_FULL] * 2 * CALLS


@pytest.mark.long
@pytest.mark.parametrize(
    "command",
    [
        ("router", "serve", "--features", "lmdb:nowhere", "--log-dir", "logs", "--state-dir", "r"),
        ("scorer", "serve", "nowhere", "--name", "a"),
        ("scorer", "host", "--dir", "d"),
    ],
)
def test_a_process_does_not_start_with_spans_that_would_go_nowhere(
    tmp_path: Path, command: tuple[str, ...]
) -> None:
    done = subprocess.run(
        [sys.executable, "-m", *command],
        cwd=tmp_path,
        env={**os.environ, "ROUTER_LOG_IDS": "unkeyed", "OTEL_TRACES_EXPORTER": "zipkin"},
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )

    assert done.returncode == USAGE
    assert "OTEL_TRACES_EXPORTER: read zipkin; accepted: otlp or none" in done.stderr
