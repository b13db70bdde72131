"""What acts now: a declared share acts only on a version that is ready; never a silent gap."""

from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from understudy.domain.deployments import Deployment


@dataclass(frozen=True, slots=True)
class Effective:
    """Who answers for whom. Replaced whole when readiness or the revision changes."""

    champion: int | None  # the version that acts as champion; None: nobody can
    challengers: tuple[int, ...]  # declared and ready; the others' units go to the champion
    withheld: tuple[str, ...]  # why a declared part does not act, for status and metrics


def decide_effective(
    deployment: Deployment, ready: AbstractSet[int], acting_champion: int | None
) -> Effective:
    """Return who answers now.

    Args:
        deployment: the current revision.
        ready: version numbers with a ready and warm scorer.
        acting_champion: who acted as champion until now; it stays while the declared one warms
            up, so a deployment never trades a working model for one that is not there yet.
    """
    withheld: list[str] = []
    champion = _champion(deployment, ready, acting_champion)
    if champion != deployment.champion:
        instead = "nobody" if champion is None else f"version {champion}"
        withheld.append(f"champion {deployment.champion} is not ready; {instead} answers")
    challengers = tuple(c.version for c in deployment.challengers if c.version in ready)
    withheld += [
        f"challenger {c.version} is not ready; its {c.weight_bp} bp stay with the champion"
        for c in deployment.challengers
        if c.version not in ready
    ]
    withheld += [
        f"shadow {s.version} is not ready; nothing is mirrored to it"
        for s in deployment.shadows
        if s.version not in ready
    ]
    return Effective(champion, challengers, tuple(withheld))


def _champion(
    deployment: Deployment, ready: AbstractSet[int], acting_champion: int | None
) -> int | None:
    if deployment.champion in ready:
        return deployment.champion
    for candidate in (acting_champion, *deployment.standby):
        if candidate is not None and candidate in ready:
            return candidate
    return None
