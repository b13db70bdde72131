"""Processes that serve the sample service on either front."""

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tests.runtime.front.samples import SERVICE
from understudy.runtime.free_port import free_port
from understudy.runtime.front.envoy_files import NOT_INSTALLED, find_envoy_files
from understudy.runtime.transport.settings import environment_of
from understudy.runtime.transport.transport import LOCAL, Transport

LIMIT_S = 120.0
_FOUND = find_envoy_files()
# A missing package is a faulty environment, and fails.
WITH_ENVOY = pytest.mark.skipif(
    isinstance(_FOUND, str) and _FOUND is not NOT_INSTALLED, reason=str(_FOUND)
)
FRONTS = ("grpc", pytest.param("envoy", marks=WITH_ENVOY))
ROOT = Path(__file__).parents[3]


@dataclass
class ServedFront:
    port: int
    folder: Path
    process: subprocess.Popen[bytes]

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def stop(self) -> int:
        """Send SIGTERM; return the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(LIMIT_S)


def start_front(
    kind: str,
    folder: Path,
    *,
    port: int | None = None,
    grace_s: float = 60.0,
    ending: str = "none",
    transport: Transport = LOCAL,
    **options: Any,
) -> ServedFront:
    """Start a process; `options` are those of `Popen`."""
    port = free_port() if port is None else port
    module = "tests.runtime.front.sample_worker"
    arguments = (kind, str(port), str(folder), str(grace_s), ending)
    command = (sys.executable, "-m", module, *arguments)
    environment = {**os.environ, **environment_of(transport, prefix="SAMPLE_")}
    chosen = {"cwd": ROOT, "env": environment, **options}
    return ServedFront(port, folder, subprocess.Popen(command, **chosen))


@contextmanager
def served_front(
    kind: str, *, grace_s: float = 60.0, trust: Transport = LOCAL, **options: Any
) -> Iterator[ServedFront]:
    """Serve until the end of the block, then stop; the process has drained with exit code 0.

    `trust`: to the process, to see that it serves.
    """
    with tempfile.TemporaryDirectory(prefix="understudy-front-") as folder:
        front = start_front(kind, Path(folder), grace_s=grace_s, **options)
        try:
            wait_until_serving(front.address, trust)
            yield front
            assert front.stop() == 0
        finally:
            front.process.kill()
            front.process.wait(LIMIT_S)


def wait_until_serving(address: str, transport: Transport = LOCAL) -> None:
    with transport.open_blocking_channel(address) as channel:
        stub: Any = health_pb2_grpc.HealthStub(channel)
        for answer in stub.Watch(
            health_pb2.HealthCheckRequest(), timeout=LIMIT_S, wait_for_ready=True
        ):
            if answer.status == health_pb2.HealthCheckResponse.SERVING:
                return


def unary(channel: grpc.Channel, method: str, **options: Any) -> Callable[[bytes], bytes]:
    """Return a function that calls `method` with bytes."""
    multi: Any = channel.unary_unary(f"/{SERVICE}/{method}")
    return lambda request: multi(request, **{"timeout": LIMIT_S, **options})
