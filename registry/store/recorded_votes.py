"""Votes together with their rows of the audit log. Every function runs in a transaction."""

import json
from collections.abc import Collection

from sqlalchemy import Connection

from registry.decisions.actors import Actor
from registry.decisions.approvals import Candidate, Vote, VoteKind, standing_of
from registry.store import audit_log, versions, votes
from registry.store.versions import StoredVersion
from understudy.domain.canonical import canonical_json
from understudy.domain.changes import Action
from understudy.domain.errors import CorruptedError
from understudy.domain.version_content import content_digest_of
from understudy.domain.versions import VersionRef

_ACTIONS = {
    VoteKind.APPROVE: Action.APPROVE,
    VoteKind.REJECT: Action.REJECT,
    VoteKind.VOID: Action.VOID_VOTES,
}


def candidates_of(
    connection: Connection, model: str, numbers: Collection[int], now_ns: int
) -> list[Candidate]:
    """Return versions of a model, which exist, with the votes that count at a time."""
    cast = votes.of_model(connection, model, numbers)
    found = []
    for number in sorted(numbers):
        stored = versions.get_version(connection, VersionRef(model, number))
        standing = standing_of(cast.get(number, ()), content_digest_of(stored.spec), now_ns)
        found.append(Candidate(stored.spec.ref, standing, authors_of(connection, stored)))
    return found


def void_votes(
    connection: Connection, ref: VersionRef, actor: Actor, reason: str, at_ns: int
) -> None:
    """End the effect of the votes on a version, if it has any that count."""
    before = votes.on_version(connection, ref)
    if not before:
        return
    content_digest = content_digest_of(versions.get_version(connection, ref).spec)
    if standing_of(before, content_digest, at_ns).approvals:
        place = len(before) + 1
        vote = Vote(ref, place, VoteKind.VOID, content_digest, actor.name, reason, at_ns, 0)
        record_vote(connection, vote, actor)


def record_vote(connection: Connection, vote: Vote, actor: Actor) -> str:
    """Add the vote and its row of the audit log; return the row's digest."""
    votes.add(connection, vote)
    details = {
        "version": str(vote.ref),
        "place": vote.place,
        "content_digest": vote.content_digest,
        "expires_ns": str(vote.expires_ns),
        "digest": vote.digest,
    }
    event = audit_log.Event(
        at_ns=vote.at_ns,
        actor=actor,
        action=_ACTIONS[vote.kind],
        model=vote.ref.model,
        reason=vote.reason,
        details_json=canonical_json(details),
    )
    return audit_log.append(connection, event)


def authors_of(connection: Connection, stored: StoredVersion) -> frozenset[str]:
    """Return the names that made a version: its registrant, the person it was made for, its origin.

    Raises:
        CorruptedError: the row of its registration is not one that a registry wrote.
    """
    ref, names = stored.spec.ref, {stored.registered_by}
    for row in audit_log.registrations_at(connection, ref.model, stored.registered_at_ns):
        try:
            details = json.loads(row.details_json)
            if details["version"] == str(ref):
                names |= {row.on_behalf_of, (details.get("origin") or {}).get("actor", "")}
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise CorruptedError(f"row {row.sequence} of the audit log cannot be read") from error
    return frozenset(names - {""})
