"""The log lines about reports of hosts and routers."""

from collections.abc import Sequence

import structlog

from registry.server.observed import Review
from understudy.domain.belief import Refusal
from understudy.domain.snapshots import ScorerProcess

_MOST_LOGGED = 20

_log = structlog.get_logger()


def log_refusal(name: str, before: Refusal | None, now: Refusal | None) -> None:
    """Log a refusal when it begins or changes, not with each report."""
    if now is None and before is not None:
        _log.info("watcher_accepts_again", watcher=name)
    elif now is not None and not now.repeats(before):
        _log.warning("watcher_refuses", watcher=name, reason=now.reason.value, why=now.why)


def log_ignored(host_id: str, ignored: Sequence[ScorerProcess]) -> None:
    """Log the scorers of a report that no snapshot contains, if there are any."""
    if ignored:
        _log.warning(
            "scorers_ignored",
            host_id=host_id,
            why="the version is not registered, or with another artifact",
            count=len(ignored),
            versions=sorted({str(each.ref) for each in ignored})[:_MOST_LOGGED],
        )


def log_foreign(host_id: str, processes: Sequence[ScorerProcess]) -> None:
    """Log the scorers of a report that loaded another artifact than the registered one."""
    if foreign := [each for each in processes if each.has_other_artifact]:
        _log.error(
            "scorers_loaded_other_artifacts",
            host_id=host_id,
            count=len(foreign),
            loaded=sorted({f"{each.ref}: {each.loaded_digest}" for each in foreign})[:_MOST_LOGGED],
        )


def log_review(review: Review, *, silent_after_s: float) -> None:
    """Log the hosts that fell silent, and those that were forgotten."""
    if review.silent:
        _log.warning("scorer_hosts_silent", hosts=review.silent, silent_after_s=silent_after_s)
    if review.forgotten:
        _log.info("silent_scorer_hosts_forgotten", hosts=review.forgotten)
