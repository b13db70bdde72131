"""Explanations of logged answers by the registry; a fact that is absent is named."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp

from registry.cli.output import action_name
from registry.cli.status_output import declared_parts
from registry.decisions.explanation import FeatureFact, feature_facts, unchanged_for
from understudy.control.client import RegistryClient
from understudy.control.wire import file_from_wire, version_from_wire
from understudy.domain.canonical import digest_of_text
from understudy.domain.errors import InvalidInputError, NotFoundError
from understudy.domain.logged_features import AGES, STATUSES, FeatureList, ListedFeatures
from understudy.domain.snapshots import VersionSpec
from understudy.domain.versions import VersionRef, artifact_digest
from understudy.features.decisions.feature_columns import FeatureColumn, columns_of, shortened
from understudy.logs.find_request import LoggedRow
from understudy.provenance.findings import read_record
from understudy.registry.v1 import registry_pb2 as pb
from understudy.runtime.terminal.message_values import message_value

_PAGE = 1_000  # revisions, or rows of the audit log
_VECTORS = frozenset((*FeatureList, STATUSES, AGES))
_MATCHES, _DIFFERS = "matches its digest", "DIFFERS from its digest"


@dataclass(frozen=True, slots=True)
class Explanation:
    """One answered row, and the facts behind it."""

    model: str
    answer: dict[str, Any]  # columns of the score log, without the features
    version: dict[str, Any] | None  # None: not in this registry
    revision: dict[str, Any] | None  # None: not in this registry
    features: list[FeatureFact]
    absent: list[str]  # facts that cannot be told, each with the reason


@dataclass(slots=True)
class Explainer:
    """Explains rows; facts that several rows share are read once."""

    client: RegistryClient
    verify: bool  # whether the registry hashes artifacts and its log anew
    _versions: dict[VersionRef, pb.Version | None] = field(default_factory=dict)
    _verified: dict[VersionRef, str] = field(default_factory=dict)
    _revisions: dict[tuple[str, int], list[pb.RevisionEntry]] = field(default_factory=dict)

    def explain(self, row: LoggedRow) -> Explanation:
        """Return the explanation of one row.

        Raises:
            UnavailableError: the registry does not answer.
        """
        ref = VersionRef(row.model, row.columns["version"])
        version = self._version(ref)
        entries = self._entries(row.model, row.columns["revision"])
        features = feature_facts(
            row.listed.names,
            row.features,
            row.columns["statuses"],
            _columns(version),
            row.ages_ms,
        )
        return Explanation(
            model=row.model,
            answer={name: value for name, value in row.columns.items() if name not in _VECTORS},
            version=None if version is None else self._version_facts(ref, version),
            revision=self._revision_facts(row, entries) if entries else None,
            features=features,
            absent=[*_absent(row, ref, version, entries), *_absent_features(row.listed, features)],
        )

    def _version(self, ref: VersionRef) -> pb.Version | None:
        if ref not in self._versions:
            try:
                self._versions[ref] = self.client.get_version(ref.model, ref.number)
            except NotFoundError:
                self._versions[ref] = None
        return self._versions[ref]

    def _entries(self, model: str, revision: int) -> list[pb.RevisionEntry]:
        """Return the revision and those before it, newest first; empty if it does not exist."""
        key = model, revision
        if key not in self._revisions:
            request = pb.ListRevisionsRequest(model=model, before=revision + 1, limit=_PAGE)
            try:
                page = list(reversed(self.client.revisions_page(request).revisions))
            except NotFoundError:
                page = []
            found = bool(page) and page[0].deployment.revision == revision
            self._revisions[key] = page if found else []
        return self._revisions[key]

    def _version_facts(self, ref: VersionRef, version: pb.Version) -> dict[str, Any]:
        record = digest_of_text(version.provenance_json) == version.provenance_digest
        files = artifact_digest([file_from_wire(each) for each in version.files])
        people = read_record(version.provenance_json).groups.get("people")
        return {
            "version": str(ref),
            "registered_by": version.registered_by,
            "registered_at": _time(version.registered_at),
            "author": getattr(people, "author", None),
            "approver": getattr(people, "approver", None),
            "approvals": [message_value(each) for each in version.approval.approvals],
            "artifact_digest": version.artifact_digest,
            "list_of_files": _MATCHES if files == version.artifact_digest else _DIFFERS,
            "provenance_digest": version.provenance_digest,
            "provenance_record": _MATCHES if record else _DIFFERS,
            "verified_now": self._verification(ref),
        }

    def _verification(self, ref: VersionRef) -> str | None:
        """Return the result of a verification; None if none is asked for."""
        if self.verify and ref not in self._verified:
            done = self.client.verify(ref)
            whole = f"intact: {done.files} files, {done.audit_rows} rows of the audit log"
            self._verified[ref] = "; ".join(done.faults) or whole
        return self._verified.get(ref)

    def _revision_facts(self, row: LoggedRow, entries: list[pb.RevisionEntry]) -> dict[str, Any]:
        entry, number = entries[0], row.columns["version"]
        parts = [tuple(declared_parts(each.deployment, number)) for each in entries]
        same = unchanged_for(parts)
        audit = self._audit_row(row.model, entry.deployment.revision)
        rules = [each for each in entry.deployment.rules if each.name == row.columns["rule"]]
        return {
            "revision": entry.deployment.revision,
            "digest": entry.deployment.digest,
            "made": _origin(entry),
            "part": "; ".join(parts[0]) or None,
            "part_given": _origin(entries[same - 1]) if parts[0] else None,
            "part_given_or_before": same == len(entries) and entries[-1].deployment.revision > 1,
            "audit_row": None if audit is None else audit.sequence,
            "audit_digest": None if audit is None else audit.digest,
            "declared_at_that_time": self._declared_then(row),
            "rule": message_value(rules[0]) if rules else None,
        }

    def _audit_row(self, model: str, revision: int) -> pb.AuditEntry | None:
        """Return the row of the change that made a revision, read page by page from the end."""
        before: int | None = None
        while True:
            page = self.client.audit_page(
                pb.ListAuditRequest(model=model, before=before, limit=_PAGE, unverified=True)
            )
            found = [each for each in page.entries if each.to_revision == revision]
            if found or not page.has_more:
                return found[0] if found else None
            before = page.entries[0].sequence

    def _declared_then(self, row: LoggedRow) -> int | None:
        """Return the revision that the registry declared when the row was answered."""
        until = Timestamp()
        until.FromDatetime(row.columns["at_utc"].replace(tzinfo=UTC))
        request = pb.ListRevisionsRequest(model=row.model, limit=1, until=until)
        page = self.client.revisions_page(request)
        return page.revisions[0].deployment.revision if page.revisions else None


def _columns(version: pb.Version | None) -> tuple[FeatureColumn, ...]:
    if version is None:
        return ()
    spec: VersionSpec = version_from_wire(version)
    try:
        return columns_of(spec.feature_set, spec.feature_views)
    except InvalidInputError:
        return ()  # no router serves it now; its bounds on ages are not known


def _absent(
    row: LoggedRow,
    ref: VersionRef,
    version: pb.Version | None,
    entries: list[pb.RevisionEntry],
) -> Iterator[str]:
    if version is None:
        yield f"version: this registry has no {ref}"
    revision = row.columns["revision"]
    if not entries:
        yield f"revision: this registry has no revision {revision} of {row.model}"
    elif not any(declared_parts(entries[0].deployment, ref.number)):
        yield (
            f"part: revision {revision} declares none for {ref}; it stood in for the champion, which "
            "was withheld"
        )
    if row.features is None:
        yield "features: the model read none, or the file has no such column"


def _absent_features(listed: ListedFeatures, features: list[FeatureFact]) -> Iterator[str]:
    if listed.hashed:
        names = shortened([name for name in listed.names if name in listed.hashed])
        yield f"values of {names}: only their digests are logged, by `log: hash` of the view"
    if listed.unlogged:
        yield f"values of {shortened(listed.unlogged)}: not logged, by `log: none` of the view"
    if any(each.value is None and each.name not in listed.unlogged for each in features):
        yield "values: missing, or not finite"


def _origin(entry: pb.RevisionEntry) -> dict[str, Any]:
    return {
        "revision": entry.deployment.revision,
        "action": action_name(entry.action),
        "by": entry.actor,
        "reason": entry.reason,
        "at": _time(entry.at),
    }


def _time(at: Timestamp) -> Any:
    return at.ToDatetime(tzinfo=UTC)
