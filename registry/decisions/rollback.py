"""The revision that a rollback returns to, and those that it could return to. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from understudy.domain.changes import ACTIONS, Action, Change, Rollback
from understudy.domain.errors import RefusedError

_NAMED = 5  # number of suggested revisions


@dataclass(frozen=True, slots=True)
class PastRevision:
    """The facts about a revision that a refused rollback suggests from."""

    revision: int
    champion: int
    digest: str
    action: str  # the change that made it, one of `ACTIONS`


def needed_revision(past: Sequence[PastRevision], change: Change) -> int | None:
    """Return the number of the earlier revision that `change` returns to, or None.

    Args:
        past: the model's revisions, the current one first; may be truncated.
        change: the requested change.

    Raises:
        RefusedError: a rollback names no revision and the last change, or the last change of
            champion if only that is to be undone, was also a rollback: undoing that would restore
            the state that was just left. Or no change of champion is among `past`.
    """
    if not isinstance(change, Rollback):
        return None
    if change.to_revision is not None:
        return change.to_revision
    if change.only_champion:
        return _with_the_champion_before(past)
    past = [each for each in past if each.action != Action.RESTORE]  # it changed only the number
    if not past:
        return None
    if past[0].action == ACTIONS[Rollback]:
        raise RefusedError(
            f"revision {past[0].revision} is itself a rollback, and undoing it would restore the "
            f"state that was left; name one with --to-revision: {_candidates(past)}"
        )
    return past[1].revision if len(past) > 1 else None


def _with_the_champion_before(past: Sequence[PastRevision]) -> int:
    """Return the latest revision with the champion that the present one has replaced."""
    for after, before in pairwise(past):
        if after.champion == before.champion:
            continue
        if after.action == ACTIONS[Rollback]:
            raise RefusedError(
                f"revision {after.revision} took the champion back already, and undoing that would "
                f"restore @{before.champion}, which was left; deploy the version that you want"
            )
        return before.revision
    raise RefusedError(
        f"the champion is the same in the last {len(past)} revisions; name one with --to-revision"
    )


def rollback_targets(past: Sequence[PastRevision]) -> list[PastRevision]:
    """Return the latest few revisions that differ from the current one, each content once.

    Args:
        past: the model's revisions, the current one first; may be truncated.
    """
    latest: dict[str, PastRevision] = {}
    for each in past:
        if each.action != Action.UNDEPLOY:
            latest.setdefault(each.digest, each)
    is_ended = bool(past) and past[0].action == Action.UNDEPLOY
    current = past[0].digest if past and not is_ended else None
    return [each for each in latest.values() if each.digest != current][:_NAMED]


def _candidates(past: Sequence[PastRevision]) -> str:
    return ", ".join(
        f"{each.revision} (champion @{each.champion})" for each in rollback_targets(past)
    )
