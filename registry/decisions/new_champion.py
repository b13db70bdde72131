"""The parts of a deployment under another champion. Pure."""

from dataclasses import replace

from understudy.domain.deployments import Deployment
from understudy.domain.errors import RefusedError


def with_champion(current: Deployment, version: int) -> Deployment:
    """Return the deployment with another champion; with the same one, it stays as it is.

    The new champion is no longer challenger or shadow. The A/A parts of the former champion end with
    it: beside another version they would compare two models, which no change asked for.
    """
    if version == current.champion:
        return current
    ended = {version, current.champion}
    return replace(
        current,
        champion=version,
        challengers=tuple(c for c in current.challengers if c.version not in ended),
        shadows=tuple(s for s in current.shadows if s.version not in ended),
    )


def promotable(current: Deployment, version: int | None) -> int:
    """Return the challenger to promote: the named one, or the only one beside an A/A arm.

    Raises:
        RefusedError: the version is the champion or no challenger, or there is not exactly one.
    """
    numbers = [each.version for each in current.challengers]
    challengers = [number for number in numbers if number != current.champion]
    if version is None:
        if len(challengers) != 1:
            raise RefusedError(
                f"{current.model} has {len(challengers)} challengers; name the one to promote"
            )
        return challengers[0]
    if version == current.champion:
        raise RefusedError(f"{current.model}@{version} is the champion already")
    if version not in challengers:
        raise RefusedError(
            f"{current.model}@{version} is not a challenger; only a challenger can be promoted"
        )
    return version
