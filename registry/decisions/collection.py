"""The artifacts whose bytes may be removed, and the reasons for which others are kept. Pure."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from registry.decisions.rollback import PastRevision, rollback_targets
from understudy.domain.canonical import digest_of
from understudy.domain.deployments import Deployment, versions_in_use, versions_to_run
from understudy.domain.versions import ArtifactFile, VersionRef

MOST_VERSIONS = 1_000  # of one collection; another one takes the next


@dataclass(frozen=True, slots=True)
class Candidate:
    """A registered version, as far as a collection is concerned."""

    ref: VersionRef
    registered_at_ns: int  # UTC, since 1970
    files: tuple[ArtifactFile, ...]
    is_retired: bool
    is_collected: bool  # its files may be gone

    def is_due(self, before_ns: int) -> bool:
        """Return whether it may be collected unless it is needed: retired, or of before that time."""
        return not self.is_collected and (self.is_retired or self.registered_at_ns < before_ns)


@dataclass(frozen=True, slots=True)
class Past:
    """The newest revisions of a model, the newest first, and the versions that have left its line."""

    revisions: Sequence[tuple[PastRevision, Deployment]]
    out: Collection[int]  # retired or collected: a revision that needs one is no rollback target


@dataclass(frozen=True, slots=True)
class CollectionPlan:
    """The effect of a collection."""

    versions: tuple[VersionRef, ...]
    files: Mapping[str, int]  # to remove: size in bytes by sha256
    unnamed: int  # of these files, those of no version: remains of interrupted registrations
    kept: Mapping[VersionRef, str]  # versions that are due, and the reason that keeps them
    has_more: bool  # further versions are due, for another collection

    @property
    def size_bytes(self) -> int:
        """The bytes that it frees."""
        return sum(self.files.values())

    @property
    def digest(self) -> str:
        """A digest of all that it removes, to which a confirmation is bound."""
        versions, files = [str(each) for each in self.versions], sorted(self.files)
        return digest_of("collection_plan/1", {"versions": versions, "files": files})


def needs_of_model(
    current: Deployment | None, acting: int | None, past: Past, *, keep_revisions: int
) -> dict[int, str]:
    """Return the versions of a model that are needed, each with the reason.

    Args:
        current: the current revision with its standby; None if the model is not deployed.
        acting: the version that acts as champion; None if none is known.
        past: the revisions.
        keep_revisions: how many of the newest revisions keep all that they need.
    """
    needed: dict[int, str] = {}
    out = frozenset(past.out)
    targets = {each.revision for each in rollback_targets([fact for fact, _ in past.revisions])}
    for place, (fact, deployment) in enumerate(past.revisions):
        used = versions_in_use(deployment)
        if fact.revision in targets and not out.intersection(used):
            needed |= dict.fromkeys(used, f"revision {fact.revision} is a rollback target")
        if place < keep_revisions:
            why = f"revision {fact.revision} is one of the last {keep_revisions}"
            needed |= dict.fromkeys(used, why)
    if acting is not None:
        needed[acting] = "acts as champion"
    if current is not None:
        used = (*versions_in_use(current), *versions_to_run(current))
        needed |= dict.fromkeys(used, f"revision {current.revision} is in effect")
    return needed


def plan_collection(
    candidates: Sequence[Candidate],
    needed: Mapping[VersionRef, str],
    stored: Mapping[str, int],
    *,
    before_ns: int,
    of: AbstractSet[VersionRef],
) -> CollectionPlan:
    """Return the versions to collect, the oldest first, and the files that nothing else needs.

    Args:
        candidates: all registered versions: files may be common to several models.
        needed: the reason by version, for those that must stay.
        stored: size in bytes of every file that is there, by sha256.
        before_ns: UTC, since 1970; later registrations stay unless they are retired.
        of: the versions among which to choose.
    """
    due = [each for each in candidates if each.ref in of and each.is_due(before_ns)]
    free = sorted(
        (each for each in due if each.ref not in needed),
        key=lambda each: (each.registered_at_ns, str(each.ref)),
    )
    chosen = frozenset(each.ref for each in free[:MOST_VERSIONS])
    gone = [each for each in candidates if each.is_collected or each.ref in chosen]
    staying = [each for each in candidates if not (each.is_collected or each.ref in chosen)]
    named, kept_files = _digests(candidates), _digests(staying)
    unnamed = stored.keys() - named
    removed = ((_digests(gone) - kept_files) & stored.keys()) | unnamed
    return CollectionPlan(
        versions=tuple(each.ref for each in free[:MOST_VERSIONS]),
        files={digest: stored[digest] for digest in sorted(removed)},
        unnamed=len(unnamed),
        kept={each.ref: needed[each.ref] for each in due if each.ref in needed},
        has_more=len(free) > MOST_VERSIONS,
    )


def _digests(candidates: Iterable[Candidate]) -> frozenset[str]:
    return frozenset(file.sha256 for each in candidates for file in each.files)
