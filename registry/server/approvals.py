"""Votes on versions and the policies that demand them: their messages, and the standing of versions."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import structlog
from sqlalchemy import Connection

from registry.approve_version import PolicyRequest, Voter, VoteRequest
from registry.decisions.actors import Actor
from registry.decisions.approvals import (
    MOST_APPROVERS,
    ApprovalPolicy,
    Candidate,
    Vote,
    VoteKind,
    may_approve,
    needed_approvals,
)
from registry.server.callers import checked_reason, log_facts
from registry.server.live_state import LiveState
from registry.server.wire import ref_of
from registry.store import revisions, votes
from registry.store.database import reading
from registry.store.recorded_votes import candidates_of
from understudy.control.wire_enums import wire_values
from understudy.control.wire_values import ref_to_wire, timestamp, value_or_none
from understudy.domain.deployments import Deployment, answering_versions, versions_in_use
from understudy.domain.errors import InvalidInputError
from understudy.domain.instants import unix_ns
from understudy.domain.versions import VersionRef, checked_model_name
from understudy.registry.v1 import registry_pb2 as pb

_KINDS = wire_values(VoteKind, pb.VoteKind, "VOTE_KIND")
_CAST = {_KINDS[kind]: kind for kind in (VoteKind.APPROVE, VoteKind.REJECT)}

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Approvals:
    """Takes votes and policies, and tells the standing of versions."""

    live: LiveState
    voter: Voter
    approver_names: Callable[[], frozenset[str]]  # people with the role to approve

    async def cast(self, request: pb.CastVoteRequest, actor: Actor) -> pb.CastVoteResponse:
        """Take a vote, or return its effect if it is a dry run.

        Raises:
            InvalidInputError: version, kind or reason are invalid.
            UnderstudyError: see `Voter.vote`.
        """
        asked = _vote_from_wire(request, actor)
        done = await self.live.run(lambda: self.voter.vote(asked))
        if done.audit_digest:
            _log.info(
                "vote_cast",
                version=str(asked.ref),
                kind=asked.kind.value,
                **log_facts(actor),
                audit_digest=done.audit_digest,
            )
        return pb.CastVoteResponse(
            vote=_vote_to_wire(done.vote),
            approval=self._to_wire(done.candidate, done.needed),
            applied=bool(done.audit_digest),
        )

    async def set_policy(
        self, request: pb.SetApprovalPolicyRequest, actor: Actor
    ) -> pb.SetApprovalPolicyResponse:
        """Set the policy of a model, or return its effect if it is a dry run.

        Raises:
            InvalidInputError: model, number or reason are invalid.
            UnderstudyError: see `Voter.set_policy`.
        """
        if request.approvers > MOST_APPROVERS:
            raise InvalidInputError.of(
                "approvers", read=request.approvers, accepted=f"0 to {MOST_APPROVERS}"
            )
        asked = PolicyRequest(
            model=checked_model_name(request.model),
            approvers=request.approvers,
            actor=actor,
            reason=checked_reason(request.reason),
            dry_run=request.dry_run,
        )
        policy, digest = await self.live.run(lambda: self.voter.set_policy(asked))
        if digest:
            _log.info(
                "approval_policy_set",
                model=asked.model,
                approvers=asked.approvers,
                **log_facts(actor),
                audit_digest=digest,
            )
        unapproved = await self.live.run(lambda: self._unapproved(policy))
        return pb.SetApprovalPolicyResponse(
            policy=_policy_to_wire(policy), applied=bool(digest), unapproved=unapproved
        )

    def of_versions(
        self, connection: Connection, refs: Iterable[VersionRef]
    ) -> Mapping[VersionRef, pb.Approval]:
        """Return the approvals of registered versions, now."""
        by_model: dict[str, set[int]] = {}
        for ref in refs:
            by_model.setdefault(ref.model, set()).add(ref.number)
        now_ns = unix_ns(self.voter.now())
        found: dict[VersionRef, pb.Approval] = {}
        for model, numbers in by_model.items():
            needed = self.voter.needed(connection, model)
            # Most versions have no votes, and most models demand none: those cost nothing more.
            voted_on = numbers if needed else votes.of_model(connection, model, numbers).keys()
            found |= {VersionRef(model, number): pb.Approval() for number in numbers - voted_on}
            for each in candidates_of(connection, model, voted_on, now_ns):
                found[each.ref] = self._to_wire(each, needed)
        return found

    def of_deployments(
        self, connection: Connection, deployments: Iterable[Deployment]
    ) -> list[pb.VersionApproval]:
        """Return the approvals of the versions that deployments declare, where any are demanded."""
        refs = [
            VersionRef(each.model, number)
            for each in deployments
            if self.voter.needed(connection, each.model)
            for number in versions_in_use(each)
        ]
        return [
            pb.VersionApproval(ref=ref_to_wire(ref), approval=approval)
            for ref, approval in self.of_versions(connection, refs).items()
        ]

    def _unapproved(self, policy: ApprovalPolicy) -> list[int]:
        needed = needed_approvals(policy, self.voter.least_approvers)
        with reading(self.voter.engine) as connection:
            current = revisions.current_of(connection, policy.model)
            if not isinstance(current, Deployment):
                return []
            answering = answering_versions(current)
            found = candidates_of(connection, policy.model, answering, policy.at_ns)
        return [each.ref.number for each in found if len(each.standing.approvals) < needed]

    def _to_wire(self, candidate: Candidate, needed: int) -> pb.Approval:
        standing = candidate.standing
        ended_by = standing.ended_by
        return pb.Approval(
            needed=needed,
            approvals=map(_vote_to_wire, standing.approvals),
            ended_by=None if ended_by is None else _vote_to_wire(ended_by),
            could_approve=may_approve(candidate, self.approver_names()),
        )


def _vote_from_wire(request: pb.CastVoteRequest, actor: Actor) -> VoteRequest:
    ref = ref_of(request.ref, "ref")
    kind = _CAST.get(request.kind)
    if kind is None:
        raise InvalidInputError.of("kind", read=request.kind, accepted="APPROVE or REJECT")
    lasts_s = value_or_none(request, "lasts_s")
    if lasts_s is not None and kind is not VoteKind.APPROVE:
        accepted = "no time: a rejection does not expire"
        raise InvalidInputError.of("lasts_s", read=lasts_s, accepted=accepted)
    return VoteRequest(
        ref=ref,
        kind=kind,
        content_digest=value_or_none(request, "content_digest"),
        lasts_s=lasts_s,
        actor=actor,
        reason=checked_reason(request.reason),
        dry_run=request.dry_run,
    )


def _vote_to_wire(vote: Vote) -> pb.Vote:
    return pb.Vote(
        kind=_KINDS[vote.kind],
        actor=vote.actor,
        reason=vote.reason,
        at=timestamp(vote.at_ns),
        expires=timestamp(vote.expires_ns) if vote.expires_ns else None,
        content_digest=vote.content_digest,
    )


def _policy_to_wire(policy: ApprovalPolicy) -> pb.ApprovalPolicy:
    return pb.ApprovalPolicy(
        model=policy.model,
        approvers=policy.approvers,
        actor=policy.actor,
        reason=policy.reason,
        at=timestamp(policy.at_ns),
    )
