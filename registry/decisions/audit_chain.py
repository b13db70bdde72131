"""The audit log as a hash chain: each row's digest covers the row and the preceding digest."""

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from understudy.domain.canonical import digest_of, exact_integer
from understudy.domain.changes import Action

GENESIS = "0" * 64  # the digest before the first row


@dataclass(frozen=True, slots=True)
class AuditRow:
    sequence: int  # 1, 2, 3 … without gaps
    at_ns: int  # UTC, nanoseconds since 1970
    actor: str
    action: str  # an `Action`, unless the row was written outside the registry
    model: str
    reason: str
    from_revision: int  # 0 for none
    to_revision: int  # 0 for none
    details_json: str  # canonical JSON
    previous_digest: str

    @property
    def digest(self) -> str:
        content = {**asdict(self), "at_ns": str(self.at_ns)}
        for name in ("sequence", "from_revision", "to_revision"):
            content[name] = exact_integer(content[name])
        return digest_of("audit_row/1", content)


@dataclass(frozen=True, slots=True)
class RecordedRow:
    """A row and its stored digest."""

    row: AuditRow
    digest: str


def concerns(row: AuditRow, model: str) -> bool:
    """Return whether the row belongs to a model's view; one without a model belongs to every view."""
    return row.model in {"", model}


def first_break(recorded: Sequence[RecordedRow]) -> int | None:
    """Return the sequence number at which the chain is broken, or None if it is intact.

    Args:
        recorded: the whole log, in order of sequence.
    """
    previous = GENESIS
    for expected, entry in enumerate(recorded, start=1):
        linked = entry.row.sequence == expected and entry.row.previous_digest == previous
        if not linked or entry.row.digest != entry.digest:
            return expected
        previous = entry.digest
    return None


@dataclass(frozen=True, slots=True)
class Effect:
    """The object that a row of the log must have left in the registry, or one that exists there."""

    action: str  # "register", or the kind of change
    model: str
    number: int  # of the version or the revision
    digest: str  # digest of the object


def effect_of(row: AuditRow) -> Effect:
    """Return the object that the row records.

    Raises:
        ValueError, KeyError: the details do not have the registry's form.
    """
    details = json.loads(row.details_json)
    if row.action == Action.REGISTER:
        number = int(details["version"].rpartition("@")[2])
        digest = version_digest(details["artifact_digest"], details["provenance_digest"])
        return Effect(Action.REGISTER, row.model, number, digest)
    if row.action in {Action.BLOCK, Action.UNBLOCK}:
        number = int(details["version"].rpartition("@")[2])
        return Effect(Action.BLOCK, row.model, number, "")
    if row.action == Action.RESTORE and not row.model:
        return Effect(Action.RESTORE, "", details["place"], lineage_digest(details))
    digest = revision_digest(details["to_digest"], details["to_contract"])
    return Effect(row.action, row.model, row.to_revision, digest)


def version_digest(artifact: str, provenance: str) -> str:
    return digest_of("version/1", {"artifact": artifact, "provenance": provenance})


def revision_digest(deployment: str, contract: str) -> str:
    return digest_of("revision/1", {"deployment": deployment, "contract": contract})


def lineage_digest(content: Mapping[str, Any]) -> str:
    return digest_of("lineage/1", dict(content))


def discrepancies(recorded: Sequence[RecordedRow], present: Iterable[Effect]) -> tuple[str, ...]:
    """Return the differences between the log and the registry; empty if they agree.

    This finds what the chain alone cannot: rows cut off at its end, and versions or revisions
    that were changed, added or removed without the log.
    """
    logged: Counter[Effect | None] = Counter()
    for entry in recorded:
        if entry.row.action in {Action.DRILL, Action.FORGET_HOST}:  # which leave no object
            continue
        try:
            effect = effect_of(entry.row)
            if entry.row.action == Action.UNBLOCK:
                logged[effect] -= 1  # it ends the effect of the block before it
            else:
                logged[effect] += 1
        except (ValueError, KeyError, AttributeError, TypeError):
            logged[None] += 1
    found = Counter[Effect | None](present)
    missing = [f"{_named(effect)} is only in the log" for effect in logged - found]
    unlogged = [f"{_named(effect)} is not in the log in this form" for effect in found - logged]
    return tuple(sorted([*missing, *unlogged]))


def _named(effect: Effect | None) -> str:
    if effect is None:
        return "an unreadable row"
    if effect.action == Action.REGISTER:
        return f"version {effect.model}@{effect.number}"
    if effect.action == Action.BLOCK:
        return f"the block of {effect.model}@{effect.number}"
    if not effect.model:
        return f"lineage {effect.number}"
    return f"revision {effect.number} of {effect.model} by {effect.action}"
