"""The shares in effect: a declared share applies only to a version that is ready; never silently.

A version is ready if a scorer host reports a ready scorer, and that scorer has answered this router
at least once. A ready version whose scorers stop to answer gives way, as champion, to one that does.
"""

from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from types import MappingProxyType

from understudy.domain.acting import WithheldReason
from understudy.domain.deployments import Arm, Deployment
from understudy.domain.reports import UnservableVersion, WithheldPart


@dataclass(frozen=True, slots=True)
class ArmVersion:
    """A version in one of its arms: the champion's may be a challenger as well, for an A/A test."""

    arm: Arm
    version: int


@dataclass(frozen=True, slots=True)
class Effective:
    """The answering versions. Replaced as a whole when readiness or the revision changes."""

    champion: int | None  # the version that acts as champion; None if none can
    challengers: tuple[int, ...]  # declared and ready; the others' units go to the champion
    withheld: tuple[WithheldPart, ...]  # declared parts that are not in effect
    awaited: tuple[int, ...] = ()  # before the acting champion in line: ready, but no answer now
    stand_in: int | None = None  # after it in line: answers if nothing else can
    unservable: tuple[UnservableVersion, ...] = ()  # of the revision, in order of their numbers

    def answers(self, arm: Arm, version: int) -> bool:
        """Return whether a version answers calls in an arm now."""
        return version == self.champion if arm is Arm.CHAMPION else version in self.challengers

    def answering(self, arm: Arm, version: int) -> ArmVersion | None:
        """Return the version that answers for a declared arm; None if none can."""
        if self.answers(arm, version):
            return ArmVersion(arm, version)
        return None if self.champion is None else ArmVersion(Arm.CHAMPION, self.champion)

    def arm_of(self, version: int) -> ArmVersion:
        """Return the arm in which a version stands in for others: the champion's, or else its own."""
        is_challenger = version != self.champion and version in self.challengers
        return ArmVersion(Arm.CHALLENGER if is_challenger else Arm.CHAMPION, version)

    @property
    def champion_withheld(self) -> WithheldReason | None:
        """The reason why the declared champion does not act; None if it does."""
        return next((part.reason for part in self.withheld if part.arm is Arm.CHAMPION), None)


def decide_effective(
    deployment: Deployment,
    ready: AbstractSet[int],
    acting: Sequence[int],
    unanswering: AbstractSet[int] = frozenset(),
    unservable: Mapping[int, str] = MappingProxyType({}),
    unproven: AbstractSet[int] = frozenset(),
    foreign: AbstractSet[int] = frozenset(),
    unsteady: Mapping[int, str] = MappingProxyType({}),
) -> Effective:
    """Return the versions that answer now.

    Args:
        deployment: the current revision.
        ready: version numbers with a ready and warm scorer, which has answered.
        acting: the versions that acted as champion last, the first choice first; one of them
            stays while the declared one warms up, so that a deployment never replaces a working
            model by a missing one.
        unanswering: ready versions none of whose scorers answers this router now.
        unservable: reason by version whose inputs this router cannot assemble. The other parts of
            the revision are in effect without it: a shadow never takes the champion along.
        unsteady: reason by ready version that answers again, and has not for long enough to act
            while another one of the line answers.
        unproven: versions that are said to be ready; none of their scorers has answered yet.
        foreign: versions of which a scorer loaded another artifact than the registered one.
    """
    ready = ready - set(deployment.blocked) - unservable.keys()
    line = [number for number in _line(deployment, acting) if number in ready]
    answering = [number for number in line if number not in unanswering]
    steady = [number for number in answering if number not in unsteady]
    champion = next(iter(steady or answering or line), None)
    reasons = _reasons(deployment, ready, unservable, (unproven, foreign), unsteady)
    at = 0 if champion is None else line.index(champion)
    return Effective(
        champion,
        tuple(c.version for c in deployment.challengers if c.version in ready),
        tuple(_withheld(deployment, ready, champion, reasons)),
        awaited=tuple(line[:at]),
        stand_in=next((number for number in answering if number != champion), None),
        unservable=tuple(UnservableVersion(*each) for each in sorted(unservable.items())),
    )


def _line(deployment: Deployment, acting: Sequence[int]) -> list[int]:
    """Return the versions that may act as champion, in their order, each once."""
    return list(dict.fromkeys((deployment.champion, *acting, *deployment.standby)))


def _withheld(
    deployment: Deployment,
    ready: AbstractSet[int],
    champion: int | None,
    reasons: Mapping[int, tuple[WithheldReason, str]],
) -> Iterator[WithheldPart]:
    declared: list[tuple[Arm, int, int | None]] = [
        *((Arm.CHALLENGER, each.version, each.weight_bp) for each in deployment.challengers),
        *((Arm.SHADOW, each.version, each.sample_bp) for each in deployment.shadows),
    ]
    absent = [each for each in declared if each[1] not in ready]
    if champion != deployment.champion:
        absent = [(Arm.CHAMPION, deployment.champion, None), *absent]
    for arm, number, declared_bp in absent:
        reason, why = reasons.get(number, (WithheldReason.NOT_READY, ""))
        yield WithheldPart(arm, number, reason, declared_bp, why)


def _reasons(
    deployment: Deployment,
    ready: AbstractSet[int],
    unservable: Mapping[int, str],
    unproven: tuple[AbstractSet[int], AbstractSet[int]],  # and those of another artifact
    unsteady: Mapping[int, str],
) -> dict[int, tuple[WithheldReason, str]]:
    """Return the reason why a version takes no part, with an explanation if there is more to say.

    Versions that are only not ready are left out.
    """
    return {  # of several reasons the last one counts
        **dict.fromkeys(unproven[0], (WithheldReason.UNPROVEN, "")),
        **dict.fromkeys(unproven[1], (WithheldReason.OTHER_ARTIFACT, "")),
        **{number: (WithheldReason.UNSERVABLE, why) for number, why in unservable.items()},
        **dict.fromkeys(deployment.blocked, (WithheldReason.BLOCKED, "")),
        **{number: (WithheldReason.NO_ANSWER, unsteady.get(number, "")) for number in ready},
    }
