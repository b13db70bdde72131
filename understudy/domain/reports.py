"""Reports of scorer hosts and routers to the registry."""

from dataclasses import dataclass

from understudy.domain.acting import WithheldReason
from understudy.domain.belief import WatcherBelief
from understudy.domain.deployments import Arm, Challenger
from understudy.domain.placement import ANY_MODEL, Placement
from understudy.domain.snapshots import ScorerProcess


@dataclass(frozen=True, slots=True)
class ScorersReport:
    """The scorer processes of one host."""

    host_id: str
    processes: tuple[ScorerProcess, ...]
    belief: WatcherBelief | None = None  # None if the host does not say
    placement: Placement = ANY_MODEL


_CONSEQUENCES = {
    Arm.CHAMPION: "",
    Arm.CHALLENGER: "; its {bp} bp stay with the champion",
    Arm.SHADOW: "; nothing is mirrored to it",
}


@dataclass(frozen=True, slots=True)
class WithheldPart:
    """A declared part that is not in effect; as a string, a line for operators."""

    arm: Arm
    version: int
    reason: WithheldReason
    declared_bp: int | None = None  # None for the champion, which has the remainder
    why: str = ""  # for operators; "" if the reason says everything

    def __str__(self) -> str:
        why = f" ({self.why})" if self.why else ""
        consequence = _CONSEQUENCES[self.arm].format(bp=self.declared_bp)
        return f"{self.arm.value} {self.reason.of(self.version)}{why}{consequence}"


@dataclass(frozen=True, slots=True)
class UnservableVersion:
    """A version of a revision whose inputs a router cannot assemble."""

    version: int  # of an arm, the fallback, or on standby
    why: str

    def __str__(self) -> str:
        return f"{WithheldReason.UNSERVABLE.of(self.version)} ({self.why})"


@dataclass(frozen=True, slots=True)
class RouterModelState:
    """State of one model in one router."""

    model: str
    revision: int
    champion: int | None  # the version that acts as champion now; None if none can
    effective: tuple[Challenger, ...]  # the challengers in effect, with their weights
    withheld: tuple[WithheldPart, ...]
    unservable: tuple[UnservableVersion, ...] = ()  # those of withheld parts included

    @property
    def lost_reserves(self) -> tuple[str, ...]:
        """The fallback and the versions on standby that cannot be asked; lines for operators."""
        told = {part.version for part in self.withheld}
        lost = [each for each in self.unservable if each.version not in told]
        return tuple(f"in reserve: {each}" for each in lost)


@dataclass(frozen=True, slots=True)
class RouterReport:
    """The models of one router process."""

    router_id: str
    models: tuple[RouterModelState, ...]
    belief: WatcherBelief | None = None  # None if the router does not say
    sequence: int | None = None  # of the applied state of that lineage; None if none is applied


Report = ScorersReport | RouterReport
