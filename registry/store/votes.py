"""Votes on versions, and the policies that demand approvals. Every function runs in a transaction."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, select

from registry.decisions.approvals import ApprovalPolicy, Vote, VoteKind
from registry.store.schema import Row, approval_policies, votes
from understudy.domain.versions import VersionRef


def add(connection: Connection, vote: Vote) -> None:
    connection.execute(votes.insert().values(**row_of(vote)))


def on_version(connection: Connection, ref: VersionRef) -> list[Vote]:
    """Return the votes on a version, oldest first."""
    return list(of_model(connection, ref.model, [ref.number]).get(ref.number, ()))


def of_model(
    connection: Connection, model: str, numbers: Iterable[int]
) -> Mapping[int, Sequence[Vote]]:
    """Return the votes on versions of a model by number, oldest first; none for one without votes."""
    query = (
        select(votes)
        .where(votes.c.model == model, votes.c.number.in_(sorted(numbers)))
        .order_by(votes.c.number, votes.c.place)
    )
    found: dict[int, list[Vote]] = {}
    for row in connection.execute(query).mappings():
        found.setdefault(row["number"], []).append(vote_from_row(row))
    return found


def add_policy(connection: Connection, policy: ApprovalPolicy) -> None:
    connection.execute(approval_policies.insert().values(**policy_row_of(policy)))


def policy_of(connection: Connection, model: str) -> ApprovalPolicy | None:
    """Return the policy in effect; None if none was ever set."""
    table = approval_policies.c
    query = (
        select(approval_policies).where(table.model == model).order_by(table.place.desc()).limit(1)
    )
    row = connection.execute(query).mappings().first()
    return None if row is None else policy_from_row(row)


def row_of(vote: Vote) -> dict[str, Any]:
    """Return the columns of a vote."""
    return {
        "model": vote.ref.model,
        "number": vote.ref.number,
        "place": vote.place,
        "kind": vote.kind.value,
        "content_digest": vote.content_digest,
        "actor": vote.actor,
        "reason": vote.reason,
        "at_ns": vote.at_ns,
        "expires_ns": vote.expires_ns,
    }


def vote_from_row(row: Row) -> Vote:
    """Return the vote that `row_of` wrote.

    Raises:
        ValueError, KeyError: no registry wrote the row.
    """
    return Vote(
        ref=VersionRef(row["model"], row["number"]),
        place=row["place"],
        kind=VoteKind(row["kind"]),
        content_digest=row["content_digest"],
        actor=row["actor"],
        reason=row["reason"],
        at_ns=row["at_ns"],
        expires_ns=row["expires_ns"],
    )


def policy_row_of(policy: ApprovalPolicy) -> dict[str, Any]:
    """Return the columns of a policy."""
    return {
        "model": policy.model,
        "place": policy.place,
        "approvers": policy.approvers,
        "actor": policy.actor,
        "reason": policy.reason,
        "at_ns": policy.at_ns,
    }


def policy_from_row(row: Row) -> ApprovalPolicy:
    """Return the policy that `policy_row_of` wrote.

    Raises:
        KeyError: no registry wrote the row.
    """
    return ApprovalPolicy(
        row["model"], row["place"], row["approvers"], row["actor"], row["reason"], row["at_ns"]
    )
