"""Approvals: votes of proven people on the content of a version, and the policy that demands them. Pure."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from registry.decisions.actors import Actor
from registry.decisions.recorded_objects import Act, VoteFacts, policy_digest
from understudy.domain.errors import PermissionRefusedError, RefusedError
from understudy.domain.versions import VersionRef
from understudy.provenance.meaning import is_same_person

MOST_APPROVERS = 2


class VoteKind(StrEnum):
    """The effect of a vote."""

    APPROVE = "approve"  # counts until it expires
    REJECT = "reject"  # ends the effect of all votes before it
    VOID = "void"  # as a rejection, by an act that needs a new look at the version, as a block


@dataclass(frozen=True, slots=True)
class Vote:
    """One vote on a version; it never changes."""

    ref: VersionRef
    place: int  # 1, 2, 3 … among the votes on the version
    kind: VoteKind
    content_digest: str  # of the version when the vote was given
    actor: str  # a proven name
    reason: str
    at_ns: int  # UTC, since 1970
    expires_ns: int  # from which an approval counts no longer; 0 for the other kinds

    @property
    def digest(self) -> str:
        """A digest of all of it."""
        facts = VoteFacts(
            self.ref, self.place, self.kind, self.content_digest, self.reason, self.expires_ns
        )
        return facts.digest(Act(self.actor, self.at_ns))


@dataclass(frozen=True, slots=True)
class ApprovalPolicy:
    """The number of people who must approve a version before it answers callers of a model."""

    model: str
    place: int  # 1, 2, 3 … among the policies of the model; the last one is in effect
    approvers: int  # 0 to `MOST_APPROVERS`
    actor: str
    reason: str
    at_ns: int  # UTC, since 1970

    @property
    def digest(self) -> str:
        """A digest of all of it."""
        act = Act(self.actor, self.at_ns)
        return policy_digest(self.model, self.place, self.approvers, self.reason, act)


@dataclass(frozen=True, slots=True)
class Standing:
    """The votes on a version that count at one time."""

    approvals: tuple[Vote, ...] = ()  # the last one of each person, oldest first
    ended_by: Vote | None = None  # the rejection or voiding after which no one has approved

    @property
    def approvers(self) -> tuple[str, ...]:
        return tuple(each.actor for each in self.approvals)


def needed_approvals(policy: ApprovalPolicy | None, least: int) -> int:
    """Return the number of approvals that a version needs to answer callers.

    Args:
        policy: of its model; None if none was ever set.
        least: the number that the registry demands for every model.
    """
    return max(least, 0 if policy is None else policy.approvers)


def standing_of(votes: Sequence[Vote], content_digest: str, now_ns: int) -> Standing:
    """Return the votes that count.

    Args:
        votes: all votes on the version, oldest first.
        content_digest: of the version now; approvals of other content count for nothing.
        now_ns: the time, UTC, since 1970.
    """
    ended_by: Vote | None = None
    approvals: list[Vote] = []
    for vote in votes:
        if vote.kind is not VoteKind.APPROVE:
            ended_by, approvals = vote, []
        elif vote.content_digest == content_digest and now_ns < vote.expires_ns:
            others = [each for each in approvals if not is_same_person(each.actor, vote.actor)]
            approvals = [*others, vote]
    return Standing(tuple(approvals), None if approvals else ended_by)


def check_may_vote(actor: Actor, ref: VersionRef, authors: Collection[str], kind: VoteKind) -> None:
    """Return if the vote of `actor` counts.

    An author may reject the own version: that takes something away only.

    Raises:
        RefusedError: the registry believes names without proof, so that a vote would prove nothing.
        PermissionRefusedError: the actor is an author, or acts for someone else.
    """
    if not actor.is_proven:
        raise RefusedError(
            f"{actor} is a name without proof; votes need a registry that proves names "
            "(REGISTRY_IDENTITIES)"
        )
    if actor.on_behalf_of:
        raise PermissionRefusedError(f"{actor} may not vote on behalf of {actor.on_behalf_of}")
    if kind is VoteKind.APPROVE and any(is_same_person(actor.name, each) for each in authors):
        listed = ", ".join(sorted(authors))
        raise PermissionRefusedError(f"{actor} may not approve {ref}: its author is {listed}")


def check_may_demand(actor: Actor, current: ApprovalPolicy | None, approvers: int) -> None:
    """Return if `actor` may set the policy to that number of approvers.

    Raises:
        RefusedError: names are believed without proof, or the policy is that already.
    """
    if not actor.is_proven:
        raise RefusedError(
            f"{actor} is a name without proof; approvals need a registry that proves names "
            "(REGISTRY_IDENTITIES)"
        )
    if approvers == (0 if current is None else current.approvers):
        raise RefusedError(f"the policy demands {approvers} approvals already")


@dataclass(frozen=True, slots=True)
class Candidate:
    """A version that a change would let answer callers."""

    ref: VersionRef
    standing: Standing
    authors: frozenset[str]


def check_approved(
    candidates: Iterable[Candidate], needed: int, approver_names: Collection[str]
) -> None:
    """Return if enough people approved each version.

    Args:
        candidates: the versions that would answer callers, or more of them.
        needed: the number of people who must have approved.
        approver_names: people with the role to approve, to be named in the refusal.

    Raises:
        RefusedError: with every version that lacks approvals, and the people who could give them.
    """
    missing = [
        _missing(each, needed, approver_names)
        for each in candidates
        if len(each.standing.approvals) < needed
    ]
    if missing:
        raise RefusedError("; ".join(missing))


def may_approve(candidate: Candidate, approver_names: Collection[str]) -> tuple[str, ...]:
    """Return the people whose approval would add to those that count."""
    barred = {*candidate.authors, *candidate.standing.approvers}
    return tuple(
        name
        for name in sorted(approver_names)
        if not any(is_same_person(name, each) for each in barred)
    )


def _missing(candidate: Candidate, needed: int, approver_names: Collection[str]) -> str:
    standing = candidate.standing
    has = ", ".join(standing.approvers) or "none"
    ended = standing.ended_by
    why = ""
    if ended is not None:
        why = f"; {_PAST[ended.kind]} by {ended.actor}: {ended.reason}"
    could = ", ".join(may_approve(candidate, approver_names)) or "no one with the role approver"
    return (
        f"{candidate.ref} needs {needed} approvals to answer callers, it has {has}{why}; could "
        f"approve: {could}"
    )


_PAST = {VoteKind.REJECT: "rejected", VoteKind.VOID: "voided"}
