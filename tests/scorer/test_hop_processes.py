"""A router's adapter and real scorer processes, over each hop: kills, hangs, drains and restarts under load."""

import asyncio
import os
import signal
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from router.adapters.open_oip_scorer import open_oip_scorer
from router.decisions.hop import Hop
from router.ports import ClosableScorer
from tests.router.samples import spec
from tests.scorer.conftest import RunningProcess, StartScorer
from understudy.artifact.artifact import describe_artifact
from understudy.domain.errors import DeadlinePassedError, UnavailableError
from understudy.domain.snapshots import VersionSpec
from understudy.domain.versions import ScoreOutput, TensorSpec, VersionRef, artifact_digest
from understudy.runtime.transport.transport import LOCAL

ROWS = (np.array([[0.25] * 3, [0.5] * 3], np.float32),)
LONG_S = 120.0
CALLERS = 8
pytestmark = [pytest.mark.fault, pytest.mark.parametrize("hop", Hop)]


@pytest.fixture
def version(artifact: Path) -> VersionSpec:
    _, files = describe_artifact(artifact)
    return replace(
        spec(1),
        ref=VersionRef("doubler", 1),
        artifact_digest=artifact_digest(files),
        inputs=(TensorSpec("X", "FP32", (-1, 3)),),
        outputs=(TensorSpec("Y", "FP32", (-1, 3)),),
        score_output=ScoreOutput("Y", 0),
    )


@asynccontextmanager
async def asked(
    process: RunningProcess, version: VersionSpec, hop: Hop
) -> AsyncIterator[ClosableScorer]:
    """Yield the scorer, which has answered that it is ready."""
    scorer = open_oip_scorer(process.address, None, LOCAL, hop)
    try:
        await scorer.require_ready(version.ref, version.artifact_digest, timeout_s=LONG_S)
        yield scorer
    finally:
        await scorer.close()


class Load:
    """Callers that ask one after the other, and the ends of their requests."""

    def __init__(self, scorer: ClosableScorer, version: VersionSpec) -> None:
        self._scorer = scorer
        self._version = version
        self.ends: Counter[str] = Counter()
        self.changed = asyncio.Event()
        self.is_back = asyncio.Event()  # the scorer; until then no caller asks again

    async def call_forever(self) -> None:
        while True:
            try:
                inferred = await self._scorer.infer(self._version, ROWS, timeout_s=LONG_S)
            except UnavailableError:
                self.ends["unavailable"] += 1
                self.changed.set()
                await self.is_back.wait()
            else:
                self.ends["ok" if inferred.scores.tolist() == [0.5, 1.0] else "wrong"] += 1
            self.changed.set()

    async def until_more_are_answered(self) -> None:
        await self.until("ok", self.ends["ok"] + 50)

    async def until(self, kind: str, count: int) -> None:
        while self.ends[kind] < count:
            self.changed.clear()
            await self.changed.wait()


@asynccontextmanager
async def under_load(scorer: ClosableScorer, version: VersionSpec) -> AsyncIterator[Load]:
    load = Load(scorer, version)
    callers = [asyncio.ensure_future(load.call_forever()) for _ in range(CALLERS)]
    try:
        async with asyncio.timeout(LONG_S):
            await load.until_more_are_answered()
            yield load
    finally:
        for each in callers:
            each.cancel()
        await asyncio.gather(*callers, return_exceptions=True)


async def test_a_killed_scorer_is_unavailable_until_it_is_back_over_the_same_hop(
    hop: Hop, start_scorer: StartScorer, artifact: Path, version: VersionSpec
) -> None:
    process = await start_scorer(artifact)
    async with asked(process, version, hop) as scorer, under_load(scorer, version) as load:
        await process.end(signal.SIGKILL)
        await load.until("unavailable", CALLERS)
        again = await start_scorer(artifact, "--listen", process.address, wait=False)
        again.address = process.address
        await again.until_ready()
        load.is_back.set()
        await load.until_more_are_answered()

        assert not load.ends["wrong"]
        assert scorer.hop is hop


async def test_a_drained_scorer_answers_all_it_has_read_and_a_restarted_one_the_rest(
    hop: Hop, start_scorer: StartScorer, artifact: Path, version: VersionSpec
) -> None:
    process = await start_scorer(artifact, SCORER_DRAIN_GRACE_S="600")
    async with asked(process, version, hop) as scorer, under_load(scorer, version) as load:
        assert await process.end(signal.SIGTERM) == 0
        again = await start_scorer(artifact, "--listen", process.address, wait=False)
        again.address = process.address
        await again.until_ready()
        load.is_back.set()
        await load.until_more_are_answered()

        assert not load.ends["wrong"]
        assert scorer.hop is hop


async def test_a_hung_scorer_costs_requests_their_time_and_answers_when_it_runs_again(
    hop: Hop, start_scorer: StartScorer, artifact: Path, version: VersionSpec
) -> None:
    process = await start_scorer(artifact)
    async with asked(process, version, hop) as scorer:
        await scorer.infer(version, ROWS, timeout_s=LONG_S)
        os.kill(process.pid, signal.SIGSTOP)
        try:
            late = [scorer.infer(version, ROWS, timeout_s=0.05) for _ in range(20)]
            ends = await asyncio.gather(*late, return_exceptions=True)
        finally:
            os.kill(process.pid, signal.SIGCONT)
        answers = [await scorer.infer(version, ROWS, timeout_s=LONG_S) for _ in range(20)]

    assert {type(end) for end in ends} == {DeadlinePassedError}
    assert all(each.scores.tolist() == [0.5, 1.0] for each in answers)
