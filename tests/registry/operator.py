"""An operator, a scorer host and a watcher for tests: asyncio, over real gRPC."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import grpc
from structlog.testing import capture_logs

from registry.app import OpenRegistry, open_registry, serve_until
from registry.settings import RegistrySettings
from tests.registry.samples import ACTOR
from understudy.control.change_wire import change_to_wire
from understudy.control.identity import ACTOR_KEY
from understudy.control.uploads import NewVersion, upload_parts
from understudy.control.wire_enums import LEVELS
from understudy.domain.changes import Change
from understudy.domain.deployments import DegradationLevel
from understudy.registry.v1 import registry_pb2 as pb
from understudy.registry.v1 import registry_pb2_grpc
from understudy.runtime.free_port import free_port
from understudy.runtime.health import Health

LIMIT_S = 60.0


class Operator:
    """A client of a registry that acts under a name."""

    def __init__(self, channel: grpc.aio.Channel, actor: str = ACTOR) -> None:
        self.stub = registry_pb2_grpc.RegistryServiceStub(channel)
        self._metadata = ((ACTOR_KEY, actor),) if actor else ()

    async def register(self, version: NewVersion) -> pb.RegisterVersionResponse:
        return await self.stub.RegisterVersion(
            registration_parts(version), metadata=self._metadata, timeout=LIMIT_S
        )

    async def check(self, version: NewVersion) -> pb.CheckVersionResponse:
        parts = upload_parts(version, pb.CheckVersionRequest)
        return await self.stub.CheckVersion(parts, metadata=self._metadata, timeout=LIMIT_S)

    async def change(self, change: Change, **options: Any) -> pb.ChangeDeploymentResponse:
        request = pb.ChangeDeploymentRequest(**{"model": "fraud", "reason": "a test", **options})
        field, message = change_to_wire(change)
        getattr(request, field).CopyFrom(message)
        getattr(request, field).SetInParent()
        return await self.stub.ChangeDeployment(request, metadata=self._metadata, timeout=LIMIT_S)

    async def restore(self, successor_of: str, **options: Any) -> pb.RestoreRegistryResponse:
        request = pb.RestoreRegistryRequest(
            **{"successor_of": successor_of, "reason": "a test", **options}
        )
        return await self.stub.RestoreRegistry(request, metadata=self._metadata, timeout=LIMIT_S)

    async def drill(self, level: DegradationLevel, duration_s: float) -> pb.RecordDrillResponse:
        request = pb.RecordDrillRequest(
            router="host:/r", level=LEVELS[level], duration_s=duration_s, reason="a test"
        )
        return await self.stub.RecordDrill(request, metadata=self._metadata, timeout=LIMIT_S)

    async def set_block(
        self, number: int, *, blocked: bool = True, **options: bool
    ) -> pb.SetBlockResponse:
        ref = pb.VersionRef(model="fraud", number=number)
        request = pb.SetBlockRequest(ref=ref, blocked=blocked, reason="a test", **options)
        return await self.stub.SetBlock(request, metadata=self._metadata, timeout=LIMIT_S)

    async def retire(
        self, number: int, *, retired: bool = True, **options: bool
    ) -> pb.SetRetirementResponse:
        ref = pb.VersionRef(model="fraud", number=number)
        request = pb.SetRetirementRequest(ref=ref, retired=retired, reason="a test", **options)
        return await self.stub.SetRetirement(request, metadata=self._metadata, timeout=LIMIT_S)

    async def set_tag(self, name: str, number: int | None, **options: bool) -> pb.SetTagResponse:
        request = pb.SetTagRequest(
            model="fraud", name=name, number=number, reason="a test", **options
        )
        return await self.stub.SetTag(request, metadata=self._metadata, timeout=LIMIT_S)

    async def collect(self, **options: Any) -> pb.CollectArtifactsResponse:
        request = pb.CollectArtifactsRequest(**{"keep_revisions": 1, "reason": "a test", **options})
        return await self.stub.CollectArtifacts(request, metadata=self._metadata, timeout=LIMIT_S)

    async def audit(self) -> pb.ListAuditResponse:
        return await self.stub.ListAudit(pb.ListAuditRequest())

    async def fetch(self, sha256: str) -> bytes:
        call = self.stub.FetchArtifactFile(pb.FetchArtifactFileRequest(sha256=sha256))
        return b"".join([chunk.data async for chunk in call])

    async def seen(self, wanted: Callable[[pb.Snapshot], bool]) -> pb.Snapshot:
        """Return the first snapshot for which `wanted` holds; fail if there is none."""
        call = self.stub.Watch(pb.WatchRequest(watcher="test"), timeout=LIMIT_S)
        async for message in call:
            if wanted(message.snapshot):
                call.cancel()
                return message.snapshot
        raise AssertionError("the watch ended")


@asynccontextmanager
async def running_registry(directory: Path, **settings: Any) -> AsyncIterator[grpc.aio.Channel]:
    """Serve a registry over `directory`, and yield a channel to it."""
    async with running_server(directory, **settings) as (_, channel):
        yield channel


@asynccontextmanager
async def running_server(
    directory: Path, **settings: Any
) -> AsyncIterator[tuple[OpenRegistry, grpc.aio.Channel]]:
    """Serve a registry over `directory`, and yield it with a channel to it."""
    chosen = RegistrySettings(
        **{"dir": directory, "listen": "127.0.0.1:0", "drain_grace_s": 0.2, **settings},
        unproven="identities" not in settings,
    )
    async with open_registry(chosen) as opened:
        await opened.server.start()
        opened.health.turn(Health.SERVING)
        async with grpc.aio.insecure_channel(f"127.0.0.1:{opened.port}") as channel:
            try:
                yield opened, channel
            finally:
                opened.watchers.close()
                await opened.server.stop(0.2)


@contextmanager
def served_registry(directory: Path, **settings: Any) -> Iterator[str]:
    """Serve a registry over `directory` in a thread with a loop of its own; yield its address."""
    address = f"127.0.0.1:{free_port()}"
    stops: Future[Callable[[], object]] = Future()
    chosen = RegistrySettings(
        dir=directory,
        listen=address,
        drain_grace_s=0.2,
        unready_delay_s=0,
        unproven=True,
        **settings,
    )

    async def serve() -> None:
        stop = asyncio.Event()
        stops.set_result(partial(asyncio.get_running_loop().call_soon_threadsafe, stop.set))
        await serve_until(stop, chosen)

    with (
        capture_logs(),  # lines of a server are no part of the output of a command
        ThreadPoolExecutor(1, thread_name_prefix="registry") as threads,
        grpc.insecure_channel(address) as channel,
    ):
        served = threads.submit(asyncio.run, serve())
        try:
            until_ready(channel, served)
            yield address
        finally:
            if not served.done():
                stops.result()()
        served.result(LIMIT_S)


def until_ready(channel: grpc.Channel, served: "Future[None]") -> None:
    """Return when `channel` is connected; raise the error of a server that ended before."""
    ready = grpc.channel_ready_future(channel)
    while not ready.done():
        with suppress(grpc.FutureTimeoutError):
            ready.result(0.05)
        if served.done():
            served.result()


async def failure_of(call: Any) -> grpc.aio.AioRpcError:
    """Return the error that the call ends with."""
    try:
        await asyncio.wait_for(call, LIMIT_S)
    except grpc.aio.AioRpcError as error:
        return error
    raise AssertionError("the call succeeded")


async def report_of(
    operator: Operator, host_id: str, *, port: int = 9000
) -> pb.ReportScorersRequest:
    process = pb.ScorerProcess(
        ref=pb.VersionRef(model="fraud", number=1),
        address=f"127.0.0.1:{port}",
        state=pb.SCORER_STATE_READY,
        artifact_digest=(await version_1(operator)).artifact_digest,
        host_id=host_id,
    )
    return pb.ReportScorersRequest(host_id=host_id, processes=[process])


async def version_1(operator: Operator) -> pb.Version:
    ref = pb.VersionRef(model="fraud", number=1)
    return (await operator.stub.GetVersion(pb.GetVersionRequest(ref=ref))).version


def registration_parts(version: NewVersion) -> Iterator[pb.RegisterVersionRequest]:
    return upload_parts(version, pb.RegisterVersionRequest)


def files_below(directory: Path) -> list[Path]:
    """Return all files but the locks of staging areas."""
    return [path for path in directory.rglob("*") if path.is_file() and path.suffix != ".lock"]


def rows_of(directory: Path, table: str) -> list[Any]:
    with sqlite3.connect(directory / "registry.sqlite") as database:
        rows = database.execute(f"SELECT * FROM {table}").fetchall()  # noqa: S608 - our tables
    database.close()
    return rows
