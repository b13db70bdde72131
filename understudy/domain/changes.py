"""The changes that an operator can make to a deployment."""

from dataclasses import dataclass

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
    sample_bp: int  # 0 removes the shadow


@dataclass(frozen=True, slots=True)
class SetCanary:
    version: int
    weight_bp: int  # 0 removes the canary


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
