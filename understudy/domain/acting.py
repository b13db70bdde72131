"""The acting champion: the version that answers in the champion's place, remembered. Pure.

It is not always the declared one: a rollback may name a version that cannot load any more. Routers
remember the acting champion and report it, and the registry publishes it, so that a restarted
router, or one on a new machine, does not have to find a version anew that is able to answer.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum


class WithheldReason(StrEnum):
    """Reason why a declared part of a deployment is not in effect."""

    NOT_READY = "not_ready"  # its version has no ready scorer
    NO_ANSWER = "no_answer"  # hosts report ready scorers, but none answers the router
    BLOCKED = "blocked"  # an operator said that it must not act
    UNSERVABLE = "unservable"  # the router cannot assemble its inputs
    UNPROVEN = "unproven"  # scorers are said to be ready; none has answered the router yet
    OTHER_ARTIFACT = "other_artifact"  # its scorers loaded other bytes than the registered ones

    def of(self, version: int) -> str:
        """Return the reason as a clause about `version`, for operators."""
        return f"@{version} {_CLAUSES[self]}"


_CLAUSES = {
    WithheldReason.NOT_READY: "is not ready",
    WithheldReason.NO_ANSWER: "does not answer",
    WithheldReason.BLOCKED: "is blocked",
    WithheldReason.UNSERVABLE: "cannot be served",
    WithheldReason.UNPROVEN: "has not answered yet",
    WithheldReason.OTHER_ARTIFACT: "runs another artifact than the registered one",
}


@dataclass(frozen=True, slots=True)
class ActingChampion:
    """The version that acts as champion of a model."""

    model: str
    version: int
    revision: int  # of the deployment under which it acts
    since_ns: int  # UTC, since 1970: when this version began to act, or the reason changed
    because: WithheldReason | None = None  # why the declared one does not act; None if it does

    def __str__(self) -> str:
        """Return a line for logs."""
        because = "" if self.because is None else f" ({self.because.value})"
        return f"{self.model}@{self.version} under revision {self.revision}{because}"


def acting_after(before: ActingChampion | None, seen: ActingChampion) -> ActingChampion:
    """Return the record after `seen` was observed; the time is that of the first such observation."""
    if before is not None and replace(seen, since_ns=before.since_ns, revision=before.revision) == (
        before
    ):
        return replace(before, revision=seen.revision)
    return seen


def acting_by_reports(
    before: ActingChampion | None, seen: Sequence[ActingChampion]
) -> ActingChampion | None:
    """Return the record after routers have reported; None if none ever acted.

    Routers may disagree, because a scorer answers some of them only. The version so far stays while
    it acts in any of them; otherwise the version that acts in most, the higher one of equals.

    Args:
        before: the record so far.
        seen: the reports of all routers that serve the current revision, at the present time.
    """
    if not seen:
        return before
    versions = [each.version for each in seen]
    if before is None or before.version not in versions:
        chosen = max(versions, key=lambda version: (versions.count(version), version))
    else:
        chosen = before.version
    return acting_after(before, next(each for each in seen if each.version == chosen))


def remembered_versions(
    own: ActingChampion | None, published: ActingChampion | None
) -> tuple[int, ...]:
    """Return the versions that acted last, in the order in which they may act again.

    The router's own memory comes first, unless it is about an older revision: then the router was
    away while others served.
    """
    records = [each for each in (own, published) if each is not None]
    records.sort(key=lambda each: -each.revision)  # stable: its own stays first among equals
    return tuple(dict.fromkeys(each.version for each in records))
