"""The registry's own messages to its words and back; shared ones are in `understudy.control.wire`."""

from google.protobuf.timestamp_pb2 import Timestamp

from registry.decisions.audit_chain import RecordedRow
from registry.register_version import Registration
from registry.store.revisions import StoredRevision
from registry.store.versions import StoredVersion
from understudy.artifact.paths import checked_path
from understudy.control.wire import (
    deployment_to_wire,
    file_from_wire,
    file_to_wire,
    ref_to_wire,
    tensor_to_wire,
    view_to_wire,
)
from understudy.domain.errors import Fault, InvalidInputError
from understudy.domain.features import FeatureView, view_from_canonical_json
from understudy.domain.versions import ScoreOutput, checked_model_name
from understudy.gate.gate import GateReport
from understudy.registry.v1 import registry_pb2 as pb


def registration_from_wire(message: pb.Registration, *, actor: str) -> Registration:
    """Return the registration, its paths confined and its views read.

    Raises:
        InvalidInputError: with all that is wrong.
    """
    faults: list[Fault] = []
    for index, file in enumerate(message.files):
        try:
            checked_path(file.path, f"files[{index}].path")
        except InvalidInputError as error:
            faults += error.faults
    if len({file.path for file in message.files}) != len(message.files):
        faults.append(Fault("files", "a path twice", "each file once"))
    views = [
        view
        for index, each in enumerate(message.feature_views)
        if (view := _view(each, f"feature_views[{index}]", faults)) is not None
    ]
    if faults:
        raise InvalidInputError(faults)
    return Registration(
        model=checked_model_name(message.model),
        files=tuple(file_from_wire(file) for file in message.files),
        record_json=message.provenance_json,
        views=tuple(views),
        score_output=ScoreOutput(message.score_output.output, message.score_output.column),
        reason=message.reason,
        actor=actor,
    )


def version_to_wire(version: StoredVersion, *, with_record: bool) -> pb.Version:
    """Return the message; without the record it is what a scorer host and a router need."""
    spec = version.spec
    return pb.Version(
        ref=ref_to_wire(spec.ref),
        artifact_digest=spec.artifact_digest,
        files=[file_to_wire(file) for file in spec.files],
        provenance_digest=spec.provenance_digest,
        provenance_json=version.provenance_json if with_record else "",
        inputs=[tensor_to_wire(tensor) for tensor in spec.inputs],
        outputs=[tensor_to_wire(tensor) for tensor in spec.outputs],
        feature_set=[str(ref) for ref in spec.feature_set],
        feature_views=[view_to_wire(view) for view in spec.feature_views],
        score_output=pb.ScoreOutput(
            output=spec.score_output.output, column=spec.score_output.column
        ),
        registered_by=version.registered_by,
        golden_tolerance=spec.golden_tolerance,
        registered_at=timestamp(version.registered_at_ns),
    )


def report_to_wire(report: GateReport) -> pb.GateReport:
    return pb.GateReport(
        complete=report.complete,
        findings=[
            pb.GateFinding(field=each.field, read=each.read, wanted=each.wanted)
            for each in report.findings
        ],
        artifact_digest=report.artifact_digest,
        provenance_digest=report.provenance_digest,
    )


def revision_to_wire(stored: StoredRevision) -> pb.RevisionEntry:
    return pb.RevisionEntry(
        deployment=deployment_to_wire(stored.deployment),
        actor=stored.actor,
        reason=stored.reason,
        action=stored.action,
        at=timestamp(stored.at_ns),
    )


def audit_to_wire(recorded: RecordedRow) -> pb.AuditEntry:
    row = recorded.row
    return pb.AuditEntry(
        sequence=row.sequence,
        at=timestamp(row.at_ns),
        actor=row.actor,
        action=row.action,
        model=row.model,
        reason=row.reason,
        from_revision=row.from_revision,
        to_revision=row.to_revision,
        details_json=row.details_json,
        digest=recorded.digest,
        previous_digest=row.previous_digest,
    )


def timestamp(at_ns: int) -> Timestamp:
    message = Timestamp()
    message.FromNanoseconds(at_ns)
    return message


def _view(message: pb.FeatureViewDefinition, field: str, faults: list[Fault]) -> FeatureView | None:
    try:
        view = view_from_canonical_json(message.canonical_json)
        sound = view.canonical_json == message.canonical_json and view.digest == message.digest
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError, OverflowError):
        sound, view = False, None
    if not sound:
        accepted = "a view's canonical JSON and the sha256 of that text"
        faults.append(Fault(field, message.canonical_json[:80], accepted))
        return None
    return view
