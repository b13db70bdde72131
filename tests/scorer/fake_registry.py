"""A registry over real gRPC with content supplied by the test."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import grpc

from tests.stack.waiting import while_progress
from understudy.artifact.artifact import describe_artifact
from understudy.control.wire import file_to_wire, tensor_to_wire
from understudy.domain.versions import TensorSpec, VersionRef, artifact_digest
from understudy.registry.v1 import registry_pb2 as pb
from understudy.registry.v1 import registry_pb2_grpc

_CHUNK_BYTES = 64 * 1024


class FakeRegistry(registry_pb2_grpc.RegistryServiceServicer):
    def __init__(self) -> None:
        self.address = ""
        self.files: dict[str, bytes] = {}
        self.fetched: list[str] = []
        self.fetches = self.most_fetches = 0  # in progress: now, and at most so far
        self.sends = asyncio.Event()  # cleared: accepts fetches but sends nothing
        self.sends.set()
        self.snapshot = pb.Snapshot(lineage="a test", sequence=1)
        self.reports: dict[str, list[pb.ScorerProcess]] = {}
        self.placements: dict[str, pb.Placement] = {}
        self._changed = asyncio.Condition()
        self._reported = asyncio.Condition()
        self._fetching = asyncio.Condition()

    def version(
        self,
        ref: VersionRef,
        folder: Path,
        *,
        inputs: tuple[TensorSpec, ...] = (),
        outputs: tuple[TensorSpec, ...] = (),
        golden_tolerance: float = 1e-5,
    ) -> pb.Version:
        """Store the artifact in `folder`; return its version."""
        root, files = describe_artifact(folder)
        for file in files:
            self.files[file.sha256] = (root / file.path).read_bytes()
        return pb.Version(
            ref=pb.VersionRef(model=ref.model, number=ref.number),
            artifact_digest=artifact_digest(files),
            files=[file_to_wire(file) for file in files],
            inputs=[tensor_to_wire(spec) for spec in inputs],
            outputs=[tensor_to_wire(spec) for spec in outputs],
            golden_tolerance=golden_tolerance,
        )

    async def publish(self, versions: list[pb.Version], deployments: list[pb.Deployment]) -> None:
        """Send the deployments, under new numbers if they change, and the end of missing ones."""
        async with self._changed:
            number = self.snapshot.sequence + 1
            named = {each.model for each in deployments}
            before = {each.model: each for each in self.snapshot.deployments}
            self.snapshot = pb.Snapshot(
                lineage=self.snapshot.lineage,
                sequence=number,
                versions=versions,
                deployments=[
                    _numbered(each, before.get(each.model), number) for each in deployments
                ],
                undeployed=[pb.Undeployed(model=m, revision=number) for m in before.keys() - named],
            )
            self._changed.notify_all()

    async def until_reported(
        self, holds: Callable[[list[pb.ScorerProcess]], bool]
    ) -> list[pb.ScorerProcess]:
        """Return the processes of all hosts once `holds` is true of them."""

        async def reported() -> list[pb.ScorerProcess]:
            async with self._reported:
                await self._reported.wait_for(lambda: holds(self.processes))
                return self.processes

        return await while_progress(reported())

    async def until_fetching(self) -> None:
        """Return once a host has requested a file."""

        async def asked() -> None:
            async with self._fetching:
                await self._fetching.wait_for(lambda: bool(self.fetched))

        await while_progress(asked())

    @property
    def processes(self) -> list[pb.ScorerProcess]:
        return [process for report in self.reports.values() for process in report]

    async def Watch(  # noqa: N802 - name given by the .proto
        self, request: pb.WatchRequest, context: Any
    ) -> AsyncIterator[pb.WatchResponse]:
        sent = 0
        while True:
            async with self._changed:
                while self.snapshot.sequence == sent:
                    await self._changed.wait()
                snapshot = self.snapshot
            sent = snapshot.sequence
            yield pb.WatchResponse(snapshot=snapshot)

    async def FetchArtifactFile(  # noqa: N802 - name given by the .proto
        self, request: pb.FetchArtifactFileRequest, context: Any
    ) -> AsyncIterator[pb.FetchArtifactFileResponse]:
        content = self.files.get(request.sha256)
        if content is None:
            await context.abort(grpc.StatusCode.NOT_FOUND, f"file {request.sha256}")
            return
        async with self._fetching:
            self.fetched.append(request.sha256)
            self._fetching.notify_all()
        self.fetches += 1
        self.most_fetches = max(self.most_fetches, self.fetches)
        await self.sends.wait()
        self.fetches -= 1
        for start in range(0, len(content), _CHUNK_BYTES):
            yield pb.FetchArtifactFileResponse(data=content[start : start + _CHUNK_BYTES])

    async def ReportScorers(  # noqa: N802 - name given by the .proto
        self, request: pb.ReportScorersRequest, context: Any
    ) -> pb.ReportScorersResponse:
        async with self._reported:
            self.reports[request.host_id] = list(request.processes)
            self.placements[request.host_id] = request.placement
            self._reported.notify_all()
        return pb.ReportScorersResponse()


def _numbered(
    deployment: pb.Deployment, before: pb.Deployment | None, sequence: int
) -> pb.Deployment:
    """Return `deployment` under a new number, or under its present one if nothing changed."""
    numbered = pb.Deployment()
    numbered.CopyFrom(deployment)
    is_asked_for = deployment.revision != 1  # a new revision with the same content
    numbered.revision = before.revision if before and not is_asked_for else sequence
    if numbered != before:
        numbered.revision = sequence
    return numbered
