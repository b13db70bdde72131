"""Votes on versions and the policy that demands them: decided, kept and recorded in one transaction."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, Engine

from registry.decisions.actors import Actor
from registry.decisions.approvals import (
    ApprovalPolicy,
    Candidate,
    Vote,
    VoteKind,
    check_may_demand,
    check_may_vote,
    needed_approvals,
    standing_of,
)
from registry.store import audit_log, versions, votes
from registry.store.database import reading, writing
from registry.store.recorded_votes import authors_of, record_vote
from understudy.domain.canonical import canonical_json
from understudy.domain.changes import Action
from understudy.domain.errors import ConflictError, InvalidInputError
from understudy.domain.instants import unix_ns
from understudy.domain.version_content import content_digest_of
from understudy.domain.versions import VersionRef


@dataclass(frozen=True, slots=True)
class VoteRequest:
    ref: VersionRef
    kind: VoteKind
    content_digest: str | None  # of the content that the actor looked at; None: any
    lasts_s: float | None  # of an approval; None: the longest
    actor: Actor
    reason: str
    dry_run: bool


@dataclass(frozen=True, slots=True)
class Voted:
    """The effect of a vote."""

    vote: Vote
    candidate: Candidate  # with the votes that count after it
    needed: int  # approvals that the policy demands
    audit_digest: str  # digest of its audit row; empty for a dry run


@dataclass(frozen=True, slots=True)
class PolicyRequest:
    model: str
    approvers: int
    actor: Actor
    reason: str
    dry_run: bool


@dataclass(frozen=True, slots=True)
class Voter:
    """Takes votes and policies in worker threads: everything here may block."""

    engine: Engine
    now: Callable[[], datetime]  # UTC
    longest_s: float  # for which an approval counts
    least_approvers: int = 0  # that every model demands

    def vote(self, asked: VoteRequest) -> Voted:
        """Keep the vote, or only report its effect if it is a dry run.

        Raises:
            NotFoundError: no such version.
            ConflictError: its content is not the content that the actor looked at.
            InvalidInputError: the approval would count for longer than the registry allows.
            RefusedError, PermissionRefusedError: see `check_may_vote`.
        """
        if asked.dry_run:
            with reading(self.engine) as connection:
                return self._planned(connection, asked)
        with writing(self.engine) as connection:
            planned = self._planned(connection, asked)
            digest = record_vote(connection, planned.vote, asked.actor)
        return Voted(planned.vote, planned.candidate, planned.needed, digest)

    def set_policy(self, asked: PolicyRequest) -> tuple[ApprovalPolicy, str]:
        """Return the new policy and the digest of its audit row, which is empty for a dry run.

        Raises:
            RefusedError: see `check_may_demand`.
        """
        if asked.dry_run:
            with reading(self.engine) as connection:
                return self._policy(connection, asked), ""
        with writing(self.engine) as connection:
            policy = self._policy(connection, asked)
            votes.add_policy(connection, policy)
            details = {
                "place": policy.place,
                "approvers": policy.approvers,
                "digest": policy.digest,
            }
            event = audit_log.Event(
                at_ns=policy.at_ns,
                actor=asked.actor,
                action=Action.APPROVAL_POLICY,
                model=policy.model,
                reason=policy.reason,
                details_json=canonical_json(details),
            )
            return policy, audit_log.append(connection, event)

    def needed(self, connection: Connection, model: str) -> int:
        """Return the number of approvals that a version of the model needs to answer callers."""
        return needed_approvals(votes.policy_of(connection, model), self.least_approvers)

    def _planned(self, connection: Connection, asked: VoteRequest) -> Voted:
        stored = versions.get_version(connection, asked.ref)
        content_digest = content_digest_of(stored.spec)
        if asked.content_digest not in {None, content_digest}:
            raise ConflictError(
                f"{asked.ref} has the content {content_digest}, not {asked.content_digest}"
            )
        authors = authors_of(connection, stored)
        check_may_vote(asked.actor, asked.ref, authors, asked.kind)
        before, now = votes.on_version(connection, asked.ref), self.now()
        vote = Vote(
            ref=asked.ref,
            place=len(before) + 1,
            kind=asked.kind,
            content_digest=content_digest,
            actor=asked.actor.name,
            reason=asked.reason,
            at_ns=unix_ns(now),
            expires_ns=unix_ns(self._end_of(asked, now)) if asked.kind is VoteKind.APPROVE else 0,
        )
        standing = standing_of([*before, vote], content_digest, vote.at_ns)
        return Voted(
            vote,
            Candidate(asked.ref, standing, authors),
            self.needed(connection, asked.ref.model),
            audit_digest="",
        )

    def _end_of(self, asked: VoteRequest, now: datetime) -> datetime:
        lasts_s = self.longest_s if asked.lasts_s is None else asked.lasts_s
        if not 0 < lasts_s <= self.longest_s:
            accepted = f"above 0 to {self.longest_s:g} seconds, the longest of this registry"
            raise InvalidInputError.of("lasts_s", read=lasts_s, accepted=accepted)
        return now + timedelta(seconds=lasts_s)

    def _policy(self, connection: Connection, asked: PolicyRequest) -> ApprovalPolicy:
        current = votes.policy_of(connection, asked.model)
        check_may_demand(asked.actor, current, asked.approvers)
        return ApprovalPolicy(
            model=asked.model,
            place=1 if current is None else current.place + 1,
            approvers=asked.approvers,
            actor=asked.actor.name,
            reason=asked.reason,
            at_ns=unix_ns(self.now()),
        )
