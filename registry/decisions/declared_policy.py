"""The policy that a version's record declares, and how it comes into a deployment.

A declared threshold or fallback score without effect is worse than none: its author relies on it.
So a first deployment takes both from the record of its champion. Later the deployment's threshold may
have been changed on purpose, so a new champion whose record declares another one needs a choice.
"""

from dataclasses import dataclass, replace

from understudy.domain.changes import Change, DeployChampion, PolicyChoice, PolicySource, Promote
from understudy.domain.deployments import Deployment
from understudy.domain.errors import RefusedError
from understudy.domain.versions import VersionRef


@dataclass(frozen=True, slots=True)
class DeclaredPolicy:
    """The policy in the record of a version."""

    decision_threshold: float | None = None  # None: waived, or the model makes no decisions
    fallback_score: float | None = None  # None: waived


def with_declared_policy(
    before: Deployment | None, after: Deployment, change: Change, declared: DeclaredPolicy
) -> Deployment:
    """Return `after` with threshold and fallback score as its champion declares or `change` chooses.

    Args:
        before: the current revision; None if `after` begins a deployment.
        after: the next revision.
        change: the change between them; only those that choose a champion take a policy.
        declared: by the record of the champion of `after`.

    Raises:
        RefusedError: the record declares another threshold than the deployment has, and the change
            does not choose; or it chooses the record, which declares none.
    """
    match change:
        case DeployChampion(threshold=threshold, fallback_score=fallback_score):
            return _with_fallback(
                before,
                _with_threshold(before, after, threshold, declared),
                fallback_score,
                declared,
            )
        case Promote(threshold=threshold):
            return _with_threshold(before, after, threshold, declared)
        case _:
            return after


def _with_threshold(
    before: Deployment | None,
    after: Deployment,
    choice: PolicyChoice | None,
    declared: DeclaredPolicy,
) -> Deployment:
    there, recorded = after.decision_threshold, declared.decision_threshold
    if choice is None and before is not None and before.champion != after.champion:
        if recorded not in {None, there}:
            has = "no threshold" if there is None else f"the threshold {there:g}"
            raise RefusedError(
                f"the record of {_ref(after)} declares the threshold {recorded:g}, and the deployment "
                f"has {has}; choose threshold: keep (that of the deployment), record, or a number"
            )
        choice = PolicySource.KEEP
    value = _value(after, "threshold", choice, before, there=there, recorded=recorded)
    return replace(after, decision_threshold=value)


def _with_fallback(
    before: Deployment | None,
    after: Deployment,
    choice: PolicyChoice | None,
    declared: DeclaredPolicy,
) -> Deployment:
    there, recorded = after.fallback.constant_score, declared.fallback_score
    value = _value(after, "fallback score", choice, before, there=there, recorded=recorded)
    return replace(after, fallback=replace(after.fallback, constant_score=value))


def _value(
    after: Deployment,
    name: str,
    choice: PolicyChoice | None,
    before: Deployment | None,
    *,
    there: float | None,
    recorded: float | None,
) -> float | None:
    match choice:
        case None:  # the record of the first champion, as far as it declares one
            return recorded if before is None else there
        case PolicySource.KEEP:
            return there
        case PolicySource.RECORD:
            if recorded is None:
                raise RefusedError(f"the record of {_ref(after)} declares no {name}")
            return recorded
        case _:
            return choice


def _ref(deployment: Deployment) -> VersionRef:
    return VersionRef(deployment.model, deployment.champion)
