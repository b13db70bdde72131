"""A registry for benchmarks: one deployment, no store, no gate. Not on the request path.

The scorer host fetches its artifacts here and reports to it; routers watch it. The real registry
would add its start and a provenance record to each run, without changing any number.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import grpc

from benchmarks.conversion import INPUT, PROBABILITIES
from understudy.control import wire
from understudy.control.report_wire import scorer_from_wire
from understudy.domain.deployments import Deployment
from understudy.domain.features import FeatureRef, FeatureView
from understudy.domain.snapshots import ScorerProcess, ScorerState, Snapshot, VersionSpec
from understudy.domain.versions import (
    DYNAMIC,
    MODEL_FILE,
    ArtifactFile,
    ScoreOutput,
    TensorSpec,
    VersionRef,
    artifact_digest,
)
from understudy.registry.v1 import registry_pb2 as pb
from understudy.registry.v1 import registry_pb2_grpc
from understudy.runtime.front.grpc_server import open_server
from understudy.runtime.serving import add_health_and_reflection
from understudy.runtime.transport.transport import LOCAL

_CHUNK_BYTES = 1 << 20


class InMemoryRegistry(registry_pb2_grpc.RegistryServiceServicer):
    """Serves one deployment of the given versions to hosts and routers."""

    def __init__(self, deployment: Deployment, versions: Sequence[VersionSpec]) -> None:
        self._contents: dict[str, Path] = {}
        self._scorers: dict[str, tuple[ScorerProcess, ...]] = {}
        self._snapshot = Snapshot("benchmark", 1, (deployment,), tuple(versions))
        self._changed = asyncio.Condition()

    def add_artifact(self, folder: Path) -> None:
        """Let hosts fetch the files of `folder`."""
        for path in folder.iterdir():
            self._contents[_sha256_of(path)] = path

    async def deploy(self, deployment: Deployment) -> None:
        async with self._changed:
            self._snapshot = replace(
                self._snapshot, sequence=self._snapshot.sequence + 1, deployments=(deployment,)
            )
            self._changed.notify_all()

    async def wait_until_ready(self, versions: int, *, limit_s: float = 60.0) -> None:
        """Return once this many scorers are ready."""
        async with asyncio.timeout(limit_s), self._changed:
            await self._changed.wait_for(lambda: self._ready() >= versions)

    async def Watch(  # noqa: N802 - gRPC's name
        self, _request: pb.WatchRequest, _context: grpc.aio.ServicerContext[Any, Any]
    ) -> AsyncIterator[pb.WatchResponse]:
        while True:
            snapshot = self._snapshot
            yield pb.WatchResponse(snapshot=wire.snapshot_to_wire(snapshot))
            async with self._changed:
                while self._snapshot is snapshot:
                    await self._changed.wait()

    async def FetchArtifactFile(  # noqa: N802 - gRPC's name
        self, request: pb.FetchArtifactFileRequest, _context: grpc.aio.ServicerContext[Any, Any]
    ) -> AsyncIterator[pb.FetchArtifactFileResponse]:
        content = self._contents[request.sha256].read_bytes()
        for start in range(0, len(content), _CHUNK_BYTES):
            yield pb.FetchArtifactFileResponse(data=content[start : start + _CHUNK_BYTES])

    async def ReportScorers(  # noqa: N802 - gRPC's name
        self, request: pb.ReportScorersRequest, _context: grpc.aio.ServicerContext[Any, Any]
    ) -> pb.ReportScorersResponse:
        reported = tuple(scorer_from_wire(each) for each in request.processes)
        async with self._changed:
            if self._scorers.get(request.host_id) != reported:
                self._scorers[request.host_id] = reported
                scorers = tuple(each for group in self._scorers.values() for each in group)
                self._snapshot = replace(
                    self._snapshot, sequence=self._snapshot.sequence + 1, scorers=scorers
                )
                self._changed.notify_all()
        return pb.ReportScorersResponse()

    async def ReportRouter(  # noqa: N802 - gRPC's name
        self, _request: pb.ReportRouterRequest, _context: grpc.aio.ServicerContext[Any, Any]
    ) -> pb.ReportRouterResponse:
        return pb.ReportRouterResponse()

    def _ready(self) -> int:
        return sum(each.state is ScorerState.READY for each in self._snapshot.scorers)


@asynccontextmanager
async def open_registry(registry: InMemoryRegistry, listen: str) -> AsyncIterator[int]:
    """Serve `registry`, and yield its port."""
    async with open_server() as server:
        registry_pb2_grpc.add_RegistryServiceServicer_to_server(registry, server)
        add_health_and_reflection(server, ())
        port = LOCAL.bind(server, listen)
        await server.start()
        yield port


def describe_version(
    ref: VersionRef, folder: Path, view: FeatureView, feature_names: Sequence[str]
) -> VersionSpec:
    """Return a registry's description of the artifact in `folder`."""
    files = tuple(
        ArtifactFile(path.name, _sha256_of(path), path.stat().st_size)
        for path in sorted(folder.iterdir(), key=lambda path: path.name != MODEL_FILE)
    )
    return VersionSpec(
        ref=ref,
        artifact_digest=artifact_digest(files),
        files=files,
        provenance_digest="0" * 64,
        inputs=(TensorSpec(INPUT, "FP32", (DYNAMIC, len(feature_names))),),
        outputs=(
            TensorSpec("label", "INT64", (DYNAMIC,)),
            TensorSpec(PROBABILITIES, "FP32", (DYNAMIC, 2)),
        ),
        feature_set=tuple(FeatureRef(view.name, view.version, name) for name in feature_names),
        feature_views=(view,),
        score_output=ScoreOutput(PROBABILITIES, 1),
        golden_tolerance=1e-4,
    )


def _sha256_of(path: Path) -> str:
    return sha256(path.read_bytes()).hexdigest()
