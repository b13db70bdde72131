"""The next revision of a deployment. Pure: history and change in, revision out."""

from dataclasses import replace
from typing import assert_never

from registry.decisions.declared_policy import DeclaredPolicy, with_declared_policy
from registry.decisions.new_champion import promotable, with_champion
from registry.decisions.request_contract import ModelVersions, next_contract
from registry.decisions.rule_features import check_rules
from understudy.domain.changes import (
    Apply,
    Change,
    ChangeContract,
    ContentChange,
    DeployChampion,
    Ended,
    Pause,
    Promote,
    RemoveCanary,
    RemoveShadow,
    Revision,
    Rollback,
    SetCanary,
    SetFallback,
    SetHostLabels,
    SetRules,
    SetShadow,
    SetThreshold,
    Undeploy,
)
from understudy.domain.deployments import (
    Challenger,
    Deployment,
    Shadow,
    versions_in_use,
)
from understudy.domain.errors import InvalidInputError, NotFoundError, RefusedError
from understudy.domain.versions import VersionRef


def apply_change(
    current: Revision | None,
    change: Change,
    *,
    earlier: Revision | None,
    model: str,
    versions: ModelVersions,
    first_salt: str,
    numbers_taken: int = 0,
) -> Revision:
    """Return the revision that follows `current` under `change`.

    That is `current` itself if the change is an Apply of its content.

    Args:
        current: the newest revision; None if the model was never deployed.
        change: the requested change.
        earlier: the revision named by `needed_revision`; None if it does not exist.
        model: the model's name.
        versions: those registered for the model; a revision names no others.
        first_salt: salt of the first revision. Later ones keep it, so that entities keep their arm.
        numbers_taken: the revision exceeds this number, which another registry gave; 0 for none.

    Raises:
        NotFoundError: the change names a version or revision that does not exist.
        RefusedError: the state does not allow the change, the change has no effect, or a version
            does not fit the request contract, the rules or the threshold.
        InvalidInputError: the revision would contradict itself, e.g. weights above 10000; or the
            change of a contract or the rules name a feature that does not exist.
    """
    revision = max(0 if current is None else current.revision, numbers_taken) + 1
    if isinstance(change, Undeploy):
        return Ended(replace(_deployed(current, model), revision=revision, standby=()))
    match current:
        case Deployment():
            changed = _next(current, change, earlier)
        case Ended(last=last):
            changed = _again(last, change, earlier)
        case _:
            changed = _first(change, model, first_salt)
    for number in versions_in_use(changed):
        if number not in versions.needs:
            raise NotFoundError("version", VersionRef(model, number))
    before = current.last if isinstance(current, Ended) else current
    contract = next_contract(before, changed, change, versions)
    changed = replace(changed, contract=contract, revision=revision, standby=())
    declared = versions.policies.get(changed.champion, DeclaredPolicy())
    running = current if isinstance(current, Deployment) else None
    changed = with_declared_policy(running, changed, change, declared)
    check_rules(changed, change, versions.needs)
    if isinstance(current, Deployment) and _is_the_same(current, changed, change):
        return _unchanged(current, change)
    return changed


def _unchanged(current: Deployment, change: ContentChange) -> Deployment:
    """Return the present revision for a declaration that it fulfils; refuse other changes."""
    if isinstance(change, Apply):
        return current
    why = ""
    if isinstance(change, Rollback):
        why = "; a rollback leaves the request contract as it is"
    raise RefusedError(
        f"{current.model} is already in this state at revision {current.revision}{why}"
    )


def _first(change: ContentChange, model: str, salt: str) -> Deployment:
    if isinstance(change, Apply):
        return _declared(change, model, salt)
    if not isinstance(change, DeployChampion):
        raise _not_deployed(model)
    return Deployment(model=model, revision=1, champion=change.version, salt=salt)


def _declared(change: Apply, model: str, salt: str) -> Deployment:
    return Deployment(
        model=model,
        revision=1,
        champion=change.champion,
        salt=salt,
        challengers=change.challengers,
        shadows=change.shadows,
        fallback=change.fallback,
        decision_threshold=change.decision_threshold,
        rules=change.rules,
        host_labels=tuple(sorted(change.host_labels)),
    )


def _again(last: Deployment, change: ContentChange, earlier: Revision | None) -> Deployment:
    """Return the content of a deployment that was ended and begins again, with its old salt."""
    if isinstance(change, Rollback):
        return _returned(last, change, earlier)
    return _first(change, last.model, last.salt)


def _deployed(current: Revision | None, model: str) -> Deployment:
    if isinstance(current, Deployment):
        return current
    raise _not_deployed(model)


def _not_deployed(model: str) -> RefusedError:
    return RefusedError(f"{model} is not deployed; deploy a champion first")


def _is_the_same(current: Deployment, changed: Deployment, change: Change) -> bool:
    """Return whether the change has no effect; entities accepted in passing are none."""
    if not isinstance(change, ChangeContract):
        return changed.digest == current.digest
    seen = current.contract.seen_version
    return replace(changed.contract, seen_version=seen) == current.contract


def _next(current: Deployment, change: ContentChange, earlier: Revision | None) -> Deployment:
    match change:
        case DeployChampion(version=version):
            return with_champion(current, version)
        case Promote(version=version):
            return with_champion(current, promotable(current, version))
        case Rollback():
            return _returned(current, change, earlier)
        case SetShadow() | RemoveShadow() | SetCanary() | RemoveCanary() | Pause():
            return _with_share(current, change)
        case SetHostLabels(labels=labels):
            return replace(current, host_labels=tuple(sorted(labels)))
        case SetFallback() | SetRules() | SetThreshold() | Apply() | ChangeContract():
            return _with_policy(current, change)
        case _:
            assert_never(change)


def _with_share(
    current: Deployment, change: SetShadow | RemoveShadow | SetCanary | RemoveCanary | Pause
) -> Deployment:
    match change:
        case SetShadow():
            return _with_shadow(current, change)
        case RemoveShadow(version=version):
            return _without_shadow(current, version)
        case SetCanary():
            return _with_canary(current, change)
        case RemoveCanary(version=version):
            return _without_canary(current, version)
        case Pause(version=number):
            return _paused(current, number)
        case _:
            assert_never(change)


def _with_policy(
    current: Deployment, change: SetFallback | SetRules | SetThreshold | Apply | ChangeContract
) -> Deployment:
    match change:
        case SetFallback(fallback=fallback):
            return replace(current, fallback=fallback)
        case SetRules(rules=rules):
            return replace(current, rules=rules)
        case SetThreshold(decision_threshold=threshold):
            return replace(current, decision_threshold=threshold)
        case Apply():
            return _declared(change, current.model, current.salt)
        case ChangeContract():
            return current  # the contract follows: see `next_contract`
        case _:
            assert_never(change)


def _with_shadow(current: Deployment, change: SetShadow) -> Deployment:
    before = next((each for each in current.shadows if each.version == change.version), None)
    margins = change.margins
    if margins is None and before is not None:
        margins = before.margins
    shadow = Shadow(change.version, change.sample_bp, change.refuses_defaults, margins)
    if before is None:
        return replace(current, shadows=(*current.shadows, shadow))
    return replace(
        current,
        shadows=tuple(shadow if s.version == shadow.version else s for s in current.shadows),
    )


def _without_shadow(current: Deployment, version: int) -> Deployment:
    kept = tuple(shadow for shadow in current.shadows if shadow.version != version)
    if kept == current.shadows:
        raise RefusedError(f"{current.model}@{version} is not a shadow")
    return replace(current, shadows=kept)


def _with_canary(current: Deployment, change: SetCanary) -> Deployment:
    if change.weight_bp == 0:
        accepted = "1 to 10000 basis points; a challenger without traffic is paused or removed"
        raise InvalidInputError.of("weight_bp", read=0, accepted=accepted)
    canary = Challenger(change.version, change.weight_bp)
    if not any(each.version == canary.version for each in current.challengers):
        return replace(current, challengers=(*current.challengers, canary))
    return replace(
        current,
        challengers=tuple(
            canary if c.version == canary.version else c for c in current.challengers
        ),
    )


def _without_canary(current: Deployment, version: int) -> Deployment:
    kept = tuple(each for each in current.challengers if each.version != version)
    if kept == current.challengers:
        raise RefusedError(f"{current.model}@{version} is not a challenger")
    return replace(current, challengers=kept)


def _paused(current: Deployment, version: int | None) -> Deployment:
    challengers = [each.version for each in current.challengers]
    if version is not None and version not in challengers:
        raise RefusedError(f"{current.model}@{version} is not a challenger")
    if not challengers:
        raise RefusedError(f"{current.model} has no challenger to pause")
    return replace(
        current,
        challengers=tuple(
            replace(each, weight_bp=0) if version in {None, each.version} else each
            for each in current.challengers
        ),
    )


def _returned(current: Deployment, change: Rollback, earlier: Revision | None) -> Deployment:
    if isinstance(earlier, Deployment) and change.only_champion:
        return with_champion(current, earlier.champion)
    if isinstance(earlier, Deployment):
        return earlier
    if isinstance(earlier, Ended):
        raise RefusedError(
            f"revision {earlier.revision} ended the deployment of {current.model}; to end it "
            "again, undeploy it"
        )
    if change.to_revision is None:
        raise RefusedError(f"{current.model} has no revision before {current.revision}")
    raise NotFoundError("revision", f"{change.to_revision} of {current.model}")
