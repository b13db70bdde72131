"""The changes that an operator can make to a deployment, and the names of actions."""

from dataclasses import dataclass
from enum import StrEnum

from understudy.domain.deployments import (
    Fallback,
    Rule,
)


@dataclass(frozen=True, slots=True)
class DeployChampion:
    version: int


@dataclass(frozen=True, slots=True)
class SetShadow:
    version: int
    sample_bp: int


@dataclass(frozen=True, slots=True)
class RemoveShadow:
    version: int


@dataclass(frozen=True, slots=True)
class SetCanary:
    version: int
    weight_bp: int


@dataclass(frozen=True, slots=True)
class RemoveCanary:
    version: int


@dataclass(frozen=True, slots=True)
class Promote:
    version: int | None = None  # None: the only challenger


@dataclass(frozen=True, slots=True)
class Rollback:
    to_revision: int | None = None  # None: undo the last change, of whatever kind


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
    | RemoveShadow
    | SetCanary
    | RemoveCanary
    | Promote
    | Rollback
    | SetFallback
    | SetRules
    | SetThreshold
)


class Action(StrEnum):
    """The actions of operators, in revisions and in the audit log."""

    REGISTER = "register"  # a version
    DEPLOY = "deploy"
    SHADOW = "shadow"
    REMOVE_SHADOW = "remove_shadow"
    CANARY = "canary"
    REMOVE_CANARY = "remove_canary"
    PROMOTE = "promote"
    ROLLBACK = "rollback"
    FALLBACK = "fallback"
    RULES = "rules"
    THRESHOLD = "threshold"
    DRILL = "drill"  # a drill of the ladder, which changes nothing in the registry


ACTIONS: dict[type[Change], Action] = {
    DeployChampion: Action.DEPLOY,
    SetShadow: Action.SHADOW,
    RemoveShadow: Action.REMOVE_SHADOW,
    SetCanary: Action.CANARY,
    RemoveCanary: Action.REMOVE_CANARY,
    Promote: Action.PROMOTE,
    Rollback: Action.ROLLBACK,
    SetFallback: Action.FALLBACK,
    SetRules: Action.RULES,
    SetThreshold: Action.THRESHOLD,
}
