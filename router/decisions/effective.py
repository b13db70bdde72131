"""The shares in effect: a declared share applies only to a version that is ready; never silently."""

from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from understudy.domain.deployments import Arm, Deployment
from understudy.domain.reports import WithheldPart, WithheldReason


@dataclass(frozen=True, slots=True)
class Effective:
    """The answering versions. Replaced as a whole when readiness or the revision changes."""

    champion: int | None  # the version that acts as champion; None if none can
    challengers: tuple[int, ...]  # declared and ready; the others' units go to the champion
    withheld: tuple[WithheldPart, ...]  # declared parts that are not in effect


def decide_effective(
    deployment: Deployment, ready: AbstractSet[int], acting_champion: int | None
) -> Effective:
    """Return the versions that answer now.

    Args:
        deployment: the current revision.
        ready: version numbers with a ready and warm scorer.
        acting_champion: the version that acted as champion so far; it stays while the declared one
            warms up, so that a deployment never replaces a working model by a missing one.
    """
    champion = _champion(deployment, ready, acting_champion)
    challengers = tuple(c.version for c in deployment.challengers if c.version in ready)
    return Effective(champion, challengers, tuple(_withheld(deployment, ready, champion)))


def _withheld(
    deployment: Deployment, ready: AbstractSet[int], champion: int | None
) -> Iterator[WithheldPart]:
    why = WithheldReason.NOT_READY
    if champion != deployment.champion:
        yield WithheldPart(Arm.CHAMPION, deployment.champion, why)
    for challenger in deployment.challengers:
        if challenger.version not in ready:
            yield WithheldPart(Arm.CHALLENGER, challenger.version, why, challenger.weight_bp)
    for shadow in deployment.shadows:
        if shadow.version not in ready:
            yield WithheldPart(Arm.SHADOW, shadow.version, why, shadow.sample_bp)


def _champion(
    deployment: Deployment, ready: AbstractSet[int], acting_champion: int | None
) -> int | None:
    if deployment.champion in ready:
        return deployment.champion
    for candidate in (acting_champion, *deployment.standby):
        if candidate is not None and candidate in ready:
            return candidate
    return None
