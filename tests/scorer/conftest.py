"""Real scorer processes and hosts for tests."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from pathlib import Path

import grpc
import pytest

from tests.artifact.models import doubling_artifact, doubling_model
from tests.scorer.fake_registry import FakeRegistry
from tests.stack.waiting import until, while_progress
from understudy.registry.v1 import registry_pb2_grpc
from understudy.runtime.front.grpc_server import started
from understudy.runtime.supervision.probe import Probe, ProbeAnswer


class RunningProcess:
    """A child process of the test; killed at the end of the test in any case."""

    def __init__(self, process: asyncio.subprocess.Process, address: str = "") -> None:
        self.process = process
        self.address = address

    @property
    def pid(self) -> int:
        return self.process.pid

    async def until_ready(self) -> None:
        await self._until({ProbeAnswer.SERVING})

    async def until_answering(self) -> None:
        """Return once it answers probes, whether ready or still loading."""
        await self._until({ProbeAnswer.SERVING, ProbeAnswer.NOT_SERVING})

    async def _until(self, answers: set[ProbeAnswer]) -> None:
        probe = Probe(self.address)

        async def answers_so() -> bool:
            if self.process.returncode is not None:
                raise AssertionError(f"exited with {self.process.returncode}")
            return await probe.ask(1.0) in answers

        await until(answers_so)

    async def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        with suppress(ProcessLookupError):  # the test ended it, which has not been reported yet
            if self.process.returncode is None:
                os.kill(self.pid, number)
        try:
            return await while_progress(self.process.wait())
        finally:
            with suppress(ProcessLookupError):  # it did not end in time: fail the test and kill it
                if self.process.returncode is None:
                    os.kill(self.pid, signal.SIGKILL)


StartScorer = Callable[..., Awaitable[RunningProcess]]


@pytest.fixture
async def start_scorer(tmp_path: Path) -> AsyncIterator[StartScorer]:
    """Start `python -m scorer serve`; options by name, environment by upper-case name."""
    started: list[RunningProcess] = []

    async def start(
        artifact: Path, *arguments: str, wait: bool = True, name: str = "doubler", **env: str
    ) -> RunningProcess:
        address = f"unix:{tmp_path / f's{len(started)}.sock'}"
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "scorer", "serve", str(artifact)),
            *("--name", name, "--listen", address),
            *arguments,
            env={**os.environ, "SCORER_UNREADY_DELAY_S": "0", **env},
        )
        running = RunningProcess(process, address)
        started.append(running)
        if wait:
            await running.until_ready()
        return running

    yield start
    for running in started:
        await running.end(signal.SIGKILL)


@pytest.fixture
def artifact(tmp_path: Path) -> Path:
    return doubling_artifact(tmp_path / "artifact")


@pytest.fixture
async def registry() -> AsyncIterator[FakeRegistry]:
    fake = FakeRegistry()  # type: ignore[abstract]  # grpc answers other RPCs with UNIMPLEMENTED
    server = grpc.aio.server()
    registry_pb2_grpc.add_RegistryServiceServicer_to_server(fake, server)
    port = server.add_insecure_port("127.0.0.1:0")
    async with started(server):
        fake.address = f"127.0.0.1:{port}"
        yield fake


StartHost = Callable[..., Awaitable[RunningProcess]]


@pytest.fixture
async def start_host(registry: FakeRegistry, tmp_path: Path) -> AsyncIterator[StartHost]:
    """Start `python -m scorer host` on the fake registry; environment by upper-case name."""
    started: list[RunningProcess] = []

    async def start(*arguments: str, **env: str) -> RunningProcess:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "scorer", "host"),
            *("--registry", registry.address, "--dir", str(tmp_path / "host")),
            *arguments,
            env={
                **os.environ,
                "SCORER_HOST_LEAVE_DELAY_S": "0",
                "SCORER_HOST_PROBE_INTERVAL_S": "0.1",
                "SCORER_HOST_FIRST_BACK_OFF_S": "0.05",
                "SCORER_UNREADY_DELAY_S": "0",
                **env,
            },
        )
        running = RunningProcess(process)
        started.append(running)
        return running

    yield start
    for running in started:
        await running.end()


@pytest.fixture
def doubler(tmp_path: Path) -> Path:
    return doubling_model(tmp_path / "model.onnx")
