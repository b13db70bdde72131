"""A blocking client of a registry for commands and scripts, with our errors."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from math import inf
from typing import Self, TypeVar

import grpc

from understudy.control.change_wire import change_to_wire
from understudy.control.identity import ACTOR_KEY, ON_BEHALF_OF_KEY, default_actor
from understudy.control.registry_channel import open_connected_channel
from understudy.control.uploads import NewVersion, PartT, artifact_paths, upload_parts
from understudy.control.wire_values import ref_to_wire
from understudy.domain.changes import Change
from understudy.domain.errors import UnavailableError
from understudy.domain.versions import VersionRef
from understudy.registry.v1 import registry_pb2 as pb
from understudy.registry.v1 import registry_pb2_grpc
from understudy.runtime.grpc_errors import error_of_call
from understudy.runtime.transport.transport import Transport

DEFAULT_REGISTRY = "127.0.0.1:8500"
_CONNECT_TIMEOUT_S = 10.0
_CALL_TIMEOUT_S = 30.0
_CHECK_TIMEOUT_S = 300.0  # of calls in which the registry hashes artifacts, and may load them
_UPLOAD_TIMEOUT_S = 600.0
_BACKUP_TIMEOUT_S = 21_600.0  # all artifacts, perhaps to another site


AnswerT = TypeVar("AnswerT")


class RegistryClient:
    """One channel to a registry. Close it, or use it in a `with` block.

    Every method raises an `UnderstudyError`: UnavailableError if the registry does not answer, or
    ConflictError, RefusedError, NotFoundError, InvalidInputError as returned by the registry.
    """

    def __init__(
        self,
        target: str,
        *,
        actor: str | None = None,
        on_behalf_of: str | None = None,
        access: Transport | None = None,
        longest_call_s: float = inf,
    ) -> None:
        """Open the channel; with a single address nothing is sent yet.

        Args:
            target: HOST:PORT, or several separated by commas: the first that can be connected to.
            actor: by default `user@host`.
            on_behalf_of: person for whom the actor, an automation, makes changes.
            access: by default that of the environment, or of a stack of this user at `target`.
            longest_call_s: limit of every call that has no upload, besides its own.

        Raises:
            InvalidInputError: the access does not fit the target, or the environment is faulty.
        """
        self._longest_call_s = longest_call_s
        self._target, self._channel = open_connected_channel(
            target, access, [("grpc.max_receive_message_length", 64 << 20)]
        )
        self._stub = registry_pb2_grpc.RegistryServiceStub(self._channel)
        named = {ACTOR_KEY: default_actor() if actor is None else actor}
        if on_behalf_of is not None:
            named[ON_BEHALF_OF_KEY] = on_behalf_of
        self._metadata = tuple(named.items())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._channel.close()

    def wait_until_reachable(self, *, timeout_s: float = _CONNECT_TIMEOUT_S) -> None:
        try:
            grpc.channel_ready_future(self._channel).result(timeout=timeout_s)
        except grpc.FutureTimeoutError as error:
            why = f"no answer within {timeout_s:g} s"
            raise UnavailableError(f"registry {self._target}", why) from error

    def register(self, version: NewVersion) -> pb.RegisterVersionResponse:
        """Register a version; if the gate refuses, the response has a report and no version."""
        return self._upload(self._stub.RegisterVersion, version, pb.RegisterVersionRequest)

    def check(self, version: NewVersion) -> pb.CheckVersionResponse:
        """Return the gate's report without registering anything."""
        return self._upload(self._stub.CheckVersion, version, pb.CheckVersionRequest)

    def sign_version(self, ref: VersionRef) -> str:
        """Return the registry's signed statement about a version, JSON."""
        request = pb.SignVersionRequest(ref=ref_to_wire(ref))
        return self._call(self._stub.SignVersion, request).envelope_json

    def recheck(self, ref: VersionRef) -> pb.RecheckVersionResponse:
        """Return the gate's report on a registered version, by now."""
        request = pb.RecheckVersionRequest(ref=ref_to_wire(ref))
        return self._call(self._stub.RecheckVersion, request, timeout_s=_CHECK_TIMEOUT_S)

    def change(
        self,
        model: str,
        change: Change,
        *,
        reason: str,
        dry_run: bool = False,
        expect_revision: int | None = None,
        override_reason: str | None = None,
    ) -> pb.ChangeDeploymentResponse:
        request = pb.ChangeDeploymentRequest(
            model=model,
            reason=reason,
            dry_run=dry_run,
            expect_revision=expect_revision,
            override_reason=override_reason,
        )
        field, message = change_to_wire(change)
        getattr(request, field).CopyFrom(message)
        getattr(request, field).SetInParent()  # an empty message is also a change
        return self._call(self._stub.ChangeDeployment, request, timeout_s=_CHECK_TIMEOUT_S)

    def restore(self, request: pb.RestoreRegistryRequest) -> pb.RestoreRegistryResponse:
        """Make the registry the successor of another one, or plan that."""
        return self._call(self._stub.RestoreRegistry, request)

    def list_versions(self, model: str | None = None) -> list[pb.Version]:
        """Return all versions, page by page."""
        page = self.versions_page(pb.ListVersionsRequest(model=model))
        found = list(page.versions)
        while page.has_more:
            page = self.versions_page(pb.ListVersionsRequest(model=model, after=found[-1].ref))
            found += page.versions
        return found

    def versions_page(self, request: pb.ListVersionsRequest) -> pb.ListVersionsResponse:
        return self._call(self._stub.ListVersions, request)

    def get_version(self, model: str, number: int) -> pb.Version:
        ref = pb.VersionRef(model=model, number=number)
        return self._call(self._stub.GetVersion, pb.GetVersionRequest(ref=ref)).version

    def get_deployment(self, model: str, revision: int | None = None) -> pb.Deployment:
        """Return a revision, by default the current one."""
        request = pb.GetDeploymentRequest(model=model, revision=revision)
        return self._call(self._stub.GetDeployment, request).deployment

    def revisions_page(self, request: pb.ListRevisionsRequest) -> pb.ListRevisionsResponse:
        return self._call(self._stub.ListRevisions, request)

    def list_revisions(self, model: str) -> list[pb.RevisionEntry]:
        """Return all revisions, oldest first, page by page."""
        page = self.revisions_page(pb.ListRevisionsRequest(model=model))
        found = list(page.revisions)
        while page.has_more:
            before = found[0].deployment.revision
            page = self.revisions_page(pb.ListRevisionsRequest(model=model, before=before))
            found = [*page.revisions, *found]
        return found

    def list_rollback_targets(self, model: str) -> pb.ListRollbackTargetsResponse:
        """Return the revisions that a rollback can return to, and the reasons against each."""
        request = pb.ListRollbackTargetsRequest(model=model)
        return self._call(self._stub.ListRollbackTargets, request, timeout_s=_CHECK_TIMEOUT_S)

    def list_audit(self, model: str | None = None) -> pb.ListAuditResponse:
        """Return the last 1000 rows of the audit log, after a verification of all of it."""
        return self.audit_page(pb.ListAuditRequest(model=model))

    def audit_page(self, request: pb.ListAuditRequest) -> pb.ListAuditResponse:
        return self._call(self._stub.ListAudit, request, timeout_s=_CHECK_TIMEOUT_S)

    def refusals_page(self, request: pb.ListRefusalsRequest) -> pb.ListRefusalsResponse:
        return self._call(self._stub.ListRefusals, request)

    def verify(self, ref: VersionRef | None = None) -> pb.VerifyRegistryResponse:
        """Let the registry verify all rows, and the artifact of one version, or of all."""
        named = None if ref is None else ref_to_wire(ref)
        request = pb.VerifyRegistryRequest(ref=named)
        return self._call(self._stub.VerifyRegistry, request, timeout_s=_UPLOAD_TIMEOUT_S)

    def export_audit(self) -> Iterator[bytes]:
        """Yield the bytes of an export; the pieces do not end with lines."""
        with _translated(self._target):
            request = pb.ExportAuditRequest()
            for piece in self._stub.ExportAudit(request, timeout=_UPLOAD_TIMEOUT_S):
                yield piece.data

    def backup(self) -> Iterator[bytes]:
        """Yield the bytes of a backup of now."""
        with _translated(self._target):
            request = pb.BackupRegistryRequest()
            for piece in self._stub.BackupRegistry(
                request, timeout=_BACKUP_TIMEOUT_S, metadata=self._metadata
            ):
                yield piece.data

    def get_audit_head(self) -> pb.GetAuditHeadResponse:
        return self._call(self._stub.GetAuditHead, pb.GetAuditHeadRequest())

    def get_status(self, model: str | None = None) -> pb.GetStatusResponse:
        return self._call(self._stub.GetStatus, pb.GetStatusRequest(model=model))

    def set_block(self, request: pb.SetBlockRequest) -> pb.SetBlockResponse:
        """Block a version, lift its block, or report the effect of that."""
        return self._call(self._stub.SetBlock, request)

    def set_retirement(self, request: pb.SetRetirementRequest) -> pb.SetRetirementResponse:
        """Retire a version, reinstate it, or report the effect of that."""
        return self._call(self._stub.SetRetirement, request)

    def set_tag(self, request: pb.SetTagRequest) -> pb.SetTagResponse:
        """Give a tag to a version, move it, remove it, or report the effect of that."""
        return self._call(self._stub.SetTag, request)

    def list_tags(self, model: str) -> pb.ListTagsResponse:
        return self._call(self._stub.ListTags, pb.ListTagsRequest(model=model))

    def collect(self, request: pb.CollectArtifactsRequest) -> pb.CollectArtifactsResponse:
        """Remove the bytes of artifacts that nothing needs, or return the plan."""
        return self._call(self._stub.CollectArtifacts, request, timeout_s=_CHECK_TIMEOUT_S)

    def cast_vote(self, request: pb.CastVoteRequest) -> pb.CastVoteResponse:
        """Approve a version, reject it, or report the effect of that."""
        return self._call(self._stub.CastVote, request)

    def set_approval_policy(
        self, request: pb.SetApprovalPolicyRequest
    ) -> pb.SetApprovalPolicyResponse:
        """Set the number of approvals that a model demands, or report the effect of that."""
        return self._call(self._stub.SetApprovalPolicy, request)

    def forget_host(self, request: pb.ForgetHostRequest) -> pb.ForgetHostResponse:
        """Declare that a silent scorer host is gone, or report the effect of that."""
        return self._call(self._stub.ForgetHost, request)

    def record_drill(self, drill: pb.RecordDrillRequest) -> pb.RecordDrillResponse:
        return self._call(self._stub.RecordDrill, drill)

    def watch(self, watcher: str) -> Iterator[pb.Snapshot]:
        """Yield the state, and again after each change, until the registry ends the stream."""
        with _translated(self._target):
            for message in self._stub.Watch(pb.WatchRequest(watcher=watcher)):
                yield message.snapshot

    def fetch_file(self, sha256: str) -> Iterator[bytes]:
        with _translated(self._target):
            request = pb.FetchArtifactFileRequest(sha256=sha256)
            for chunk in self._stub.FetchArtifactFile(request, timeout=_UPLOAD_TIMEOUT_S):
                yield chunk.data

    def _upload(
        self, method: "Callable[..., AnswerT]", version: NewVersion, part: "type[PartT]"
    ) -> AnswerT:
        artifact_paths(version.artifact_dir)  # its error must not be hidden by the call's
        with _translated(self._target):
            return method(
                upload_parts(version, part), timeout=_UPLOAD_TIMEOUT_S, metadata=self._metadata
            )

    def _call(
        self,
        method: "Callable[..., AnswerT]",
        request: object,
        *,
        timeout_s: float = _CALL_TIMEOUT_S,
    ) -> AnswerT:
        with _translated(self._target):
            limit_s = min(timeout_s, self._longest_call_s)
            return method(request, timeout=limit_s, metadata=self._metadata)


@contextmanager
def _translated(target: str) -> Iterator[None]:
    try:
        yield
    except grpc.RpcError as error:
        raise error_of_call(error, dependency=f"registry {target}") from error
