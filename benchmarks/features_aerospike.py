"""The Aerospike server that benchmarks read from: a real one if configured, else the test node.

UNDERSTUDY_TEST_AEROSPIKE=host:port/namespace names a real server; benchmarks then use that
namespace. UNDERSTUDY_TEST_AEROSPIKE_PID is its process on this machine: setting it allows a
benchmark to stop (SIGSTOP) and continue that server.
"""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from understudy.domain.errors import UnavailableError
from understudy.features.ports import InspectableStore
from understudy.features.stores import open_store
from understudy.runtime.free_port import free_port
from understudy.runtime.supervision.supervisor import ProcessSpec, Supervisor

_ADDRESS = "UNDERSTUDY_TEST_AEROSPIKE"
_PID = "UNDERSTUDY_TEST_AEROSPIKE_PID"
_NODE = "aerospike-node"
_START_LIMIT_S = 10.0


@dataclass(frozen=True, slots=True)
class MeasuredServer:
    url: str
    is_real: bool
    pid: int | None  # the process that may be stopped for a while; None if there is none

    @property
    def title(self) -> str:
        return "aerospike server" if self.is_real else "aerospike test node"


@asynccontextmanager
async def open_aerospike(folder: Path) -> AsyncIterator[MeasuredServer]:
    """Yield the server to measure; a test node gets longer limits."""
    if real := os.environ.get(_ADDRESS):
        yield MeasuredServer(f"aerospike://{real}", is_real=True, pid=None)
        return
    async with _open_test_node(folder) as server:
        yield server


@asynccontextmanager
async def open_stoppable_aerospike(folder: Path) -> AsyncIterator[MeasuredServer]:
    """Yield a server whose process may be stopped; the client's own time limits stay in force."""
    real, pid = os.environ.get(_ADDRESS), os.environ.get(_PID)
    if real and pid:
        yield MeasuredServer(f"aerospike://{real}", is_real=True, pid=int(pid))
        return
    async with _open_test_node(folder) as server:
        yield server


@asynccontextmanager
async def _open_test_node(folder: Path) -> AsyncIterator[MeasuredServer]:
    """Start the test node in a separate process and wait until it answers."""
    port = free_port()
    async with Supervisor(folder / "process-logs") as supervisor:
        arguments = ("-m", "tests.features.aerospike_node", "--port", str(port))
        await supervisor.start(ProcessSpec(_NODE, arguments, health_target=None))
        url = f"aerospike://127.0.0.1:{port}/features"
        store = open_store(url)
        try:
            async with asyncio.timeout(_START_LIMIT_S):
                await _until_answered(store)
        finally:
            await store.close()
        yield MeasuredServer(url, is_real=False, pid=supervisor.pids()[_NODE])


async def _until_answered(store: InspectableStore) -> None:
    while True:
        try:
            await store.ping(timeout_s=1.0)
        except UnavailableError:
            await asyncio.sleep(0.05)
        else:
            return
