"""Verification of the audit log: its own chain, and its agreement with the registry's content."""

from collections.abc import Iterator
from dataclasses import dataclass

from sqlalchemy import Connection

from registry.decisions.audit_chain import (
    Effect,
    RecordedRow,
    discrepancies,
    first_break,
    lineage_digest,
    revision_digest,
    version_digest,
)
from registry.store import audit_log, blocks, lineage, revisions, versions
from understudy.domain.canonical import digest_of_text
from understudy.domain.changes import Action


@dataclass(frozen=True, slots=True)
class VerifiedAudit:
    recorded: tuple[RecordedRow, ...]
    faults: tuple[str, ...]  # empty if the log is intact


def verify_audit(connection: Connection) -> VerifiedAudit:
    """Read the whole log and return it with all its faults."""
    recorded = audit_log.read_all(connection)
    faults = list(discrepancies(recorded, _present(connection)))
    broken_at = first_break(recorded)
    if broken_at is not None:
        faults.insert(0, f"the chain breaks at row {broken_at}")
    return VerifiedAudit(tuple(recorded), tuple(faults))


def _present(connection: Connection) -> Iterator[Effect]:
    """Yield the existing objects, with recomputed digests."""
    for version in versions.list_versions(connection):
        spec = version.spec
        provenance = digest_of_text(version.provenance_json)
        digest = version_digest(spec.artifact_digest, provenance)
        yield Effect(Action.REGISTER, spec.ref.model, spec.ref.number, digest)
    for each in lineage.read_all(connection)[1:]:  # a database begins with the first
        digest = lineage_digest(lineage.content_of(each))
        yield Effect(Action.RESTORE, "", each.place, digest)
    for block in blocks.read_all(connection):
        yield Effect(Action.BLOCK, block.ref.model, block.ref.number, "")
    for model in revisions.models_with_revisions(connection):
        for stored in revisions.history_of(connection, model):
            deployment = stored.deployment
            digest = revision_digest(deployment.digest, deployment.contract.digest)
            yield Effect(stored.action, model, deployment.revision, digest)
