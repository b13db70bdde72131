"""The succession of one registry to another after a loss. Pure: states and beliefs in, plan out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from understudy.domain.belief import WatcherBelief
from understudy.domain.changes import Revision
from understudy.domain.deployments import Deployment
from understudy.domain.errors import RefusedError
from understudy.domain.versions import checked_model_name

_STEP = 1_000  # of revision numbers: a restored revision is known by its number
_NAMED = 5  # number of lineages that a refusal names


@dataclass(frozen=True, slots=True)
class RestoreRequest:
    """An operator's request that watchers of `successor_of` follow this registry."""

    successor_of: str  # a lineage; that of this registry if its database is an older copy
    revisions_above: int  # 0 if the operator names none
    ends: tuple[str, ...]  # models of the predecessor that end


@dataclass(frozen=True, slots=True)
class Watched:
    """The facts that routers and hosts report to this registry."""

    beliefs: Mapping[str, WatcherBelief]  # by name of the router or host
    highest_revision: int  # that any router serves, of any model; 0 if none reports


@dataclass(frozen=True, slots=True)
class Succession:
    """A plan: the new number, and the revisions that get it."""

    revision: int  # above all that a watcher may know
    restored: tuple[Deployment, ...]  # the deployments of this registry, under that number
    ends: tuple[str, ...]  # other models, which end with that number


def plan_succession(
    request: RestoreRequest,
    current: Sequence[Revision],
    watched: Watched,
    *,
    lineage: str,
    last_restored: int,
) -> Succession:
    """Return the plan that makes this registry the successor of another one, or of its own original.

    Args:
        request: of the operator.
        current: the newest revision of each model of this registry.
        watched: by the reports to this registry.
        lineage: of this registry.
        last_restored: the number that the last restore gave; 0 if there was none.

    Raises:
        RefusedError: the restore would change nothing for a watcher that reports, or ends a model
            that this registry deploys.
        InvalidInputError: `ends` has a name that no model can have.
    """
    _check_effect(request.successor_of, watched, lineage)
    deployed = [each for each in current if isinstance(each, Deployment)]
    for model in request.ends:
        checked_model_name(model, "ends")
        if any(each.model == model for each in deployed):
            raise RefusedError(f"{model} is deployed by this registry; undeploy it before or after")
    highest = max(
        request.revisions_above,
        watched.highest_revision,
        last_restored,
        *(each.revision for each in current),
    )
    revision = _first_above(highest)
    return Succession(
        revision=revision,
        restored=tuple(replace(each, revision=revision, standby=()) for each in deployed),
        ends=request.ends,
    )


def numbers_taken(watched: Watched) -> int:
    """Return the number that a revision must exceed, because watchers know one up to it; 0 for none.

    The changes of a registry that is refused are not those of the one that watchers believe: under
    the same numbers, two states would have one name in the logs.
    """
    is_refused = any(belief.refusal is not None for belief in watched.beliefs.values())
    return _first_above(watched.highest_revision) - 1 if is_refused else 0


def _first_above(highest: int) -> int:
    """Return the first number of a registry that comes after one with numbers up to `highest`."""
    return (highest // _STEP + 2) * _STEP


def _check_effect(successor_of: str, watched: Watched, lineage: str) -> None:
    """Refuse a restore that no watcher needs, as far as watchers report.

    Raises:
        RefusedError: see above.
    """
    beliefs = watched.beliefs
    if beliefs and all(
        each.refusal is None and each.lineage == lineage for each in beliefs.values()
    ):
        raise RefusedError(
            f"all {len(beliefs)} routers and hosts that report believe this registry, {lineage}; "
            "there is nothing to restore"
        )
    believed = {each.lineage for each in beliefs.values() if each.lineage is not None}
    if believed and successor_of not in {*believed, lineage}:
        named = ", ".join(sorted(believed)[:_NAMED])
        raise RefusedError(
            f"no router or host that reports believes registry {successor_of}; they believe {named}"
        )
