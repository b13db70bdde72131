"""The limits that a registry sets to changes: their step, their pace and their time. Pure.

The way back is never limited: a rollback, and a change that only takes traffic away.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from registry.decisions.freezes import Freeze
from registry.decisions.preflight import targets
from registry.decisions.traffic import live_shares_bp
from understudy.domain.changes import Change, ChangeContract, Ended, Revision, Rollback
from understudy.domain.deployments import Deployment
from understudy.domain.errors import RefusedError

LARGEST_STEP, LEAST_DWELL, FREEZE = "largest_step", "least_dwell", "freeze"


@dataclass(frozen=True, slots=True)
class ChangeLimits:
    """The limits of all deployments of a registry; None and empty for no limit."""

    largest_step_bp: int | None = None  # by which one change may raise a version's live share
    least_dwell_s: float | None = None  # for which a version keeps a live share before it gets more
    freezes: tuple[Freeze, ...] = ()  # times at which only the way back is open


@dataclass(frozen=True, slots=True)
class BrokenLimit:
    """A limit that a change would break."""

    name: str
    why: str

    def __str__(self) -> str:
        return f"{self.name}: {self.why}"


def raised_shares_bp(before: Revision | None, after: Revision) -> dict[int, tuple[int, int]]:
    """Return the live shares before and after, by version, for those that get more.

    The champion that was there before is none of them: what others leave goes back to it. A first
    deployment has none, because no traffic was there.
    """
    if not isinstance(before, Deployment) or isinstance(after, Ended):
        return {}
    had_bp, gets_bp = live_shares_bp(before), live_shares_bp(after)
    return {
        version: (had_bp.get(version, 0), bp)
        for version, bp in gets_bp.items()
        if version != before.champion and bp > had_bp.get(version, 0)
    }


def share_since(version: int, history: Iterable[tuple[datetime, Revision]]) -> datetime | None:
    """Return the time from which a version has had its present live share; None if it has none.

    Args:
        version: its number.
        history: the revisions with their times, newest first; may end early, once the time is old
            enough for any limit.
    """
    since, present_bp = None, None
    for at, revision in history:
        bp = 0 if isinstance(revision, Ended) else live_shares_bp(revision).get(version, 0)
        if present_bp is None:
            present_bp = bp
        if bp != present_bp:
            break
        since = at
    return since if present_bp else None


def broken_limits(
    limits: ChangeLimits,
    change: Change,
    before: Revision | None,
    after: Revision,
    *,
    since: Mapping[int, datetime | None],
    now: datetime,
) -> list[BrokenLimit]:
    """Return the limits that a change would break, each with its reason.

    Args:
        limits: those of the registry.
        change: the requested change.
        before: the current revision; None if the model was never deployed.
        after: the revision that it would make.
        since: the time from which each version of `raised_shares_bp` has had its live share; None
            for one without a share. Only read if there is a least dwell.
        now: the time of the change.
    """
    if isinstance(change, Rollback):
        return []
    raised_bp = raised_shares_bp(before, after)
    return [
        *_steps(limits, after.model, raised_bp),
        *_dwells(limits, after.model, raised_bp, since, now),
        *([] if _only_takes_away(change, before, after) else _frozen(limits, now)),
    ]


def check_limits(broken: Sequence[BrokenLimit], *, is_overridden: bool) -> None:
    """Refuse a change that breaks limits, unless they are overridden; and an override of none.

    Raises:
        RefusedError: with all broken limits; or there is nothing to override.
    """
    if broken and not is_overridden:
        listed = "; ".join(map(str, broken))
        raise RefusedError(f"limits of this registry: {listed}; to override them, give a reason")
    if is_overridden and not broken:
        raise RefusedError("no limit is broken, so there is none to override")


def _steps(
    limits: ChangeLimits, model: str, raised_bp: Mapping[int, tuple[int, int]]
) -> Iterator[BrokenLimit]:
    most_bp = limits.largest_step_bp
    for version, (had_bp, gets_bp) in raised_bp.items():
        if most_bp is not None and gets_bp - had_bp > most_bp:
            yield BrokenLimit(
                LARGEST_STEP,
                f"{model}@{version} would go from {_share(had_bp)} to {_share(gets_bp)}; at most "
                f"{_share(most_bp)} more in one change",
            )


def _dwells(
    limits: ChangeLimits,
    model: str,
    raised_bp: Mapping[int, tuple[int, int]],
    since: Mapping[int, datetime | None],
    now: datetime,
) -> Iterator[BrokenLimit]:
    least_s = limits.least_dwell_s
    for version, (had_bp, _) in raised_bp.items():
        began = since.get(version)
        if least_s is None or began is None:
            continue
        left = began + timedelta(seconds=least_s) - now
        if left > timedelta(0):
            yield BrokenLimit(
                LEAST_DWELL,
                f"{model}@{version} has {_share(had_bp)} since {began:%Y-%m-%dT%H:%M:%SZ}; for "
                f"{left.total_seconds():.0f} s more, of {least_s:g} s, it keeps that share",
            )


def _frozen(limits: ChangeLimits, now: datetime) -> Iterator[BrokenLimit]:
    for each in limits.freezes:
        if each.contains(now):
            yield BrokenLimit(FREEZE, f"{each.text} (UTC): only the way back is open")


def _only_takes_away(change: Change, before: Revision | None, after: Revision) -> bool:
    """Return whether no version gets a part or more of one, and all else stays as it is.

    The contract may accept entities in passing; only a change of it is a change of callers.
    """
    if not isinstance(before, Deployment) or isinstance(after, Ended):
        return False
    if isinstance(change, ChangeContract) or targets(before, after):
        return False
    kept = replace(before, challengers=after.challengers, shadows=after.shadows)
    return kept.digest == after.digest


def _share(share_bp: int) -> str:
    return f"{share_bp / 100:g}%"
