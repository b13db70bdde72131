"""Registration of an immutable version: receive, examine, keep. All or nothing."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from importlib.metadata import version as installed_version
from typing import Any

from sqlalchemy import Connection, Engine

from registry.decisions.actors import Actor
from registry.decisions.recorded_objects import Kind
from registry.decisions.version_statement import VersionStatement
from registry.store import audit_log, loads, marks, revisions, versions
from registry.store.artifacts import ArtifactStore, Staging
from registry.store.database import owning_files, reading, writing
from registry.store.marked_versions import record_mark
from registry.store.marks import Mark
from registry.store.versions import StoredVersion
from registry.version_past import surroundings_then
from understudy.domain.canonical import canonical_json
from understudy.domain.changes import Action
from understudy.domain.errors import InvalidInputError
from understudy.domain.features import FeatureRef, FeatureView
from understudy.domain.instants import unix_ns
from understudy.domain.snapshots import VersionSpec
from understudy.domain.version_content import content_digest_of
from understudy.domain.versions import ArtifactFile, ScoreOutput, VersionRef
from understudy.gate.artifact_checks import tensor_spec
from understudy.gate.feature_checks import column_inputs
from understudy.gate.gate import GateReport, examine
from understudy.gate.submission import Submission, Surroundings
from understudy.provenance.inspection import Inspection


@dataclass(frozen=True, slots=True)
class Registration:
    """A caller's registration; the bytes of the files are sent separately."""

    model: str
    files: tuple[ArtifactFile, ...]  # as announced
    record_json: str
    views: tuple[FeatureView, ...]
    score_output: ScoreOutput
    reason: str
    actor: Actor
    origin: VersionStatement | None = None  # verified; None: it is registered here first
    approvers: frozenset[str] | None = None  # proven names; None: names are claims


@dataclass(frozen=True, slots=True)
class Registered:
    """A version that passed the gate."""

    version: StoredVersion
    audit_digest: str  # digest of its audit row; empty if it was registered before
    is_recovered: bool = (
        False  # it was registered before, and its collected artifact is there again
    )

    @property
    def is_new(self) -> bool:
        """False: the model has a version with this content already, and nothing was registered."""
        return bool(self.audit_digest)


@dataclass(frozen=True, slots=True)
class Registrar:
    """Registers versions in worker threads: everything here may block."""

    engine: Engine
    artifacts: ArtifactStore
    now: Callable[[], datetime]  # UTC

    def prepare(
        self, registration: Registration, received: Sequence[ArtifactFile], inspection: Inspection
    ) -> Submission:
        """Return the complete input of the gate."""
        return Submission(
            model=registration.model,
            files=tuple(received),
            record_json=registration.record_json,
            views=registration.views,
            score_output=registration.score_output,
            inspection=inspection,
        )

    def check(self, registration: Registration, submission: Submission) -> GateReport:
        """Return the gate's report without registering anything."""
        with reading(self.engine) as connection:
            return self._examine(connection, registration, submission)

    def register(
        self, registration: Registration, submission: Submission, staging: Staging
    ) -> tuple[GateReport, Registered | None]:
        """Register under the next number if the gate finds nothing; otherwise change nothing.

        Content that the model has already is not registered again: its version is returned, with its
        artifact again if that was collected.
        """
        report = self.check(registration, submission)
        if not report.complete:
            return report, None
        with owning_files(self.engine):
            # Files first: a row must never name missing bytes.
            self.artifacts.keep(staging, submission.files)
            return self._registered(registration, submission)

    def _registered(
        self, registration: Registration, submission: Submission
    ) -> tuple[GateReport, Registered | None]:
        with writing(self.engine) as connection:
            # Again, under the lock: a view may have been redefined in the meantime.
            report = self._examine(connection, registration, submission)
            if not report.complete:
                return report, None
            version = self._version(registration, submission, report)
            _check_origin(registration.origin, version.spec)
            if (before := versions.with_content_of(connection, version.spec)) is not None:
                is_recovered = self._recover(connection, registration, before.spec.ref)
                return report, Registered(before, audit_digest="", is_recovered=is_recovered)
            stored = versions.add_version(connection, version)
            loads.add(connection, report.artifact_digest, submission.inspection.onnxruntime)
            audit_digest = audit_log.append(connection, self._event(registration, stored))
        return report, Registered(stored, audit_digest)

    def _recover(self, connection: Connection, registration: Registration, ref: VersionRef) -> bool:
        """End the collection of a version whose files have just been stored again."""
        if ref.number not in marks.of_model(connection, Kind.COLLECTION, ref.model):
            return False
        at_ns = unix_ns(self.now())
        mark = Mark(Kind.COLLECTION, ref, registration.actor.name, registration.reason, at_ns)
        record_mark(connection, mark, registration.actor, begins=False)
        return True

    def _examine(
        self, connection: Connection, registration: Registration, submission: Submission
    ) -> GateReport:
        around = Surroundings(
            actor=registration.actor.name,
            now=self.now(),
            versions=versions.all_refs(connection),
            champions=frozenset(revisions.champions_of(connection, registration.model)),
            view_digests=versions.view_digests(connection),
            onnxruntime=installed_version("onnxruntime"),
            origin_actor=None if registration.origin is None else registration.origin.actor,
            # The approvers of an imported version are those of the registry that had it first.
            approvers=registration.approvers if registration.origin is None else None,
        )
        report = examine(submission, around)
        digests = report.artifact_digest, report.provenance_digest
        before = versions.with_digests(connection, registration.model, *digests)
        if report.complete or not before:
            return report
        # Once registered, a version keeps the surroundings of its registration.
        return examine(
            submission,
            surroundings_then(connection, before[0], self.now(), around.onnxruntime),
        )

    def _version(
        self, registration: Registration, submission: Submission, report: GateReport
    ) -> StoredVersion:
        if report.artifact is None or report.features is None:
            raise ValueError("a complete report has all groups")
        spec = VersionSpec(
            ref=VersionRef(registration.model, 0),  # numbered by the store
            artifact_digest=report.artifact_digest,
            files=submission.files,
            provenance_digest=report.provenance_digest,
            inputs=tuple(tensor_spec(each) for each in submission.inspection.inputs),
            outputs=tuple(tensor_spec(each) for each in submission.inspection.outputs),
            feature_set=tuple(FeatureRef.parse(c.ref) for c in report.features.columns),
            feature_views=registration.views,
            score_output=registration.score_output,
            golden_tolerance=report.artifact.golden.tolerance,
            column_inputs=column_inputs(report.features.columns),
            joins_rows=report.artifact.joins_rows,
        )
        at_ns = unix_ns(self.now())
        return StoredVersion(spec, report.record_json, registration.actor.name, at_ns)

    def _event(self, registration: Registration, stored: StoredVersion) -> audit_log.Event:
        details: dict[str, Any] = {
            "version": str(stored.spec.ref),
            "artifact_digest": stored.spec.artifact_digest,
            "provenance_digest": stored.spec.provenance_digest,
            "content_digest": content_digest_of(stored.spec),
            "digest": stored.digest,
        }
        if registration.origin is not None:
            details["origin"] = registration.origin.content
        return audit_log.Event(
            at_ns=stored.registered_at_ns,
            actor=registration.actor,
            action=Action.REGISTER,
            model=registration.model,
            reason=registration.reason,
            details_json=canonical_json(details),
        )


def _check_origin(origin: VersionStatement | None, spec: VersionSpec) -> None:
    """Refuse content that is not the content that the origin speaks of.

    Raises:
        InvalidInputError: model or content differ.
    """
    if origin is None:
        return
    found = content_digest_of(spec)
    if (origin.ref.model, origin.content_digest) != (spec.ref.model, found):
        read = f"{origin.ref.model}, content {origin.content_digest}"
        raise InvalidInputError.of(
            "origin", read=read, accepted=f"{spec.ref.model}, content {found}, as sent"
        )
