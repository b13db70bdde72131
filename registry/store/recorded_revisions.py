"""A new revision together with its row of the audit log. Every function runs in a transaction."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection

from registry.decisions.actors import Actor
from registry.store import audit_log, revisions
from registry.store.revisions import StoredRevision
from understudy.domain.canonical import canonical_json
from understudy.domain.changes import Revision


@dataclass(frozen=True, slots=True)
class Override:
    """The limits that a change was allowed to break."""

    reason: str
    limits: tuple[str, ...]  # their names


@dataclass(frozen=True, slots=True)
class Approved:
    """The approvals without which a change was not allowed."""

    needed: int  # of each version
    approvers: Mapping[int, tuple[str, ...]]  # by version


def record_revision(
    connection: Connection,
    before: Revision | None,
    stored: StoredRevision,
    actor: Actor,
    *,
    override: Override | None = None,
    approved: Approved | None = None,
) -> str:
    """Add the revision and its row; return the row's digest. The transaction must hold the write lock.

    Args:
        connection: of the transaction.
        before: the model's newest revision; None if there is none.
        stored: the revision to add.
        actor: its author, by the same name.
        override: of limits that the change breaks; None if it breaks none.
        approved: the approvals of the versions that it lets answer; None if it needs none.
    """
    deployment = stored.deployment
    revisions.add_revision(connection, stored)
    details: dict[str, Any] = {
        "from_digest": None if before is None else before.digest,
        "to_digest": deployment.digest,
        "to_contract": deployment.contract.digest,
        "digest": stored.digest,
    }
    if override is not None:
        details["override"] = override.reason
        details["overridden_limits"] = ", ".join(override.limits)
    if approved is not None:
        details["approvals_needed"] = approved.needed
        details["approved_by"] = {str(n): [*names] for n, names in approved.approvers.items()}
    return audit_log.append(
        connection,
        audit_log.Event(
            at_ns=stored.at_ns,
            actor=actor,
            action=stored.action,
            model=deployment.model,
            reason=stored.reason,
            details_json=canonical_json(details),
            from_revision=0 if before is None else before.revision,
            to_revision=deployment.revision,
        ),
    )
