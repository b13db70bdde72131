"""Scorers end with their host and on request, whatever their state."""

import os
import signal
from pathlib import Path

import pytest

from tests.artifact.models import endless_model
from tests.scorer.conftest import StartHost, StartScorer
from tests.scorer.fake_registry import FakeRegistry
from tests.scorer.test_host import all_ready, deployment
from tests.stack.waiting import until_gone
from understudy.domain.versions import VersionRef

pytestmark = pytest.mark.fault


async def test_no_scorer_outlives_a_killed_host(
    registry: FakeRegistry, start_host: StartHost, artifact: Path
) -> None:
    await registry.publish([registry.version(VersionRef("doubler", 1), artifact)], [deployment(1)])
    host = await start_host()
    (process,) = await registry.until_reported(all_ready(1))

    await host.end(signal.SIGKILL)

    await until_gone([process.pid])


async def test_no_hung_scorer_outlives_a_killed_host(
    registry: FakeRegistry, start_host: StartHost, artifact: Path
) -> None:
    await registry.publish([registry.version(VersionRef("doubler", 1), artifact)], [deployment(1)])
    host = await start_host()
    (process,) = await registry.until_reported(all_ready(1))
    os.kill(process.pid, signal.SIGSTOP)

    await host.end(signal.SIGKILL)

    await until_gone([process.pid])


async def test_a_scorer_that_loads_for_ever_ends_at_once_on_request(
    start_scorer: StartScorer, tmp_path: Path
) -> None:
    scorer = await start_scorer(endless_model(tmp_path / "model.onnx"), wait=False)
    await scorer.until_answering()

    assert await scorer.end(signal.SIGTERM) == 0
