"""The objects that the audit log records, by digests that cover all of them.

A digest covers the object, its author and its time, so that an object can be changed only together
with its row, and the row only together with the rest of the chain.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from registry.decisions.audit_chain import AuditRow, RecordedRow
from understudy.domain.canonical import digest_of, exact_integer
from understudy.domain.changes import Action
from understudy.domain.versions import VersionRef


class Kind(StrEnum):
    VERSION = "version"
    REVISION = "revision"
    BLOCK = "block"
    LINEAGE = "lineage"
    RETIREMENT = "retirement"
    COLLECTION = "collection"
    VOTE = "vote"
    APPROVAL_POLICY = "approval_policy"
    TAG = "tag"


MARKS = frozenset({Kind.BLOCK, Kind.RETIREMENT, Kind.COLLECTION})  # of versions, beside revisions
BEGINS = {
    Action.BLOCK: Kind.BLOCK,
    Action.RETIRE: Kind.RETIREMENT,
    Action.COLLECT: Kind.COLLECTION,
}
ENDS = {
    Action.UNBLOCK: Kind.BLOCK,
    Action.REINSTATE: Kind.RETIREMENT,
    Action.RECOVER: Kind.COLLECTION,
}
_OF_MARKS: Mapping[str, Kind] = {str(a): kind for a, kind in (BEGINS | ENDS).items()}


@dataclass(frozen=True, slots=True, order=True)
class Subject:
    """An object that a row of the log records."""

    kind: Kind
    model: str  # empty for a lineage
    number: int  # of the version or revision; place of the lineage or policy; 0 for a tag
    place: int = 0  # of a vote among those on the version; 0 for other objects
    name: str = ""  # of a tag

    def __str__(self) -> str:
        match self.kind:
            case Kind.REVISION | Kind.APPROVAL_POLICY:
                return f"{self.kind.replace('_', ' ')} {self.number} of {self.model}"
            case Kind.LINEAGE:
                return f"lineage {self.number}"
            case Kind.VOTE:
                return f"vote {self.place} on {self.model}@{self.number}"
            case Kind.TAG:
                return f"tag {self.name} of {self.model}"
            case Kind.VERSION:
                return f"version {self.model}@{self.number}"
            case _:
                return f"{self.kind} of {self.model}@{self.number}"


@dataclass(frozen=True, slots=True)
class Act:
    """The author of an object, and the time of the act."""

    actor: str
    at_ns: int  # UTC, since 1970

    @property
    def content(self) -> dict[str, str]:
        return {"actor": self.actor, "at_ns": str(self.at_ns)}


def version_digest(ref: VersionRef, content_digest: str, act: Act) -> str:
    """Return the digest of a registered version.

    Args:
        ref: model and number.
        content_digest: of everything that acts; see `content_digest_of`.
        act: its registration.
    """
    document = {"model": ref.model, "number": ref.number, "content": content_digest}
    return digest_of("version/2", {**document, **act.content})


@dataclass(frozen=True, slots=True)
class RevisionFacts:
    """A revision by the digests of its parts."""

    model: str
    revision: int
    action: str
    reason: str
    deployment_digest: str
    contract_digest: str

    def digest(self, act: Act) -> str:
        """Return the digest of the revision as `act` made it."""
        document = {
            "model": self.model,
            "revision": exact_integer(self.revision),
            "action": self.action,
            "reason": self.reason,
            "deployment": self.deployment_digest,
            "contract": self.contract_digest,
        }
        return digest_of("revision/2", {**document, **act.content})


def mark_digest(kind: Kind, ref: VersionRef, reason: str, act: Act) -> str:
    """Return the digest of a mark of a version, one of `MARKS`."""
    document = {"model": ref.model, "number": ref.number, "reason": reason}
    return digest_of(f"{kind}/1", {**document, **act.content})


@dataclass(frozen=True, slots=True)
class VoteFacts:
    """A vote without its author and time."""

    ref: VersionRef
    place: int  # among the votes on the version
    kind: str
    content_digest: str  # of the version
    reason: str
    expires_ns: int  # 0: never

    def digest(self, act: Act) -> str:
        """Return the digest of the vote as `act` gave it."""
        document = {
            "model": self.ref.model,
            "number": self.ref.number,
            "place": exact_integer(self.place),
            "kind": self.kind,
            "content": self.content_digest,
            "reason": self.reason,
            "expires_ns": str(self.expires_ns),
        }
        return digest_of("vote/1", {**document, **act.content})


def policy_digest(model: str, place: int, approvers: int, reason: str, act: Act) -> str:
    document = {"model": model, "place": place, "approvers": approvers, "reason": reason}
    return digest_of("approval_policy/1", {**document, **act.content})


def tag_digest(ref: VersionRef, name: str, reason: str, act: Act) -> str:
    """Return the digest of a tag on a version."""
    document = {"model": ref.model, "number": ref.number, "name": name, "reason": reason}
    return digest_of("tag/1", {**document, **act.content})


def lineage_digest(content: Mapping[str, Any]) -> str:
    return digest_of("lineage/1", dict(content))


@dataclass(frozen=True, slots=True)
class Recorded:
    """The object of one row."""

    subject: Subject
    digest: str  # of the object as the row describes it


@dataclass(slots=True)
class Ledger:
    """The objects that the rows of a log leave, each with its row."""

    objects: dict[Subject, tuple[int, str]] = field(default_factory=dict)  # row, digest
    faults: list[str] = field(default_factory=list)


def recorded_by(row: AuditRow) -> Recorded | None:
    """Return the object that the row records; None if its action leaves none.

    Raises:
        ValueError, KeyError, TypeError, AttributeError: the row does not have the registry's form, or
            the digest that it carries is not that of its own content.
    """
    if row.action in {Action.DRILL, Action.FORGET_HOST, Action.UPGRADE}:
        return None
    details, act = json.loads(row.details_json), Act(row.actor, row.at_ns)
    found = _recorded(row, details, act)
    if details["digest"] != found.digest:
        raise ValueError(f"the row carries {details['digest']}, its content has {found.digest}")
    return found


def _recorded(row: AuditRow, details: Mapping[str, Any], act: Act) -> Recorded:
    if row.action == Action.RESTORE and not row.model:
        digest = lineage_digest({n: value for n, value in details.items() if n != "digest"})
        return Recorded(Subject(Kind.LINEAGE, "", details["place"]), digest)
    if row.action == Action.REGISTER:
        ref = VersionRef.parse(details["version"])
        digest = version_digest(ref, details["content_digest"], act)
        return Recorded(Subject(Kind.VERSION, row.model, ref.number), digest)
    if row.action in _VOTES:
        return _recorded_vote(row, details, act)
    if row.action == Action.APPROVAL_POLICY:
        place, approvers = details["place"], details["approvers"]
        digest = policy_digest(row.model, place, approvers, row.reason, act)
        return Recorded(Subject(Kind.APPROVAL_POLICY, row.model, place), digest)
    if row.action in _OF_MARKS or row.action in {Action.TAG, Action.UNTAG}:
        return _recorded_sign(row, details, act)
    facts = RevisionFacts(
        row.model,
        row.to_revision,
        row.action,
        row.reason,
        details["to_digest"],
        details["to_contract"],
    )
    return Recorded(Subject(Kind.REVISION, row.model, row.to_revision), facts.digest(act))


def _recorded_sign(row: AuditRow, details: Mapping[str, Any], act: Act) -> Recorded:
    """Return the mark or the tag of a version."""
    ref, kind = VersionRef.parse(details["version"]), _OF_MARKS.get(row.action)
    if kind is not None:
        digest = mark_digest(kind, ref, row.reason, act)
        return Recorded(Subject(kind, row.model, ref.number), digest)
    name = str(details["tag"])
    digest = tag_digest(ref, name, row.reason, act)
    return Recorded(Subject(Kind.TAG, row.model, 0, name=name), digest)


_VOTES = {Action.APPROVE: "approve", Action.REJECT: "reject", Action.VOID_VOTES: "void"}


def _recorded_vote(row: AuditRow, details: Mapping[str, Any], act: Act) -> Recorded:
    ref = VersionRef.parse(details["version"])
    facts = VoteFacts(
        ref,
        details["place"],
        _VOTES[Action(row.action)],
        details["content_digest"],
        row.reason,
        int(details["expires_ns"]),
    )
    return Recorded(Subject(Kind.VOTE, row.model, ref.number, facts.place), facts.digest(act))


def objects_of(log: Iterable[RecordedRow]) -> Ledger:
    """Return the objects that the log leaves, and the rows that cannot be read."""
    ledger = Ledger()
    for entry in log:
        sequence = entry.row.sequence
        try:
            found = recorded_by(entry.row)
        except (ValueError, KeyError, AttributeError, TypeError):
            ledger.faults.append(f"row {sequence} of the audit log cannot be read")
            continue
        if found is None:
            continue
        present = found.subject in ledger.objects
        is_end = entry.row.action in ENDS or entry.row.action == Action.UNTAG
        if present is not is_end and entry.row.action != Action.TAG:  # a tag may be moved
            state = "there already" if present else "not there"
            ledger.faults.append(f"row {sequence} of the audit log: {found.subject} is {state}")
        if is_end:
            ledger.objects.pop(found.subject, None)
        else:
            ledger.objects[found.subject] = (sequence, found.digest)
    return ledger


def discrepancies(
    logged: Mapping[Subject, tuple[int, str]], present: Mapping[Subject, str]
) -> Iterator[str]:
    """Yield the differences between the log and the registry; none if they agree.

    This finds faults that the chain alone cannot find: rows cut off at its end, and objects that
    were changed, added or removed without the log.
    """
    for subject in sorted({*logged, *present}, key=str):
        row, digest = logged.get(subject, (0, ""))
        if subject not in logged:
            yield f"{subject} is not in the audit log"
        elif subject not in present:
            yield f"{subject} is missing; row {row} of the audit log records it"
        elif present[subject] != digest:
            yield f"{subject} is not as recorded in row {row} of the audit log"
