"""The gate: a version passes only with complete provenance. It fails closed and names all faults."""

from dataclasses import dataclass

from understudy.domain.canonical import canonical_json, digest_of_text
from understudy.domain.versions import artifact_digest
from understudy.gate.artifact_checks import artifact_findings
from understudy.gate.fact_checks import fact_findings
from understudy.gate.feature_checks import feature_findings
from understudy.gate.missing_checks import missing_findings
from understudy.gate.record_checks import record_findings
from understudy.gate.submission import Submission, Surroundings
from understudy.provenance.artifact_record import Artifact, Features
from understudy.provenance.evidence import (
    FieldEvidence,
    evidence_of,
    with_unproven_waivers,
    without_proof,
)
from understudy.provenance.findings import Finding, read_record

# Compared with the loaded model.
_OF_THE_MODEL = (
    *("artifact.opsets", "artifact.ir_version", "artifact.producer", "artifact.golden"),
    *("artifact.inputs", "artifact.outputs", "artifact.joins_rows", "environment.converter"),
    "parent.conversion.columns_with_missing",
)


# Compared with the versions and champions of the registry that registered the version first.
OF_THE_ORIGIN = ("evaluation.comparison", "parent.version")


@dataclass(frozen=True, slots=True)
class GateReport:
    findings: tuple[Finding, ...]
    artifact_digest: str
    provenance_digest: str
    record_json: str  # canonical; empty if the record could not be read
    artifact: Artifact | None
    features: Features | None
    evidence: tuple[FieldEvidence, ...] = ()  # of the fields that no finding names

    @property
    def complete(self) -> bool:
        return not self.findings


def examine(submission: Submission, around: Surroundings) -> GateReport:
    """Return every reason against registering `submission`; no finding means that it may be."""
    read = read_record(submission.record_json)
    findings = [
        *read.findings,
        *record_findings(read.groups, around, submission.model),
        *artifact_findings(submission, read.groups.get("artifact")),
        *feature_findings(submission, read.groups.get("features"), around.view_digests),
        *fact_findings(read.groups, submission.inspection, submission.score_output),
        *missing_findings(
            read.groups.get("features"), read.groups.get("parent"), submission.inspection
        ),
    ]
    evidence = evidence_of(read.groups, (finding.field for finding in findings))
    if around.approvers is None:
        evidence = [*with_unproven_waivers(evidence)]
    text = canonical_json(read.values) if read.values is not None else ""
    return GateReport(
        findings=tuple(dict.fromkeys(findings)),
        artifact_digest=artifact_digest(submission.files),
        provenance_digest=digest_of_text(text) if text else "",
        record_json=text,
        artifact=read.groups.get("artifact"),
        features=read.groups.get("features"),
        evidence=tuple(without_proof(evidence, _unseen_parts(submission, around))),
    )


def _unseen_parts(submission: Submission, around: Surroundings) -> tuple[str, ...]:
    """Return the parts of the record that could not be compared."""
    inspection = submission.inspection
    did_not_load = inspection.problems or not inspection.golden_rows
    of_model = _OF_THE_MODEL if did_not_load else ()
    return of_model if around.origin_actor is None else (*of_model, *OF_THE_ORIGIN)
