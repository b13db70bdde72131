"""The changes that an operator can make to a deployment, and the names of actions."""

from dataclasses import dataclass, field
from enum import StrEnum

from understudy.domain.deployments import (
    Challenger,
    Deployment,
    Fallback,
    Rule,
    Shadow,
)
from understudy.domain.errors import InvalidInputError
from understudy.domain.margins import Margins
from understudy.domain.request_contract import ContractChange


class PolicySource(StrEnum):
    """The origin of a part of the policy when a version becomes the champion."""

    KEEP = "keep"  # from the deployment as it is; nothing, if it is the first one
    RECORD = "record"  # from the provenance record of the version


PolicyChoice = PolicySource | float


@dataclass(frozen=True, slots=True)
class DeployChampion:
    """Makes a version the champion. Choices that are None: see `registry.decisions.declared_policy`."""

    version: int
    threshold: PolicyChoice | None = None
    fallback_score: PolicyChoice | None = None


@dataclass(frozen=True, slots=True)
class SetShadow:
    version: int
    sample_bp: int
    refuses_defaults: bool = False
    margins: Margins | None = None  # None: those that it has stay


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
class Pause:
    """Takes the live traffic from challengers, which stay loaded."""

    version: int | None = None  # None: all challengers


@dataclass(frozen=True, slots=True)
class Promote:
    version: int | None = None  # None: the only challenger
    threshold: PolicyChoice | None = None  # as in DeployChampion


@dataclass(frozen=True, slots=True)
class Rollback:
    """The way back to an earlier revision, or only to the champion before.

    Raises:
        InvalidInputError: on construction, if it names a revision and only the champion.
    """

    to_revision: int | None = None  # None: undo the last change, of whatever kind
    only_champion: bool = False  # take back the last change of champion; all else stays

    def __post_init__(self) -> None:
        if self.only_champion and self.to_revision is not None:
            raise InvalidInputError.of(
                "to_revision", read=self.to_revision, accepted="no number with only_champion"
            )


@dataclass(frozen=True, slots=True)
class SetFallback:
    fallback: Fallback


@dataclass(frozen=True, slots=True)
class SetRules:
    rules: tuple[Rule, ...]


@dataclass(frozen=True, slots=True)
class SetThreshold:
    decision_threshold: float | None


@dataclass(frozen=True, slots=True)
class SetHostLabels:
    """Sets the labels that a host must have to run the model."""

    labels: tuple[str, ...]  # (): any host may


@dataclass(frozen=True, slots=True)
class ChangeContract:
    change: ContractChange


@dataclass(frozen=True, slots=True)
class Apply:
    """All parts of a deployment at once; parts that are left out are absent. Salt and contract stay."""

    champion: int
    challengers: tuple[Challenger, ...] = ()
    shadows: tuple[Shadow, ...] = ()
    fallback: Fallback = field(default_factory=Fallback)
    decision_threshold: float | None = None
    rules: tuple[Rule, ...] = ()
    host_labels: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Undeploy:
    """Ends the deployment. Nothing else does: routers and hosts keep one that is merely absent."""


ContentChange = (
    DeployChampion
    | SetShadow
    | RemoveShadow
    | SetCanary
    | RemoveCanary
    | Pause
    | Promote
    | Rollback
    | SetFallback
    | SetRules
    | SetThreshold
    | SetHostLabels
    | ChangeContract
    | Apply
)
Change = ContentChange | Undeploy


def apply_of(deployment: Deployment) -> Apply:
    """Return the change that declares the content of `deployment`."""
    return Apply(
        champion=deployment.champion,
        challengers=deployment.challengers,
        shadows=deployment.shadows,
        fallback=deployment.fallback,
        decision_threshold=deployment.decision_threshold,
        rules=deployment.rules,
        host_labels=deployment.host_labels,
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
    CONTRACT = "contract"
    DRILL = "drill"  # a drill of the ladder, which changes nothing in the registry
    UNDEPLOY = "undeploy"
    RESTORE = "restore"  # a registry, which succeeds another one
    BLOCK = "block"  # a version, which takes no part from then on
    UNBLOCK = "unblock"
    FORGET_HOST = "forget_host"  # a silent scorer host that will not come back
    PAUSE = "pause"
    APPLY = "apply"
    HOST_LABELS = "host_labels"
    RETIRE = "retire"  # a version, which may take no part any more
    REINSTATE = "reinstate"
    COLLECT = "collect"  # the artifact of a version, whose bytes are removed
    TAG = "tag"  # a version, with a name for people; the name leaves the version that had it
    UNTAG = "untag"
    RECOVER = "recover"  # a collected artifact, by another registration of its version
    APPROVE = "approve"  # a version, by a person who did not make it
    REJECT = "reject"
    VOID_VOTES = "void_votes"  # on a version that a block took out
    APPROVAL_POLICY = "approval_policy"  # the number of approvals that a model demands
    UPGRADE = "upgrade"  # the registry's database, to the schema of a later build


ACTIONS: dict[type[Change], Action] = {
    DeployChampion: Action.DEPLOY,
    SetShadow: Action.SHADOW,
    RemoveShadow: Action.REMOVE_SHADOW,
    SetCanary: Action.CANARY,
    RemoveCanary: Action.REMOVE_CANARY,
    Pause: Action.PAUSE,
    Promote: Action.PROMOTE,
    Rollback: Action.ROLLBACK,
    SetFallback: Action.FALLBACK,
    SetRules: Action.RULES,
    SetThreshold: Action.THRESHOLD,
    SetHostLabels: Action.HOST_LABELS,
    ChangeContract: Action.CONTRACT,
    Apply: Action.APPLY,
    Undeploy: Action.UNDEPLOY,
}


@dataclass(frozen=True, slots=True)
class Ended:
    """A revision that ended its deployment."""

    last: Deployment  # content of the revision before, under the number of this one

    @property
    def model(self) -> str:
        return self.last.model

    @property
    def revision(self) -> int:
        return self.last.revision

    @property
    def digest(self) -> str:
        return self.last.digest


Revision = Deployment | Ended
