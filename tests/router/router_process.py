"""A router process with scorers in the test's process: real gRPC in between, and faults on demand.

The router uses a stored snapshot, so no registry and no scorer host take part.
"""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import (
    AbstractAsyncContextManager,
    AsyncExitStack,
    asynccontextmanager,
    contextmanager,
)
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from stack.processes import ROUTER
from stack.router_books import read_books
from stack.traffic import Traffic, open_traffic
from tests.router.samples import MODEL, VIEW, ready_processes, spec
from tests.router.scorer_stream import serving_version
from tests.stack.waiting import until
from understudy.control import wire
from understudy.control.sealed_state import sealed
from understudy.domain.deployments import Deployment
from understudy.domain.snapshots import Snapshot, VersionSpec
from understudy.domain.trace_context import TraceContext
from understudy.features.decisions.record_format import pack_record, record_format
from understudy.features.stores import open_writer
from understudy.inference.request_parameters import trace_of_parameters
from understudy.oip import inference_pb2 as oip
from understudy.router.v1 import router_pb2
from understudy.runtime.free_port import free_port
from understudy.runtime.supervision.supervisor import ProcessSpec, Supervisor

NODE = "aerospike"
PATIENT_S = 120.0  # for limits that must not be reached in a test
PATIENT: Mapping[str, Any] = {  # settings of a router that never ends a call by its time
    "default_deadline_s": PATIENT_S,
    "largest_deadline_s": PATIENT_S,
    "scorer_timeout_s": PATIENT_S,
}
USERS = tuple(f"u{index}" for index in range(200))


class ServedScorer:
    """Scores like `FakeScorer`, over the Open Inference Protocol; may fail, be slow, or hang."""

    def __init__(self) -> None:
        self.address = ""
        self.takes_s = 0.0  # for each batch, however many are in flight
        self.fails = False
        self.batches = self.batches_over_frames = self.rows = 0
        self.traces: list[TraceContext | None] = []  # of each batch
        self._answers_left: int | None = None  # before it hangs by itself
        self._is_well = asyncio.Event()
        self._is_well.set()

    def hang(self) -> None:
        """Stop answering until `resume`."""
        self._is_well.clear()

    def hang_after(self, batches: int) -> None:
        """Answer `batches` more batches, then none until `resume`."""
        self._answers_left = batches

    def resume(self) -> None:
        self._answers_left = None
        self._is_well.set()

    async def infer_over_frames(self, body: bytes) -> bytes:
        self.batches_over_frames += 1
        return await self.infer(body)

    async def infer(self, body: bytes) -> bytes:
        request = oip.ModelInferRequest.FromString(body)
        self.batches += 1
        self.traces.append(trace_of_parameters(request))
        if self.fails:
            failed = oip.ModelInferResponse(id=request.id)
            return oip.ModelStreamInferResponse(
                error_message="told to fail", infer_response=failed
            ).SerializeToString()
        if self._answers_left is not None:
            if not self._answers_left:
                self.hang()
            self._answers_left -= 1
        await asyncio.sleep(self.takes_s)  # the fault itself
        await self._is_well.wait()
        rows = np.frombuffer(request.raw_input_contents[0], "<f4").reshape(-1, len(VIEW.features))
        self.rows += len(rows)
        scores = rows[:, :1] * 10 + int(request.model_version) / 1000
        tensor = oip.ModelInferResponse.InferOutputTensor(
            name="score", datatype="FP32", shape=scores.shape
        )
        answer = oip.ModelInferResponse(
            id=request.id, outputs=[tensor], raw_output_contents=[scores.astype("<f4").tobytes()]
        )
        return oip.ModelStreamInferResponse(infer_response=answer).SerializeToString()


@dataclass(frozen=True, slots=True)
class RouterProcess:
    address: str
    root: Path
    supervisor: Supervisor
    spec: ProcessSpec

    async def books(self) -> router_pb2.GetRouterStatusResponse:
        """Return the counts of its one worker."""
        (books,) = await read_books(self.root)
        return books

    async def stop(self) -> None:
        """Send SIGTERM; return when it has ended."""
        await self.supervisor.stop(ROUTER)

    async def start(self) -> None:
        """Start it again after `stop`."""
        await self.supervisor.start(self.spec)


def open_patient_traffic(
    router: RouterProcess, *, rate_per_s: float, **options: Any
) -> AbstractAsyncContextManager[Traffic]:
    """Send calls for known users, whose limit of time is never reached; see `open_traffic`."""
    return open_traffic(
        router.address,
        model=MODEL,
        entity="user",
        units=USERS,
        rate_per_s=rate_per_s,
        timeout_s=PATIENT_S,
        **options,
    )


@asynccontextmanager
async def open_router_process(
    root: Path,
    deployment: Deployment,
    scorers: Mapping[int, Sequence[ServedScorer]],
    specs: Sequence[VersionSpec] | None = None,
    /,
    *,
    features: str = "",
    **settings: object,
) -> AsyncIterator[RouterProcess]:
    """Serve `deployment` with the scorers of each version.

    Args:
        root: folder of the process.
        deployment: in effect from the start.
        scorers: by version; all of them are reported as ready.
        specs: of the versions; by default those of `samples.spec`.
        features: URL of a store that has the features of `USERS`; by default LMDB below `root`.
        settings: of the router.
    """
    if not features:
        features = f"lmdb:{root / 'features.lmdb'}"
        load_users(features)
    sockets_in = root if settings.get("hop") == "frames" else None
    async with (
        Supervisor(root / "process-logs") as supervisor,
        serving(scorers, sockets_in=sockets_in),
    ):
        ready = {number: [each.address for each in group] for number, group in scorers.items()}
        usual = [spec(number) for number in scorers]
        _remember(root, deployment, usual if specs is None else specs, ready)
        address = f"127.0.0.1:{free_port()}"
        arguments = (
            *("-m", "router", "serve", "--listen", address, "--registry", "127.0.0.1:1"),
            *("--features", features, "--log-dir", str(root / "logs"), "--state-dir", str(root)),
        )
        environment = {
            f"ROUTER_{name.upper()}": str(value)
            for name, value in {"log_ids": "unkeyed", **settings}.items()
        }
        process = ProcessSpec(
            *(ROUTER, arguments, address, environment),
            liveness_target=f"unix:{root / 'router.sock'}",
            is_outlived=True,
        )
        await supervisor.start(process)
        yield RouterProcess(address, root, supervisor, process)


def load_users(store_url: str) -> None:
    """Write the features of `USERS`, with the current time."""
    form = record_format(VIEW)
    now_ms = round(datetime.now(UTC).timestamp() * 1000)
    writer = open_writer(store_url)
    writer.write(
        VIEW,
        [
            (user, pack_record(form, {"amount": 1.0, "count": 1.0}, event_time_ms=now_ms))
            for user in USERS
        ],
        mark=None,
    )
    writer.close_now()


@asynccontextmanager
async def serving(
    scorers: Mapping[int, Sequence[ServedScorer]], *, sockets_in: Path | None = None
) -> AsyncIterator[None]:
    """Serve each scorer on a port, or at sockets for gRPC and frames; on leaving, none hangs."""
    everyone = [(number, each) for number, group in scorers.items() for each in group]
    async with AsyncExitStack() as resources:
        for place, (number, scorer) in enumerate(everyone):
            answers = scorer.infer, scorer.infer_over_frames
            socket = sockets_in / f"scorer-{place}.sock" if sockets_in else None
            serving_one = serving_version(number, *answers, socket=socket)
            scorer.address = await resources.enter_async_context(serving_one)
        try:
            yield
        finally:
            for _, scorer in everyone:
                scorer.resume()


class NodeProcess:
    """The Aerospike node of the tests in a separate process, with the features of `USERS`."""

    def __init__(self, supervisor: Supervisor) -> None:
        self._supervisor = supervisor
        self._port = free_port()
        self.url = f"aerospike://127.0.0.1:{self._port}/features"

    async def start(self) -> None:
        arguments = ("-m", "tests.features.aerospike_node", "--port", str(self._port))
        await self._supervisor.start(ProcessSpec(NODE, arguments, health_target=None))
        await until(self._accepts)
        await asyncio.to_thread(load_users, self.url)

    async def kill(self) -> None:
        os.kill(self._pid, signal.SIGKILL)
        await self._supervisor.stop(NODE)  # it has already ended; remove it

    @contextmanager
    def hung(self) -> Iterator[None]:
        """Stop answering, without closing the port, while the block runs."""
        os.kill(self._pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(self._pid, signal.SIGCONT)

    @asynccontextmanager
    async def slow(self, *, stops_s: float, runs_s: float) -> AsyncIterator[None]:
        """Answer only in bursts while the block runs."""
        pulses = asyncio.ensure_future(self._pulse(stops_s, runs_s))
        try:
            yield
        finally:
            pulses.cancel()

    async def _pulse(self, stops_s: float, runs_s: float) -> None:
        while True:
            with self.hung():
                await asyncio.sleep(stops_s)  # the fault itself
            await asyncio.sleep(runs_s)

    @property
    def _pid(self) -> int:
        return self._supervisor.pids()[NODE]

    async def _accepts(self) -> bool:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", self._port)
        except ConnectionRefusedError:
            return False
        writer.close()
        return True


@asynccontextmanager
async def open_node(root: Path) -> AsyncIterator[NodeProcess]:
    async with Supervisor(root / "node-logs") as supervisor:
        node = NodeProcess(supervisor)
        await node.start()
        yield node


def _remember(
    root: Path,
    deployment: Deployment,
    specs: Sequence[VersionSpec],
    ready: Mapping[int, Sequence[str]],
) -> None:
    snapshot = Snapshot("a test", 1, (deployment,), tuple(specs), ready_processes(ready))
    message = wire.snapshot_to_wire(snapshot)
    (root / "last-snapshot").write_bytes(sealed(message.SerializeToString()))
