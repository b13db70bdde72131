"""The registry's gRPC service: translate, and delegate."""

from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, suppress
from functools import partial

import structlog

from registry.record_drill import record_drill
from registry.server.authentication import proven_caller, require_table_of
from registry.server.block import set_block
from registry.server.callers import (
    LONGEST_ACTOR,
    Context,
    actor_of,
    log_facts,
)
from registry.server.deployment_change import (
    CHANGE_FORM,
    change_request_from_wire,
    changed_to_wire,
)
from registry.server.forget_host import forget_host
from registry.server.reading_service import Parts, ReadingService
from registry.server.received_reports import ReceivedReport
from registry.server.report_rooms import ReportSize
from registry.server.report_sizes import size_of_sent_scorers
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
from registry.server.retention import collect, set_retirement
from registry.server.tagging import set_tag
from registry.server.watch_messages import WatchMessages
from registry.server.wire import (
    drill_from_wire,
    ref_of,
    report_to_wire,
    stored_version_to_wire,
    submission_forms,
)
from understudy.domain.errors import PermissionRefusedError, UnavailableError
from understudy.registry.v1 import registry_pb2 as pb
from understudy.registry.v1 import registry_pb2_grpc
from understudy.runtime.rpc_boundary import (
    AnswerRoom,
    Failed,
    Form,
    Guard,
    TakesHandlers,
    add_bounded,
    peer_of,
)

_SERVICE = pb.DESCRIPTOR.services_by_name["RegistryService"]
_log = structlog.get_logger()


class RegistryService(ReadingService):
    """The whole servicer; `add_registry` converts failures. Its methods have the names of the protocol."""

    def __init__(self, parts: Parts) -> None:
        super().__init__(parts)
        self._messages = WatchMessages()
        self.most_files = parts.submissions.limits.max_files  # of a version

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
            recovered=registered is not None and registered.is_recovered,
        )

    async def ChangeDeployment(  # noqa: N802
        self, request: pb.ChangeDeploymentRequest, context: Context
    ) -> pb.ChangeDeploymentResponse:
        asked = change_request_from_wire(request, actor_of(context), watched_by(self._live))
        return changed_to_wire(await self._parts.changes.change(asked))

    async def RestoreRegistry(  # noqa: N802
        self, request: pb.RestoreRegistryRequest, context: Context
    ) -> pb.RestoreRegistryResponse:
        await self._live.catch_up()
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
        _log.info(
            "drill_recorded",
            **log_facts(drill.actor),
            level=drill.level.name,
            audit_digest=digest,
        )
        return pb.RecordDrillResponse(audit_digest=digest)

    async def SetBlock(  # noqa: N802
        self, request: pb.SetBlockRequest, context: Context
    ) -> pb.SetBlockResponse:
        return await set_block(request, actor_of(context), self._live, self._parts.blocker)

    async def SetRetirement(  # noqa: N802
        self, request: pb.SetRetirementRequest, context: Context
    ) -> pb.SetRetirementResponse:
        return await set_retirement(request, actor_of(context), self._live, self._parts.retirer)

    async def SetTag(  # noqa: N802
        self, request: pb.SetTagRequest, context: Context
    ) -> pb.SetTagResponse:
        return await set_tag(request, actor_of(context), self._live, self._parts.tagger)

    async def CollectArtifacts(  # noqa: N802
        self, request: pb.CollectArtifactsRequest, context: Context
    ) -> pb.CollectArtifactsResponse:
        return await collect(request, actor_of(context), self._live, self._parts.collector)

    async def CastVote(  # noqa: N802
        self, request: pb.CastVoteRequest, context: Context
    ) -> pb.CastVoteResponse:
        return await self._parts.approvals.cast(request, actor_of(context))

    async def SetApprovalPolicy(  # noqa: N802
        self, request: pb.SetApprovalPolicyRequest, context: Context
    ) -> pb.SetApprovalPolicyResponse:
        return await self._parts.approvals.set_policy(request, actor_of(context))

    async def ForgetHost(  # noqa: N802
        self, request: pb.ForgetHostRequest, context: Context
    ) -> pb.ForgetHostResponse:
        await self._live.catch_up()
        changer = self._parts.changer
        return await forget_host(
            request, context, self._live, engine=changer.engine, now=changer.now
        )

    async def ReportScorers(  # type: ignore[override]  # noqa: N802 - room is required before parsing
        self, request: ReceivedReport[pb.ReportScorersRequest], context: Context
    ) -> pb.ReportScorersResponse:
        host_id, peer = request.head.host_id, peer_of(context)
        _require_own_report(host_id)
        size = size_of_sent_scorers(host_id, request.parts, len(request.received))
        self._live.host_room.require(host_id, peer, size)
        report = scorers_report_from_wire(request.parsed())
        await self._live.report_scorers(report, peer, size)
        return pb.ReportScorersResponse()

    async def ReportRouter(  # type: ignore[override]  # noqa: N802 - room is required before parsing
        self, request: ReceivedReport[pb.ReportRouterRequest], context: Context
    ) -> pb.ReportRouterResponse:
        router_id, peer = request.head.router_id, peer_of(context)
        size = ReportSize(request.parts, len(request.received))
        self._live.router_room.require(router_id, peer, size)
        report = router_report_from_wire(
            request.parsed(), largest_part_bytes=request.largest_part_bytes
        )
        await self._live.report_router(report, peer, size)
        return pb.ReportRouterResponse()

    async def Watch(  # type: ignore[override]  # noqa: N802 - bytes: serialised once for all watchers
        self, request: pb.WatchRequest, context: Context
    ) -> AsyncIterator[Callable[[], bytes]]:
        watcher, peer = request.watcher[:LONGEST_ACTOR], peer_of(context)
        watchers = self._live.watchers
        with suppress(UnavailableError):  # a state that was published is better than none
            # A watcher that comes from another instance may know a newer state.
            await self._live.catch_up()
        _log.info("watch_started", watcher=watcher, peer=peer, watchers=watchers.count)
        try:
            # Closed here and not by the garbage collector: the slot must be free at once.
            async with aclosing(watchers.watch(peer)) as snapshots:
                async for _ in snapshots:
                    # If it has to wait for room, a later one is sent in its place.
                    yield lambda: self._messages.written(watchers.latest)
        finally:
            _log.info("watch_ended", watcher=watcher)


def _require_own_report(host_id: str) -> None:
    """Check that a proven host reports only itself.

    Raises:
        PermissionRefusedError: the report speaks for another one.
    """
    proven = proven_caller()
    if proven is not None and proven.identity.name != host_id:
        raise PermissionRefusedError(f"{proven.identity.name} may not report for host {host_id}")


def add_registry(
    service: RegistryService,
    server: TakesHandlers,
    answers: AnswerRoom,
    guard: Guard,
    failed: Failed,
) -> None:
    """Let `server` answer with `service` the calls that `guard` lets pass.

    `answers`: the room for unread answers; `failed`: is told of each call that fails.
    """
    require_table_of(method.name for method in _SERVICE.methods)
    add = partial(registry_pb2_grpc.add_RegistryServiceServicer_to_server, service)
    forms: tuple[Form, ...] = (
        *REPORT_FORMS,
        CHANGE_FORM,
        *submission_forms(service.most_files),
    )
    add_bounded(server, add, forms, answers, guard, failed)
