"""What scorer hosts and routers report to the registry."""

from dataclasses import dataclass
from enum import StrEnum

from understudy.domain.deployments import Arm, Challenger
from understudy.domain.snapshots import ScorerProcess


@dataclass(frozen=True, slots=True)
class ScorersReport:
    """What runs on one host."""

    host_id: str
    processes: tuple[ScorerProcess, ...]


class WithheldReason(StrEnum):
    """Why a declared part of a deployment does not act."""

    NOT_READY = "not_ready"  # its version has no scorer that is ready


_CONSEQUENCES = {
    Arm.CHAMPION: "",
    Arm.CHALLENGER: "; its {bp} bp stay with the champion",
    Arm.SHADOW: "; nothing is mirrored to it",
}
_WORDS = {WithheldReason.NOT_READY: "is not ready"}


@dataclass(frozen=True, slots=True)
class WithheldPart:
    """A declared part that does not act; as text, a line for operators."""

    arm: Arm
    version: int
    reason: WithheldReason
    declared_bp: int | None = None  # None: the champion's, which is what is left

    def __str__(self) -> str:
        consequence = _CONSEQUENCES[self.arm].format(bp=self.declared_bp)
        return f"{self.arm.value} {self.version} {_WORDS[self.reason]}{consequence}"


@dataclass(frozen=True, slots=True)
class RouterModelState:
    """What one router serves for one model."""

    model: str
    revision: int
    champion: int | None  # the version that acts as champion now; None: none can
    effective: tuple[Challenger, ...]  # those that act now, with their weights
    withheld: tuple[WithheldPart, ...]


@dataclass(frozen=True, slots=True)
class RouterReport:
    """What one router process serves."""

    router_id: str
    models: tuple[RouterModelState, ...]
