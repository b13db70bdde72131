"""Translation of the registry's own messages to its values and back; see `understudy.control.wire`."""

from collections.abc import Iterator, Mapping
from itertools import chain
from typing import Any

from registry.decisions.actors import Actor, Proof
from registry.decisions.audit_chain import RecordedRow
from registry.decisions.recorded_objects import Kind
from registry.record_drill import Drill
from registry.register_version import Registration
from registry.server.callers import checked_reason
from registry.store.marks import Mark
from registry.store.revisions import StoredRevision
from registry.store.versions import StoredVersion
from understudy.artifact.paths import checked_path
from understudy.control.wire import deployment_to_wire, file_from_wire, version_to_wire
from understudy.control.wire_enums import ACTIONS, LEVEL_OF, wire_values
from understudy.control.wire_values import ref_from_wire, timestamp
from understudy.domain.deployments import DegradationLevel
from understudy.domain.errors import Fault, InvalidInputError, raise_any
from understudy.domain.features import FeatureView, view_from_canonical_json
from understudy.domain.version_content import content_digest_of
from understudy.domain.versions import (
    GREATEST_VERSION,
    ScoreOutput,
    VersionRef,
    checked_model_name,
)
from understudy.gate.gate import GateReport
from understudy.provenance.evidence import Evidence, FieldEvidence, evidence_of
from understudy.provenance.findings import read_record
from understudy.registry.v1 import registry_pb2 as pb
from understudy.runtime.parsing import RequestForm

_MOST_VIEWS = 256
_LONGEST_DOCUMENT_BYTES = 1 << 20  # of a record, or a view of 4,096 features
_MOST_VALUES = 25_000  # of a record; those of 4,096 features have room
_MOST_OBJECTS = 8_192  # of a record: twice as many; an empty one may have a fault for each field

UploadPart = pb.RegisterVersionRequest | pb.CheckVersionRequest

_EVIDENCE = wire_values(Evidence, pb.Evidence, "EVIDENCE")
_PROOFS = {proof.value: n for proof, n in wire_values(Proof, pb.Proof, "PROOF").items()}
_ACTIONS = {action.value: number for action, number in ACTIONS.items()}


def registration_from_wire(
    message: pb.Registration, *, actor: Actor, most_files: int
) -> Registration:
    """Return the registration, with its paths confined and its views read.

    Raises:
        InvalidInputError: with its faults, up to a limit.
    """
    if (count := len(message.files)) > most_files:
        raise InvalidInputError([Fault("files", f"{count} files", f"at most {most_files}")])
    views: list[FeatureView] = []
    cheap = chain(_record_faults(message.provenance_json), _path_faults(message))
    raise_any(chain(cheap, _view_faults(message, views)))
    return Registration(
        model=checked_model_name(message.model),
        files=tuple(file_from_wire(file) for file in message.files),
        record_json=message.provenance_json,
        views=tuple(views),
        score_output=ScoreOutput(
            message.score_output.output,
            message.score_output.column,
            names_column=message.score_output.HasField("column"),
        ),
        reason=message.reason,
        actor=actor,
    )


def submission_forms(most_files: int) -> tuple[RequestForm[Any], ...]:
    most = {"registration.files": most_files, "registration.feature_views": _MOST_VIEWS}
    kinds = pb.CheckVersionRequest, pb.RegisterVersionRequest
    documents = "provenance_json", "feature_views.canonical_json"
    most_bytes = {f"registration.{path}": _LONGEST_DOCUMENT_BYTES for path in documents}
    return tuple(RequestForm(kind, most, most_bytes=most_bytes) for kind in kinds)


def stored_version_to_wire(version: StoredVersion, *, with_record: bool) -> pb.Version:
    """Return the message with all that the registry knows, and the record if requested."""
    message = version_to_wire(version.spec)
    message.registered_by = version.registered_by
    message.content_digest = content_digest_of(version.spec)
    message.registered_at.CopyFrom(timestamp(version.registered_at_ns))
    if with_record:
        message.provenance_json = version.provenance_json
        rows = evidence_of(read_record(version.provenance_json).groups)
        message.evidence.extend(map(_evidence_to_wire, rows))
    return message


def add_marks(message: pb.Version, found: Mapping[Kind, Mark]) -> None:
    """Add the marks of a version that concern its life; blocks are part of its deployment."""
    for kind, field in ((Kind.RETIREMENT, message.retired), (Kind.COLLECTION, message.collected)):
        if (mark := found.get(kind)) is not None:
            at = timestamp(mark.at_ns)
            field.CopyFrom(pb.VersionMark(actor=mark.actor, reason=mark.reason, at=at))


def report_to_wire(report: GateReport) -> pb.GateReport:
    return pb.GateReport(
        complete=report.complete,
        findings=[
            pb.GateFinding(field=each.field, read=each.read, wanted=each.wanted)
            for each in report.findings
        ],
        artifact_digest=report.artifact_digest,
        provenance_digest=report.provenance_digest or None,
        evidence=map(_evidence_to_wire, report.evidence),
    )


def _evidence_to_wire(row: FieldEvidence) -> pb.FieldEvidence:
    return pb.FieldEvidence(field=row.field, evidence=_EVIDENCE[row.evidence], by=row.by)


def revision_to_wire(stored: StoredRevision) -> pb.RevisionEntry:
    return pb.RevisionEntry(
        deployment=deployment_to_wire(stored.deployment),
        actor=stored.actor,
        reason=stored.reason,
        action=_action(stored.action),
        at=timestamp(stored.at_ns),
    )


def audit_to_wire(recorded: RecordedRow) -> pb.AuditEntry:
    row = recorded.row
    return pb.AuditEntry(
        sequence=row.sequence,
        at=timestamp(row.at_ns),
        actor=row.actor,
        action=_action(row.action),
        model=row.model or None,
        reason=row.reason,
        from_revision=row.from_revision or None,
        to_revision=row.to_revision or None,
        details_json=row.details_json,
        digest=recorded.digest,
        previous_digest=row.previous_digest,
        proof=_PROOFS.get(row.proof, pb.PROOF_UNSPECIFIED),
        peer=row.peer,
        on_behalf_of=row.on_behalf_of or None,
        format=row.format,
    )


def ref_of(message: pb.VersionRef, field: str) -> VersionRef:
    """Return the version that a request names.

    Raises:
        InvalidInputError: the model's name or the number is invalid; with both faults.
    """
    raise_any(ref_faults(message, field))
    return ref_from_wire(message)


def ref_faults(message: pb.VersionRef, field: str) -> Iterator[Fault]:
    """Yield the faults of a request's version: a name or a number that no version can have."""
    yield from model_faults(message.model, f"{field}.model")
    yield from number_faults(message.number, f"{field}.number", GREATEST_VERSION)


def model_faults(name: str, field: str) -> Iterator[Fault]:
    try:
        checked_model_name(name, field)
    except InvalidInputError as error:
        yield from error.faults


def number_faults(number: int | None, field: str, greatest: int) -> Iterator[Fault]:
    """Yield the fault of a number that is set and not between 1 and `greatest`."""
    if number is not None and not 1 <= number <= greatest:
        yield Fault(field, str(number), f"1 to {greatest}")


def model_of(
    request: pb.ListVersionsRequest | pb.ListAuditRequest | pb.GetStatusRequest,
) -> str | None:
    """Return the named model, or None if the request is about all models.

    Raises:
        InvalidInputError: the name is not a valid model name.
    """
    return checked_model_name(request.model) if request.HasField("model") else None


def drill_from_wire(request: pb.RecordDrillRequest, actor: Actor) -> Drill:
    """Return the drill.

    Raises:
        InvalidInputError: it is invalid, or its reason is a placeholder.
    """
    return Drill(
        actor=actor,
        router=request.router,
        level=level_of(request),
        duration_s=request.duration_s,
        reason=checked_reason(request.reason),
    )


def level_of(request: pb.RecordDrillRequest) -> DegradationLevel:
    """Return the level of the drill.

    Raises:
        InvalidInputError: the level is unknown.
    """
    level = LEVEL_OF.get(request.level)
    if level is None:
        accepted = "FULL for the end of a drill; FEATURES, FALLBACK or CONSTANT"
        raise InvalidInputError.of("level", read=request.level, accepted=accepted)
    return level


def _action(text: str) -> pb.Action.ValueType:
    """Return the action; a row that no registry wrote may contain any text."""
    return _ACTIONS.get(text, pb.ACTION_UNSPECIFIED)


def _record_faults(text: str) -> Iterator[Fault]:
    """Yield the faults of a record that would be too much to read; each value but one has a comma."""
    if (values := text.count(",") + 1) > _MOST_VALUES:
        yield Fault("provenance_json", f"about {values} values", f"at most {_MOST_VALUES}")
    elif (objects := text.count("{")) > _MOST_OBJECTS:
        yield Fault("provenance_json", f"about {objects} objects", f"at most {_MOST_OBJECTS}")


def _path_faults(message: pb.Registration) -> Iterator[Fault]:
    for index, file in enumerate(message.files):
        try:
            checked_path(file.path, f"files[{index}].path")
        except InvalidInputError as error:
            yield from error.faults
    if len({file.path for file in message.files}) != len(message.files):
        yield Fault("files", "a path twice", "each file once")


def _view_faults(message: pb.Registration, views: list[FeatureView]) -> Iterator[Fault]:
    """Add the sound views to `views`, and yield a fault for each of the others."""
    for index, each in enumerate(message.feature_views):
        if (view := _view(each)) is not None:
            views.append(view)
        else:
            accepted = "a view's canonical JSON and the sha256 of that text"
            text = each.canonical_json[:80]
            yield Fault(f"feature_views[{index}]", text, accepted)


def _view(message: pb.FeatureViewDefinition) -> FeatureView | None:
    try:
        view = view_from_canonical_json(message.canonical_json)
        sound = view.canonical_json == message.canonical_json and view.digest == message.digest
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError, OverflowError):
        return None
    return view if sound else None
