"""The registry's gRPC service: translate, delegate, report each failure once."""

from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import grpc
import structlog

from registry.change_deployment import Changed, ChangeRequest, DeploymentChanger
from registry.decisions.audit_chain import concerns
from registry.record_drill import Drill, record_drill
from registry.register_version import Registrar
from registry.server.live_state import LiveState
from registry.server.receive_artifact import UploadLimits, next_part, receive_files
from registry.server.report_checks import checked_router_report, checked_scorers_report
from registry.server.wire import (
    audit_to_wire,
    registration_from_wire,
    report_to_wire,
    revision_to_wire,
    version_to_wire,
)
from registry.store import revisions, versions
from registry.store.artifacts import ArtifactStore
from registry.store.database import reading
from registry.verify_audit import verify_audit
from understudy.control.change_wire import change_from_wire
from understudy.control.identity import ACTOR_KEY
from understudy.control.wire import deployment_to_wire, ref_from_wire
from understudy.domain.errors import (
    InvalidInputError,
    NotFoundError,
    OverloadedError,
    PermissionRefusedError,
)
from understudy.domain.versions import checked_model_name
from understudy.provenance.fields import is_placeholder
from understudy.provenance.inspection import Inspection, Inspector
from understudy.registry.v1 import registry_pb2 as pb
from understudy.registry.v1 import registry_pb2_grpc
from understudy.runtime.grpc_errors import abort_with

_LONGEST_ACTOR = 200
_LONGEST_REASON = 2000
_RETRY_AFTER_MS = 1_000

_log = structlog.get_logger()
_Context = grpc.aio.ServicerContext[Any, Any]


@dataclass(frozen=True, slots=True)
class Parts:
    """What the service delegates to."""

    live: LiveState
    registrar: Registrar
    changer: DeploymentChanger
    inspector: Inspector
    artifacts: ArtifactStore
    uploads: UploadLimits


class RegistryService(registry_pb2_grpc.RegistryServiceServicer):
    """Servicer. Its methods have the names of the protocol."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._live = parts.live
        self._uploading = 0

    async def CheckVersion(  # noqa: N802
        self, request_iterator: AsyncIterator[pb.RegisterVersionRequest], context: _Context
    ) -> pb.RegisterVersionResponse:
        async with answering(context, "CheckVersion"):
            return await self._submit(request_iterator, context, register=False)

    async def RegisterVersion(  # noqa: N802
        self, request_iterator: AsyncIterator[pb.RegisterVersionRequest], context: _Context
    ) -> pb.RegisterVersionResponse:
        async with answering(context, "RegisterVersion"):
            return await self._submit(request_iterator, context, register=True)

    async def ListVersions(  # noqa: N802
        self, request: pb.ListVersionsRequest, context: _Context
    ) -> pb.ListVersionsResponse:
        async with answering(context, "ListVersions"):
            found = await self._read(lambda c: versions.list_versions(c, request.model or None))
            return pb.ListVersionsResponse(
                versions=[version_to_wire(each, with_record=False) for each in found]
            )

    async def GetVersion(  # noqa: N802
        self, request: pb.GetVersionRequest, context: _Context
    ) -> pb.Version:
        async with answering(context, "GetVersion"):
            ref = ref_from_wire(request.ref)
            found = await self._read(lambda c: versions.get_version(c, ref))
            return version_to_wire(found, with_record=True)

    async def FetchArtifactFile(  # noqa: N802
        self, request: pb.FetchArtifactFileRequest, context: _Context
    ) -> AsyncIterator[pb.ArtifactChunk]:
        async with answering(context, "FetchArtifactFile"):
            pieces = self._parts.artifacts.read(request.sha256)
            while piece := await self._live.run(lambda: next(pieces, b"")):
                yield pb.ArtifactChunk(data=piece)

    async def ChangeDeployment(  # noqa: N802
        self, request: pb.ChangeDeploymentRequest, context: _Context
    ) -> pb.ChangeDeploymentResponse:
        async with answering(context, "ChangeDeployment"):
            asked = ChangeRequest(
                model=checked_model_name(request.model),
                change=change_from_wire(request),
                reason=_reason(request.reason),
                actor=actor_of(context),
                expect_revision=(
                    request.expect_revision if request.HasField("expect_revision") else None
                ),
                dry_run=request.dry_run,
            )
            if asked.dry_run:
                changed = await self._live.run(lambda: self._parts.changer.change(asked))
            else:
                changed = await self._live.change(lambda: self._parts.changer.change(asked))
                _log_change(asked, changed)
            return pb.ChangeDeploymentResponse(
                before=None if changed.before is None else deployment_to_wire(changed.before),
                after=deployment_to_wire(changed.after),
                applied=changed.applied,
            )

    async def GetDeployment(  # noqa: N802
        self, request: pb.GetDeploymentRequest, context: _Context
    ) -> pb.Deployment:
        async with answering(context, "GetDeployment"):
            model, number = request.model, request.revision
            current = self._live.deployments(model) if model else []
            if not current:
                raise NotFoundError("deployment of", model)
            if number == 0:
                return current[0]
            found = await self._read(lambda c: revisions.revision_of(c, model, number))
            if found is None:
                raise NotFoundError("revision", f"{number} of {model}")
            return deployment_to_wire(found)

    async def ListRevisions(  # noqa: N802
        self, request: pb.ListRevisionsRequest, context: _Context
    ) -> pb.ListRevisionsResponse:
        async with answering(context, "ListRevisions"):
            history = await self._read(lambda c: revisions.history_of(c, request.model))
            if not history:
                raise NotFoundError("deployment of", request.model)
            return pb.ListRevisionsResponse(revisions=[revision_to_wire(e) for e in history])

    async def ListAudit(  # noqa: N802
        self, request: pb.ListAuditRequest, context: _Context
    ) -> pb.ListAuditResponse:
        async with answering(context, "ListAudit"):
            verified = await self._read(verify_audit)
            if verified.faults:
                _log.error("audit_log_broken", faults=verified.faults)
            return pb.ListAuditResponse(
                entries=[
                    audit_to_wire(each)
                    for each in verified.recorded
                    if not request.model or concerns(each.row, request.model)
                ],
                chain_intact=not verified.faults,
                faults=verified.faults,
            )

    async def GetStatus(  # noqa: N802
        self, request: pb.GetStatusRequest, context: _Context
    ) -> pb.GetStatusResponse:
        async with answering(context, "GetStatus"):
            observed, model = self._live.observed, request.model
            status = pb.GetStatusResponse(
                deployments=self._live.deployments(model),
                scorers=self._live.scorers(model),
                routers=observed.routers(model),
            )
            if model and not (status.deployments or status.scorers):
                await self._check_registered(model)
            return status

    async def RecordDrill(  # noqa: N802
        self, request: pb.RecordDrillRequest, context: _Context
    ) -> pb.RecordDrillResponse:
        async with answering(context, "RecordDrill"):
            drill = Drill(
                actor=actor_of(context),
                router=request.router,
                level=request.level,
                duration_s=request.duration_s,
                reason=_reason(request.reason),
            )
            changer = self._parts.changer
            digest = await self._live.run(
                lambda: record_drill(changer.engine, drill, changer.now())
            )
            _log.info("drill_recorded", actor=drill.actor, level=drill.level, audit_digest=digest)
            return pb.RecordDrillResponse(audit_digest=digest)

    async def ReportScorers(  # noqa: N802
        self, request: pb.ReportScorersRequest, context: _Context
    ) -> pb.ReportScorersResponse:
        async with answering(context, "ReportScorers"):
            report = checked_scorers_report(request)
            self._check_room(report.host_id)
            await self._live.report_scorers(report)
            return pb.ReportScorersResponse()

    async def ReportRouter(  # noqa: N802
        self, request: pb.ReportRouterRequest, context: _Context
    ) -> pb.ReportRouterResponse:
        async with answering(context, "ReportRouter"):
            report = checked_router_report(request)
            self._check_room(report.router_id)
            self._live.report_router(report)
            return pb.ReportRouterResponse()

    async def Watch(  # noqa: N802
        self, request: pb.WatchRequest, context: _Context
    ) -> AsyncIterator[pb.Snapshot]:
        async with answering(context, "Watch"):
            watcher, peer = request.watcher[:_LONGEST_ACTOR], peer_of(context)
            watchers = self._live.watchers
            _log.info("watch_started", watcher=watcher, peer=peer, watchers=watchers.count)
            try:
                # Closed here, not when the garbage is collected: the seat must be free at once.
                async with aclosing(watchers.watch(peer)) as snapshots:
                    async for snapshot in snapshots:
                        yield snapshot
            finally:
                _log.info("watch_ended", watcher=watcher)

    async def _read(self, query: Any) -> Any:
        def read() -> Any:
            with reading(self._parts.changer.engine) as connection:
                return query(connection)

        return await self._live.run(read)

    async def _submit(
        self,
        request_iterator: AsyncIterator[pb.RegisterVersionRequest],
        context: _Context,
        *,
        register: bool,
    ) -> pb.RegisterVersionResponse:
        actor = actor_of(context)
        if self._uploading >= self._parts.uploads.max_uploads:
            raise OverloadedError("the list of uploads", retry_after_ms=_RETRY_AFTER_MS)
        self._uploading += 1
        try:
            return await self._receive(request_iterator, actor, register=register)
        finally:
            self._uploading -= 1

    async def _receive(
        self,
        request_iterator: AsyncIterator[pb.RegisterVersionRequest],
        actor: str,
        *,
        register: bool,
    ) -> pb.RegisterVersionResponse:
        first = await next_part(request_iterator, self._parts.uploads)
        if first is None or not first.HasField("registration"):
            raise InvalidInputError.of("part", read="no registration", accepted="it first")
        asked = registration_from_wire(first.registration, actor=actor)
        if register:
            _reason(asked.reason)
        registrar = self._parts.registrar
        # Not in a worker thread: a caller who breaks off now would leave it to nobody.
        with self._parts.artifacts.stage() as staging:
            received = await receive_files(
                asked.files, request_iterator, staging, self._live.run, self._parts.uploads
            )
            # Without files the findings say so; there is nothing to look into.
            inspection = (
                await self._parts.inspector.inspect(staging.directory) if received else Inspection()
            )
            submission = registrar.prepare(asked, received, inspection)
            if not register:
                report = await self._live.run(lambda: registrar.check(asked, submission))
                return pb.RegisterVersionResponse(report=report_to_wire(report))
            report, registered = await self._live.change(
                lambda: registrar.register(asked, submission, staging)
            )
        if registered is None:
            _log.warning(
                "registration_refused",
                model=asked.model,
                actor=actor,
                findings=len(report.findings),
                fields=[finding.field for finding in report.findings],
            )
            return pb.RegisterVersionResponse(report=report_to_wire(report))
        _log.info(
            "version_registered",
            version=str(registered.version.spec.ref),
            actor=actor,
            artifact_digest=report.artifact_digest,
            provenance_digest=report.provenance_digest,
            audit_digest=registered.audit_digest,
        )
        return pb.RegisterVersionResponse(
            report=report_to_wire(report),
            version=version_to_wire(registered.version, with_record=True),
        )

    async def _check_registered(self, model: str) -> None:
        if not await self._read(partial(versions.numbers_of, model=model)):
            raise NotFoundError("model", model)

    def _check_room(self, name: str) -> None:
        if not self._live.observed.has_room_for(name):
            raise OverloadedError("the list of reports", retry_after_ms=_RETRY_AFTER_MS)


@asynccontextmanager
async def answering(context: _Context, rpc: str) -> AsyncIterator[None]:
    """Turn a failure in the block into its gRPC status."""
    try:
        yield
    except Exception as error:  # noqa: BLE001 - request boundary: each failure gets a status
        await abort_with(context, error, rpc=rpc)


def actor_of(context: _Context) -> str:
    """Return who calls, by the call's metadata.

    Raises:
        PermissionRefusedError: nobody is named.
    """
    metadata = dict(context.invocation_metadata() or ())
    actor = str(metadata.get(ACTOR_KEY, "")).strip()
    if is_placeholder(actor) or len(actor) > _LONGEST_ACTOR or not actor.isprintable():
        raise PermissionRefusedError(f"the call names no actor in its metadata ({ACTOR_KEY})")
    return actor


def peer_of(context: _Context) -> str:
    """Return from which machine the call comes, without the port."""
    peer: str = context.peer() or ""
    return peer.rpartition(":")[0] or peer


def _reason(text: str) -> str:
    printable = text.replace("\n", "").isprintable()  # a terminal obeys other control characters
    if is_placeholder(text) or len(text) > _LONGEST_REASON or not printable:
        accepted = "why, in 1 to 2000 printable characters and line ends"
        raise InvalidInputError.of("reason", read=text, accepted=accepted)
    return text


def _log_change(asked: ChangeRequest, changed: Changed) -> None:
    _log.info(
        "deployment_changed",
        model=asked.model,
        actor=asked.actor,
        change=type(asked.change).__name__,
        from_revision=0 if changed.before is None else changed.before.revision,
        to_revision=changed.after.revision,
        digest=changed.after.digest,
        audit_digest=changed.audit_digest,  # kept elsewhere too, it shows a rewritten log
    )
