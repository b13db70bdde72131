"""The traffic of versions in a deployment, and the versions kept warm without any. Pure."""

from collections.abc import Sequence

from understudy.domain.changes import Ended, Revision
from understudy.domain.deployments import Deployment, versions_in_use


def gains(before: Revision | None, after: Revision) -> tuple[int, ...]:
    """Return the versions that `after` adds, or gives more live or shadow traffic."""
    if isinstance(after, Ended):
        return ()
    had = _traffic_bp(before) if isinstance(before, Deployment) else {}
    return tuple(
        sorted(number for number, bp in _traffic_bp(after).items() if bp > had.get(number, -1))
    )


def standby_of(current: Deployment, champions: Sequence[int], *, limit: int) -> tuple[int, ...]:
    """Return up to `limit` former champions that `current` does not use.

    They are kept warm, so that a rollback acts at once.

    Args:
        current: the newest revision.
        champions: every current or former champion of the model, each once, the latest first.
        limit: how many to keep.
    """
    in_use = versions_in_use(current)
    return tuple(number for number in champions if number not in in_use)[:limit]


def _traffic_bp(deployment: Deployment) -> dict[int, int]:
    """Return traffic by version, live plus shadow; the champion has the remainder."""
    live = {challenger.version: challenger.weight_bp for challenger in deployment.challengers}
    traffic = {deployment.champion: 10_000 - sum(live.values())}
    for number, bp in (*live.items(), *((s.version, s.sample_bp) for s in deployment.shadows)):
        traffic[number] = traffic.get(number, 0) + bp
    if deployment.fallback.version is not None:
        traffic.setdefault(deployment.fallback.version, 0)
    return traffic
