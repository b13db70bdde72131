"""The next revision of a deployment. Pure: history and change in, revision out."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import assert_never

from domain.deployments import (
    Challenger,
    Deployment,
    Fallback,
    Rule,
    Shadow,
    versions_in_use,
)
from domain.errors import NotFoundError, RefusedError
from domain.versions import VersionRef


@dataclass(frozen=True, slots=True)
class DeployChampion:
    version: int


@dataclass(frozen=True, slots=True)
class SetShadow:
    version: int
    sample_bp: int  # 0 removes it


@dataclass(frozen=True, slots=True)
class SetCanary:
    version: int
    weight_bp: int  # 0 removes it


@dataclass(frozen=True, slots=True)
class Promote:
    version: int | None = None  # None: the only challenger


@dataclass(frozen=True, slots=True)
class Rollback:
    to_revision: int | None = None  # None: the one before the current


@dataclass(frozen=True, slots=True)
class SetFallback:
    fallback: Fallback


@dataclass(frozen=True, slots=True)
class SetRules:
    rules: tuple[Rule, ...]


@dataclass(frozen=True, slots=True)
class SetThreshold:
    decision_threshold: float | None


Change = (
    DeployChampion
    | SetShadow
    | SetCanary
    | Promote
    | Rollback
    | SetFallback
    | SetRules
    | SetThreshold
)

ACTIONS: dict[type[Change], str] = {
    DeployChampion: "deploy",
    SetShadow: "shadow",
    SetCanary: "canary",
    Promote: "promote",
    Rollback: "rollback",
    SetFallback: "fallback",
    SetRules: "rules",
    SetThreshold: "threshold",
}


def apply_change(
    history: Sequence[Deployment],
    change: Change,
    *,
    model: str,
    known_versions: frozenset[int],
    first_salt: str,
) -> Deployment:
    """Return the revision that follows `history` (oldest first) under `change`.

    Args:
        history: every revision so far; empty when the model is not deployed.
        change: what is asked for.
        model: the model's name.
        known_versions: numbers registered for the model; a revision names no others.
        first_salt: salt of the first revision. Later ones keep it, so entities keep their arm.

    Raises:
        NotFoundError: the change names a version or revision that does not exist.
        RefusedError: the state does not allow the change, or the change changes nothing.
        InvalidInputError: the revision would contradict itself, e.g. weights above 10000.
    """
    changed = _next(history, change) if history else _first(change, model, first_salt)
    for number in versions_in_use(changed):
        if number not in known_versions:
            raise NotFoundError("version", VersionRef(model, number))
    if history and changed.digest == history[-1].digest:
        raise RefusedError(f"{model} is like this already at revision {history[-1].revision}")
    return replace(changed, revision=len(history) + 1, standby=())


def gains(before: Deployment | None, after: Deployment) -> tuple[int, ...]:
    """Return the versions that `after` brings in, or gives more live or shadow traffic."""
    had = _traffic_bp(before) if before is not None else {}
    return tuple(
        sorted(number for number, bp in _traffic_bp(after).items() if bp > had.get(number, -1))
    )


def standby_of(history: Sequence[Deployment], *, limit: int) -> tuple[int, ...]:
    """Return up to `limit` last champions that the newest revision does not use.

    They are kept warm, so that a rollback acts at once.
    """
    if not history:
        return ()
    in_use = versions_in_use(history[-1])
    former = dict.fromkeys(
        revision.champion for revision in reversed(history[:-1]) if revision.champion not in in_use
    )
    return tuple(former)[:limit]


def _first(change: Change, model: str, salt: str) -> Deployment:
    if not isinstance(change, DeployChampion):
        raise RefusedError(f"{model} is not deployed; deploy a champion first")
    return Deployment(model=model, revision=1, champion=change.version, salt=salt)


def _next(history: Sequence[Deployment], change: Change) -> Deployment:
    current = history[-1]
    match change:
        case DeployChampion(version=version):
            return _with_champion(current, version)
        case Promote(version=version):
            return _with_champion(current, _promotable(current, version))
        case Rollback(to_revision=number):
            return _revision(history, number)
        case SetShadow() | SetCanary():
            return _with_share(current, change)
        case SetFallback() | SetRules() | SetThreshold():
            return _with_policy(current, change)
        case _:
            assert_never(change)


def _with_share(current: Deployment, change: SetShadow | SetCanary) -> Deployment:
    match change:
        case SetShadow():
            return _with_shadow(current, change)
        case SetCanary():
            return _with_canary(current, change)
        case _:
            assert_never(change)


def _with_policy(current: Deployment, change: SetFallback | SetRules | SetThreshold) -> Deployment:
    match change:
        case SetFallback(fallback=fallback):
            return replace(current, fallback=fallback)
        case SetRules(rules=rules):
            return replace(current, rules=rules)
        case SetThreshold(decision_threshold=threshold):
            return replace(current, decision_threshold=threshold)
        case _:
            assert_never(change)


def _with_champion(current: Deployment, version: int) -> Deployment:
    return replace(
        current,
        champion=version,
        challengers=tuple(c for c in current.challengers if c.version != version),
        shadows=tuple(s for s in current.shadows if s.version != version),
    )


def _with_shadow(current: Deployment, change: SetShadow) -> Deployment:
    present = any(shadow.version == change.version for shadow in current.shadows)
    if not present and change.sample_bp == 0:
        raise RefusedError(f"{current.model}@{change.version} is no shadow")
    if change.sample_bp == 0:
        kept = tuple(s for s in current.shadows if s.version != change.version)
        return replace(current, shadows=kept)
    shadow = Shadow(change.version, change.sample_bp)
    if not present:
        return replace(current, shadows=(*current.shadows, shadow))
    return replace(
        current,
        shadows=tuple(shadow if s.version == shadow.version else s for s in current.shadows),
    )


def _with_canary(current: Deployment, change: SetCanary) -> Deployment:
    present = any(challenger.version == change.version for challenger in current.challengers)
    if not present and change.weight_bp == 0:
        raise RefusedError(f"{current.model}@{change.version} is no challenger")
    if change.weight_bp == 0:
        kept = tuple(c for c in current.challengers if c.version != change.version)
        return replace(current, challengers=kept)
    canary = Challenger(change.version, change.weight_bp)
    if not present:
        return replace(current, challengers=(*current.challengers, canary))
    return replace(
        current,
        challengers=tuple(
            canary if c.version == canary.version else c for c in current.challengers
        ),
    )


def _promotable(current: Deployment, version: int | None) -> int:
    challengers = [challenger.version for challenger in current.challengers]
    if version is None:
        if len(challengers) != 1:
            raise RefusedError(
                f"{current.model} has {len(challengers)} challengers; name the one to promote"
            )
        return challengers[0]
    if version not in challengers:
        raise RefusedError(
            f"{current.model}@{version} is no challenger; only a challenger can be promoted"
        )
    return version


def _revision(history: Sequence[Deployment], number: int | None) -> Deployment:
    current = history[-1]
    wanted = current.revision - 1 if number is None else number
    if wanted < 1 and number is None:
        raise RefusedError(f"{current.model} has no revision before {current.revision}")
    for revision in history:
        if revision.revision == wanted:
            return revision
    raise NotFoundError("revision", f"{wanted} of {current.model}")


def _traffic_bp(deployment: Deployment) -> dict[int, int]:
    """Traffic by version, live and shadow added; the champion has what is left."""
    live = {challenger.version: challenger.weight_bp for challenger in deployment.challengers}
    traffic = {deployment.champion: 10_000 - sum(live.values())}
    for number, bp in (*live.items(), *((s.version, s.sample_bp) for s in deployment.shadows)):
        traffic[number] = traffic.get(number, 0) + bp
    if deployment.fallback.version is not None:
        traffic.setdefault(deployment.fallback.version, 0)
    return traffic
