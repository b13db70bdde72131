"""The calls that only read: translate, and delegate."""

# ruff: noqa: ARG002 - gRPC gives each method a context, and the boundary answers failures

from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import aclosing
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import structlog
from sqlalchemy import Connection

from registry.block_version import Blocker
from registry.change_deployment import DeploymentChanger
from registry.collect_artifacts import Collector
from registry.restore_registry import Restorer
from registry.retire_version import Retirer
from registry.server.approvals import Approvals
from registry.server.backups import Backups
from registry.server.callers import Context, actor_of
from registry.server.database_review import DatabaseReview
from registry.server.deployment_change import (
    Changes,
)
from registry.server.fetches import Fetches
from registry.server.lists import (
    audit_page,
    refusals_page,
    revisions_page,
    version_message,
    versions_page,
)
from registry.server.live_state import LiveState
from registry.server.proofs import Proofs
from registry.server.recheck import Recheck
from registry.server.rollback_targets import RollbackTargets, target_to_wire
from registry.server.status import status_of
from registry.server.submissions import Submissions
from registry.server.tagging import listed_tags
from registry.server.wire import (
    model_faults,
    model_of,
    number_faults,
    ref_of,
)
from registry.store import revisions, versions
from registry.store.database import reading
from registry.tag_version import Tagger
from registry.verify_registry import verify_database
from understudy.control.wire import deployment_to_wire
from understudy.control.wire_values import GREATEST_NUMBER, ref_from_wire, value_or_none
from understudy.domain.changes import Ended
from understudy.domain.errors import NotFoundError, raise_any
from understudy.domain.versions import checked_model_name
from understudy.registry.v1 import registry_pb2 as pb
from understudy.registry.v1 import registry_pb2_grpc
from understudy.runtime.rpc_boundary import peer_of

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
    retirer: Retirer
    collector: Collector
    tagger: Tagger
    restorer: Restorer
    submissions: Submissions
    fetches: Fetches
    proofs: Proofs
    backups: Backups
    database_review: DatabaseReview
    recheck: Recheck
    approvals: Approvals


class ReadingService(registry_pb2_grpc.RegistryServiceServicer):
    """The servicer of the calls after which the registry is as before."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._live = parts.live

    async def ListVersions(  # noqa: N802
        self, request: pb.ListVersionsRequest, context: Context
    ) -> pb.ListVersionsResponse:
        def read(connection: Connection) -> pb.ListVersionsResponse:
            page = versions_page(connection, request)
            self._add_approvals(connection, page.versions)
            return page

        return await self._read(read)

    async def GetVersion(  # noqa: N802
        self, request: pb.GetVersionRequest, context: Context
    ) -> pb.GetVersionResponse:
        ref = ref_of(request.ref, "ref")

        def read(connection: Connection) -> pb.Version:
            message = version_message(connection, ref)
            self._add_approvals(connection, [message])
            return message

        return pb.GetVersionResponse(version=await self._read(read))

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

    async def ListRollbackTargets(  # noqa: N802
        self, request: pb.ListRollbackTargetsRequest, context: Context
    ) -> pb.ListRollbackTargetsResponse:
        await self._live.catch_up()
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
            await self._live.catch_up()
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

    async def ListTags(  # noqa: N802
        self, request: pb.ListTagsRequest, context: Context
    ) -> pb.ListTagsResponse:
        return await self._read(lambda c: listed_tags(c, request))

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

    async def ListRefusals(  # noqa: N802
        self, request: pb.ListRefusalsRequest, context: Context
    ) -> pb.ListRefusalsResponse:
        return await self._read(lambda c: refusals_page(c, request))

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

    async def BackupRegistry(  # noqa: N802
        self, request: pb.BackupRegistryRequest, context: Context
    ) -> AsyncIterator[pb.BackupRegistryResponse]:
        async with aclosing(self._parts.backups.pieces(actor_of(context))) as pieces:
            async for piece in pieces:
                yield pb.BackupRegistryResponse(data=piece)

    async def GetAuditHead(  # noqa: N802
        self, request: pb.GetAuditHeadRequest, context: Context
    ) -> pb.GetAuditHeadResponse:
        return await self._parts.proofs.head()

    async def GetStatus(  # noqa: N802
        self, request: pb.GetStatusRequest, context: Context
    ) -> pb.GetStatusResponse:
        model = model_of(request)
        await self._live.catch_up()
        status = status_of(
            self._live, self._parts.rollback_targets, model, self._parts.database_review.latest
        )
        if model is not None and not (status.deployments or status.scorers):
            await self._check_registered(model)
        deployments = self._live.deployments(model)
        approvals = self._parts.approvals
        status.approvals.extend(
            await self._read(lambda c: approvals.of_deployments(c, deployments))
        )
        return status

    def _add_approvals(self, connection: Connection, messages: Iterable[pb.Version]) -> None:
        by_ref = {ref_from_wire(each.ref): each for each in messages}
        for ref, approval in self._parts.approvals.of_versions(connection, by_ref).items():
            by_ref[ref].approval.CopyFrom(approval)

    async def _read(self, query: Callable[[Connection], ResultT]) -> ResultT:
        def read() -> ResultT:
            with reading(self._parts.changer.engine) as connection:
                return query(connection)

        return await self._live.run(read)

    async def _check_registered(self, model: str) -> None:
        if not await self._read(partial(versions.numbers_of, model=model)):
            raise NotFoundError("model", model)
