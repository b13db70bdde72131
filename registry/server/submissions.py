"""Submitted versions: files are received and inspected, then the gate decides."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace

import structlog

from registry.decisions.actors import Actor
from registry.register_version import Registered, Registrar, Registration
from registry.server.authentication import proven_caller
from registry.server.callers import checked_reason, log_facts
from registry.server.live_state import LiveState
from registry.server.origins import Origins
from registry.server.receive_artifact import PacedParts, UploadLimits, receive_files
from registry.server.seating import Seating
from registry.server.wire import UploadPart, registration_from_wire
from registry.store.artifacts import ArtifactStore
from understudy.domain.errors import InvalidInputError
from understudy.gate.gate import GateReport
from understudy.gate.inspection import Inspector
from understudy.gate.trial import Trial, trial_of_record
from understudy.provenance.inspection import Inspection

_log = structlog.get_logger()


@dataclass(slots=True, eq=False)
class Submissions:
    """Handles a limited number of uploads at a time."""

    live: LiveState
    registrar: Registrar
    inspector: Inspector
    artifacts: ArtifactStore
    limits: UploadLimits
    seating: Seating
    origins: Origins

    async def take(
        self, parts: AsyncIterator[UploadPart], actor: Actor, peer: str, *, register: bool
    ) -> tuple[GateReport, Registered | None]:
        """Return the gate's report, and the version if it was to be registered and passed.

        Raises:
            OverloadedError: too many uploads are in progress, in all or from `peer`.
            InvalidInputError, DeadlinePassedError, UnavailableError: see `receive_files`.
        """
        with self.seating.seat(peer):
            return await self._receive(
                PacedParts(parts, self.limits.pace), actor, register=register
            )

    async def _receive(
        self, parts: PacedParts[UploadPart], actor: Actor, *, register: bool
    ) -> tuple[GateReport, Registered | None]:
        first = await parts.next_part()
        if first is None or not first.HasField("registration"):
            raise InvalidInputError.of(
                "part", read="no registration", accepted="the registration, first"
            )
        asked = registration_from_wire(
            first.registration, actor=actor, most_files=self.limits.max_files
        )
        if (proven := proven_caller()) is not None:
            asked = replace(asked, approvers=proven.approvers())
        if first.registration.HasField("origin_json"):
            origin = self.origins.verified(first.registration.origin_json)
            asked = replace(asked, origin=origin)
        if register:
            checked_reason(asked.reason)
        # Not in a worker thread: if the caller cancelled now, the file would never be removed.
        with self.artifacts.stage() as staging:
            received = await receive_files(asked.files, parts, staging, self.live.run, self.limits)
            # Without files there is nothing to inspect; the findings name their absence.
            inspection = (
                await self.inspector.inspect(staging.directory, trial_of(asked))
                if received
                else Inspection()
            )
            submission = self.registrar.prepare(asked, received, inspection)
            if not register:
                return await self.live.run(lambda: self.registrar.check(asked, submission)), None
            report, registered = await self.live.change(
                lambda: self.registrar.register(asked, submission, staging), models=[asked.model]
            )
        _log_outcome(asked.model, actor, report, registered)
        return report, registered


def trial_of(asked: Registration) -> Trial:
    return trial_of_record(asked.record_json, asked.views, asked.score_output)


def _log_outcome(
    model: str, actor: Actor, report: GateReport, registered: Registered | None
) -> None:
    if registered is None:
        _log.warning(
            "registration_refused",
            model=model,
            **log_facts(actor),
            findings=len(report.findings),
            fields=[finding.field for finding in report.findings],
        )
        return
    _log.info(
        "version_registered" if registered.is_new else "version_was_registered_before",
        version=str(registered.version.spec.ref),
        **log_facts(actor),
        artifact_digest=report.artifact_digest,
        provenance_digest=report.provenance_digest,
        audit_digest=registered.audit_digest,
    )
