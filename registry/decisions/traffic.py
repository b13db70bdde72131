"""The traffic of versions in a deployment, and the versions kept warm without any. Pure."""

from collections.abc import Sequence

from understudy.domain.changes import Ended, Revision
from understudy.domain.deployments import FULL_SHARE_BP, Deployment, versions_in_use


def gains(before: Revision | None, after: Revision) -> tuple[int, ...]:
    """Return the versions that `after` adds, or gives more live or shadow traffic."""
    if isinstance(after, Ended):
        return ()
    had = _traffic_bp(before) if isinstance(before, Deployment) else {}
    return tuple(
        sorted(number for number, bp in _traffic_bp(after).items() if bp > had.get(number, -1))
    )


def answering_gains(before: Revision | None, after: Revision) -> frozenset[int]:
    """Return the versions that answer callers under `after`, and did not, or less, under `before`.

    A shadow answers no one. A champion that stays is none of them, although it gets what others leave.
    """
    if not isinstance(after, Deployment):
        return frozenset()
    had = _answers_bp(before) if isinstance(before, Deployment) else {}
    stays = before.champion if isinstance(before, Deployment) else None
    return frozenset(
        number
        for number, bp in _answers_bp(after).items()
        if bp > had.get(number, -1) and not number == stays == after.champion
    )


def standby_of(
    current: Deployment, champions: Sequence[int], *, limit: int, acting: int | None = None
) -> tuple[int, ...]:
    """Return up to `limit` former champions that `current` does not use, after the acting one.

    They are kept warm, so that a rollback acts at once; the acting champion is, whatever the limit,
    because it answers until the declared one is ready.

    Args:
        current: the newest revision.
        champions: every current or former champion of the model, each once, the latest first.
        limit: how many to keep besides the acting champion.
        acting: the version that acts as champion; None if none is known.
    """
    taken = {*versions_in_use(current), acting}
    others = tuple(number for number in champions if number not in taken)[:limit]
    is_kept = acting is not None and acting not in versions_in_use(current)
    return (acting, *others) if acting is not None and is_kept else others


def live_shares_bp(deployment: Deployment) -> dict[int, int]:
    """Return the declared share of live traffic by version, which an A/A arm leaves as it is.

    The champion has the remainder.
    """
    shares_bp = {deployment.champion: FULL_SHARE_BP}
    for each in deployment.challengers:
        shares_bp[each.version] = shares_bp.get(each.version, 0) + each.weight_bp
        shares_bp[deployment.champion] -= each.weight_bp
    return shares_bp


def _answers_bp(deployment: Deployment) -> dict[int, int]:
    """Return the live traffic by version; 0 for one that answers only in place of others."""
    answers = live_shares_bp(deployment)
    if deployment.fallback.version is not None:
        answers.setdefault(deployment.fallback.version, 0)
    return answers


def _traffic_bp(deployment: Deployment) -> dict[int, int]:
    """Return traffic by version, live plus shadow; the champion has what other versions leave.

    An A/A arm counts beside it: it is a part of its own, which is given and acts, or does not.
    """
    live = [(each.version, each.weight_bp) for each in deployment.challengers]
    shadows = [(each.version, each.sample_bp) for each in deployment.shadows]
    taken_bp = sum(bp for number, bp in live if number != deployment.champion)
    traffic = {deployment.champion: FULL_SHARE_BP - taken_bp}
    for number, bp in (*live, *shadows):
        traffic[number] = traffic.get(number, 0) + bp
    if deployment.fallback.version is not None:
        traffic.setdefault(deployment.fallback.version, 0)
    return traffic
