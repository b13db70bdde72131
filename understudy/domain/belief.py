"""The states of a registry that a watcher believes. Pure; the same for routers and scorer hosts.

A watcher has one state in effect. It accepts a received one only if that continues the state in
effect, or belongs to a registry that an operator named its successor. Silence and emptiness end
nothing: a deployment ends by an undeploy.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum

from understudy.domain.deployments import Deployment, versions_to_run
from understudy.domain.snapshots import ScorerProcess, Snapshot, VersionSpec
from understudy.domain.unheard import with_unheard
from understudy.domain.versions import VersionRef


class RefusalReason(StrEnum):
    """Reason why a watcher refuses a state."""

    ANOTHER_LINEAGE = "another_lineage"  # another registry, which is not a named successor
    SEQUENCE_WENT_BACK = "sequence_went_back"
    HISTORY_LOST = (
        "history_lost"  # a database that lacks a change or an epoch of the state in effect
    )
    REVISION_REUSED = "revision_reused"  # a number that already names another state of a deployment


@dataclass(frozen=True, slots=True)
class Refusal:
    """A refused state; as a string, a line for operators."""

    reason: RefusalReason
    lineage: str  # of the refused state
    why: str

    def repeats(self, other: "Refusal | None") -> bool:
        """Return whether `other` has the same reason and lineage, so that it is not news."""
        return other is not None and (self.reason, self.lineage) == (other.reason, other.lineage)

    def __str__(self) -> str:
        return f"refuses the state of registry {self.lineage}: {self.why}"


@dataclass(frozen=True, slots=True)
class WatcherBelief:
    """A watcher's report on the states that it was sent."""

    lineage: str | None  # of the state in effect; None before the first one
    refusal: Refusal | None = None  # of the latest received state; None if that was accepted


def judge(believed: Snapshot | None, received: Snapshot) -> Snapshot | Refusal:
    """Return the state to put into effect, or the reason to stay with `believed`.

    Args:
        believed: the state in effect; None before the first one, which is accepted as it is.
        received: a state from a registry.

    Returns:
        `received` with the deployments of `believed` that it neither has nor ends; their versions
        and scorers are kept with them, and so are the scorers of hosts that it does not mention.
    """
    if believed is None:
        return received
    if refusal := _stranger(believed, received) or _reused_revision(believed, received):
        return refusal
    return with_unheard(believed, _with_kept(believed, received))


def _stranger(believed: Snapshot, received: Snapshot) -> Refusal | None:
    def refusal(reason: RefusalReason, why: str) -> Refusal:
        return Refusal(reason, received.lineage, why)

    if received.lineage != believed.lineage:
        if believed.lineage in received.succeeds:
            return None
        why = f"it does not succeed registry {believed.lineage}, whose state is in effect"
        return refusal(RefusalReason.ANOTHER_LINEAGE, why)
    if received.sequence < believed.sequence:
        why = f"its sequence is {received.sequence}, and {believed.sequence} is in effect"
        return refusal(RefusalReason.SEQUENCE_WENT_BACK, why)
    if not _continues(believed, received):
        why = (
            "its database lacks changes of the state in effect, so it is a copy from before them, "
            "or a copy that has taken other changes"
        )
        return refusal(RefusalReason.HISTORY_LOST, why)
    return None


def _continues(believed: Snapshot, received: Snapshot) -> bool:
    """Return whether the history of `received` contains the latest change of `believed`."""
    if not believed.epochs:
        return True
    epoch = believed.epochs[-1]
    return any(
        each.id == epoch.id and each.last_change >= epoch.last_change for each in received.epochs
    )


def _reused_revision(believed: Snapshot, received: Snapshot) -> Refusal | None:
    in_effect = {each.model: each for each in believed.deployments}
    for deployment in received.deployments:
        before = in_effect.get(deployment.model)
        if before is not None and not _follows(before, deployment):
            why = (
                f"its revision {deployment.revision} of {deployment.model} does not follow "
                f"revision {before.revision}, which is in effect"
            )
            return Refusal(RefusalReason.REVISION_REUSED, received.lineage, why)
    return None


def _follows(before: Deployment, after: Deployment) -> bool:
    if after.revision == before.revision:
        # Standby and blocks are no parts of revisions: they change under the same number.
        return replace(after, standby=before.standby, blocked=before.blocked) == before
    return after.revision > before.revision


def _with_kept(believed: Snapshot, received: Snapshot) -> Snapshot:
    named = {each.model for each in received.deployments}
    ended = {each.model: each.revision for each in received.undeployed}
    kept = tuple(
        each
        for each in believed.deployments
        if each.model not in named and ended.get(each.model, 0) <= each.revision
    )
    return with_deployments(received, kept, versions=believed.versions, scorers=believed.scorers)


def with_deployments(
    snapshot: Snapshot,
    deployments: Iterable[Deployment],
    *,
    versions: Iterable[VersionSpec],
    scorers: Iterable[ScorerProcess] = (),
) -> Snapshot:
    """Return `snapshot` with `deployments` in place of its own for their models; itself if that adds nothing.

    The versions that deployments need and `snapshot` lacks are taken from `versions`, the scorers of
    models of which `snapshot` names no scorer at all from `scorers`.
    """
    put = {each.model: each for each in deployments}
    rest = tuple(each for each in snapshot.deployments if each.model not in put)
    resulting = (*rest, *put.values())
    needed = {VersionRef(d.model, number) for d in resulting for number in versions_to_run(d)}
    described = {each.ref for each in snapshot.versions}
    if not put and needed <= described:
        return snapshot
    lacking = needed - described
    unserved = put.keys() - {each.ref.model for each in snapshot.scorers}
    return replace(
        snapshot,
        deployments=tuple(sorted(resulting, key=lambda each: each.model)),
        versions=(
            *snapshot.versions,
            *(each for each in versions if each.ref in lacking),
        ),
        scorers=(
            *snapshot.scorers,
            *(each for each in scorers if each.ref.model in unserved),
        ),
    )
