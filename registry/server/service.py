"""The registry's gRPC service: translate, and delegate."""

# ruff: noqa: ARG002 - gRPC gives each method a context, and the boundary answers failures

from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import structlog
from sqlalchemy import Connection

from registry.block_version import Blocker
from registry.change_deployment import DeploymentChanger
from registry.record_drill import record_drill
from registry.restore_registry import Restorer
from registry.server.authentication import proven_caller, require_table_of
from registry.server.block import set_block
from registry.server.callers import (
    LONGEST_ACTOR,
    Context,
    actor_of,
)
from registry.server.database_review import DatabaseReview
from registry.server.deployment_change import (
    Changes,
    change_request_from_wire,
    changed_to_wire,
)
from registry.server.fetches import Fetches
from registry.server.forget_host import forget_host
from registry.server.lists import audit_page, revisions_page, version_message, versions_page
from registry.server.live_state import LiveState
from registry.server.proofs import Proofs
from registry.server.recheck import Recheck
from registry.server.report_wire import (
    REPORT_FORMS,
    router_report_from_wire,
    scorers_report_from_wire,
)
from registry.server.restore import (
    log_restore,
    restore_from_wire,
    restored_to_wire,
    watched_by,
)
from registry.server.rollback_targets import RollbackTargets, target_to_wire
from registry.server.status import status_of
from registry.server.submissions import Submissions
from registry.server.watch_messages import WatchMessages
from registry.server.wire import (
    drill_from_wire,
    model_faults,
    model_of,
    number_faults,
    ref_of,
    report_to_wire,
    stored_version_to_wire,
)
from registry.store import revisions, versions
from registry.store.database import reading
from registry.verify_registry import verify_database
from understudy.control.wire import deployment_to_wire
from understudy.control.wire_values import GREATEST_NUMBER, value_or_none
from understudy.domain.changes import Ended
from understudy.domain.errors import NotFoundError, PermissionRefusedError, raise_any
from understudy.domain.versions import checked_model_name
from understudy.registry.v1 import registry_pb2 as pb
from understudy.registry.v1 import registry_pb2_grpc
from understudy.runtime.rpc_boundary import AnswerRoom, Guard, TakesHandlers, add_bounded, peer_of

_SERVICE = pb.DESCRIPTOR.services_by_name["RegistryService"]
_log = structlog.get_logger()
ResultT = TypeVar("ResultT")


@dataclass(frozen=True, slots=True)
class Parts:
    """The objects to which the service delegates."""

    live: LiveState
    changer: DeploymentChanger
    changes: Changes
    rollback_targets: RollbackTargets
    blocker: Blocker
    restorer: Restorer
    submissions: Submissions
    fetches: Fetches
    proofs: Proofs
    database_review: DatabaseReview
    recheck: Recheck


class RegistryService(registry_pb2_grpc.RegistryServiceServicer):
    """The servicer; `add_registry` converts failures. Its methods have the names of the protocol."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._live = parts.live
        self._messages = WatchMessages()

    async def CheckVersion(  # noqa: N802
        self, request_iterator: AsyncIterator[pb.CheckVersionRequest], context: Context
    ) -> pb.CheckVersionResponse:
        report, _ = await self._parts.submissions.take(
            request_iterator, actor_of(context), peer_of(context), register=False
        )
        return pb.CheckVersionResponse(report=report_to_wire(report))

    async def RecheckVersion(  # noqa: N802
        self, request: pb.RecheckVersionRequest, context: Context
    ) -> pb.RecheckVersionResponse:
        ref = ref_of(request.ref, "ref")
        report = await self._parts.recheck.report_on(ref, peer_of(context))
        return pb.RecheckVersionResponse(report=report_to_wire(report))

    async def RegisterVersion(  # noqa: N802
        self, request_iterator: AsyncIterator[pb.RegisterVersionRequest], context: Context
    ) -> pb.RegisterVersionResponse:
        report, registered = await self._parts.submissions.take(
            request_iterator, actor_of(context), peer_of(context), register=True
        )
        return pb.RegisterVersionResponse(
            report=report_to_wire(report),
            version=(
                None
                if registered is None
                else stored_version_to_wire(registered.version, with_record=True)
            ),
            already_registered=registered is not None and not registered.is_new,
        )

    async def ListVersions(  # noqa: N802
        self, request: pb.ListVersionsRequest, context: Context
    ) -> pb.ListVersionsResponse:
        return await self._read(lambda c: versions_page(c, request))

    async def GetVersion(  # noqa: N802
        self, request: pb.GetVersionRequest, context: Context
    ) -> pb.GetVersionResponse:
        ref = ref_of(request.ref, "ref")
        return pb.GetVersionResponse(version=await self._read(lambda c: version_message(c, ref)))

    async def SignVersion(  # noqa: N802
        self, request: pb.SignVersionRequest, context: Context
    ) -> pb.SignVersionResponse:
        return await self._parts.proofs.sign_version(ref_of(request.ref, "ref"))

    async def FetchArtifactFile(  # noqa: N802
        self, request: pb.FetchArtifactFileRequest, context: Context
    ) -> AsyncIterator[pb.FetchArtifactFileResponse]:
        # Closed here and not by the garbage collector: the seat must be free at once.
        async with aclosing(
            self._parts.fetches.pieces_of(request.sha256, peer_of(context))
        ) as pieces:
            async for piece in pieces:
                yield pb.FetchArtifactFileResponse(data=piece)

    async def ChangeDeployment(  # noqa: N802
        self, request: pb.ChangeDeploymentRequest, context: Context
    ) -> pb.ChangeDeploymentResponse:
        asked = change_request_from_wire(request, actor_of(context), watched_by(self._live))
        return changed_to_wire(await self._parts.changes.change(asked))

    async def ListRollbackTargets(  # noqa: N802
        self, request: pb.ListRollbackTargetsRequest, context: Context
    ) -> pb.ListRollbackTargetsResponse:
        found = await self._parts.rollback_targets.of_model(checked_model_name(request.model))
        return pb.ListRollbackTargetsResponse(targets=[target_to_wire(each) for each in found])

    async def GetDeployment(  # noqa: N802
        self, request: pb.GetDeploymentRequest, context: Context
    ) -> pb.GetDeploymentResponse:
        number = value_or_none(request, "revision")
        raise_any(
            [
                *model_faults(request.model, "model"),
                *number_faults(number, "revision", GREATEST_NUMBER),
            ]
        )
        model = request.model
        if number is None:
            current = self._live.deployments(model)
            if not current:
                raise NotFoundError("deployment of", model)
            return pb.GetDeploymentResponse(deployment=deployment_to_wire(current[0]))
        found = await self._read(lambda c: revisions.revision_of(c, model, number))
        if found is None:
            raise NotFoundError("revision", f"{number} of {model}")
        if isinstance(found, Ended):
            raise NotFoundError("deployment", f"of {model} in revision {number}, its end,")
        return pb.GetDeploymentResponse(deployment=deployment_to_wire(found))

    async def ListRevisions(  # noqa: N802
        self, request: pb.ListRevisionsRequest, context: Context
    ) -> pb.ListRevisionsResponse:
        return await self._read(lambda c: revisions_page(c, request))

    async def ListAudit(  # noqa: N802
        self, request: pb.ListAuditRequest, context: Context
    ) -> pb.ListAuditResponse:
        page = await self._read(lambda c: audit_page(c, request))
        if request.unverified:
            return page
        verified = await self._read(verify_database)
        if verified.faults:
            _log.error("audit_log_broken", faults=verified.faults)
        page.chain_intact = not verified.faults
        page.faults.extend(verified.faults)
        return page

    async def VerifyRegistry(  # noqa: N802
        self, request: pb.VerifyRegistryRequest, context: Context
    ) -> pb.VerifyRegistryResponse:
        ref = ref_of(request.ref, "ref") if request.HasField("ref") else None
        return await self._parts.proofs.verify(ref, peer_of(context))

    async def ExportAudit(  # noqa: N802
        self, request: pb.ExportAuditRequest, context: Context
    ) -> AsyncIterator[pb.ExportAuditResponse]:
        async with aclosing(self._parts.proofs.export(peer_of(context))) as pieces:
            async for piece in pieces:
                yield pb.ExportAuditResponse(data=piece)

    async def GetAuditHead(  # noqa: N802
        self, request: pb.GetAuditHeadRequest, context: Context
    ) -> pb.GetAuditHeadResponse:
        return await self._parts.proofs.head()

    async def GetStatus(  # noqa: N802
        self, request: pb.GetStatusRequest, context: Context
    ) -> pb.GetStatusResponse:
        model = model_of(request)
        status = status_of(
            self._live, self._parts.rollback_targets, model, self._parts.database_review.latest
        )
        if model is not None and not (status.deployments or status.scorers):
            await self._check_registered(model)
        return status

    async def RestoreRegistry(  # noqa: N802
        self, request: pb.RestoreRegistryRequest, context: Context
    ) -> pb.RestoreRegistryResponse:
        asked = restore_from_wire(request, actor_of(context), watched_by(self._live))
        restored = await self._live.change_or_plan(
            lambda: self._parts.restorer.restore(asked), models=None, dry_run=asked.dry_run
        )
        log_restore(asked, restored)
        return restored_to_wire(restored, self._live)

    async def RecordDrill(  # noqa: N802
        self, request: pb.RecordDrillRequest, context: Context
    ) -> pb.RecordDrillResponse:
        drill = drill_from_wire(request, actor_of(context))
        changer = self._parts.changer
        digest = await self._live.run(lambda: record_drill(changer.engine, drill, changer.now()))
        _log.info("drill_recorded", actor=drill.actor, level=drill.level.name, audit_digest=digest)
        return pb.RecordDrillResponse(audit_digest=digest)

    async def SetBlock(  # noqa: N802
        self, request: pb.SetBlockRequest, context: Context
    ) -> pb.SetBlockResponse:
        return await set_block(request, actor_of(context), self._live, self._parts.blocker)

    async def ForgetHost(  # noqa: N802
        self, request: pb.ForgetHostRequest, context: Context
    ) -> pb.ForgetHostResponse:
        changer = self._parts.changer
        return await forget_host(
            request, context, self._live, engine=changer.engine, now=changer.now
        )

    async def ReportScorers(  # noqa: N802
        self, request: pb.ReportScorersRequest, context: Context
    ) -> pb.ReportScorersResponse:
        _require_own_report(request.host_id)
        report = scorers_report_from_wire(request)
        await self._live.report_scorers(report, peer_of(context))
        return pb.ReportScorersResponse()

    async def ReportRouter(  # noqa: N802
        self, request: pb.ReportRouterRequest, context: Context
    ) -> pb.ReportRouterResponse:
        report = router_report_from_wire(request)
        await self._live.report_router(report, peer_of(context))
        return pb.ReportRouterResponse()

    async def Watch(  # type: ignore[override]  # noqa: N802 - bytes: serialised once for all watchers
        self, request: pb.WatchRequest, context: Context
    ) -> AsyncIterator[Callable[[], bytes]]:
        watcher, peer = request.watcher[:LONGEST_ACTOR], peer_of(context)
        watchers = self._live.watchers
        _log.info("watch_started", watcher=watcher, peer=peer, watchers=watchers.count)
        try:
            # Closed here and not by the garbage collector: the slot must be free at once.
            async with aclosing(watchers.watch(peer)) as snapshots:
                async for _ in snapshots:
                    # If it has to wait for room, a later one is sent in its place.
                    yield lambda: self._messages.written(watchers.latest)
        finally:
            _log.info("watch_ended", watcher=watcher)

    async def _read(self, query: Callable[[Connection], ResultT]) -> ResultT:
        def read() -> ResultT:
            with reading(self._parts.changer.engine) as connection:
                return query(connection)

        return await self._live.run(read)

    async def _check_registered(self, model: str) -> None:
        if not await self._read(partial(versions.numbers_of, model=model)):
            raise NotFoundError("model", model)


def _require_own_report(host_id: str) -> None:
    """Check that a proven host reports only itself.

    Raises:
        PermissionRefusedError: the report speaks for another one.
    """
    proven = proven_caller()
    if proven is not None and proven.name != host_id:
        raise PermissionRefusedError(f"{proven.name} may not report for host {host_id}")


def add_registry(
    service: RegistryService, server: TakesHandlers, answers: AnswerRoom, guard: Guard
) -> None:
    """Let `server` answer with `service` the calls that `guard` lets pass.

    `answers`: the room for unread answers.
    """
    require_table_of(method.name for method in _SERVICE.methods)
    add = partial(registry_pb2_grpc.add_RegistryServiceServicer_to_server, service)
    add_bounded(server, add, REPORT_FORMS, answers, guard)
