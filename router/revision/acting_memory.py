"""The champions that act in this router, for its registry and for its next start."""

from collections.abc import Callable
from dataclasses import replace

from router.decisions.effective import Effective
from understudy.domain.acting import ActingChampion, acting_after, remembered_versions
from understudy.domain.deployments import Deployment
from understudy.domain.snapshots import Snapshot


class ActingMemory:
    """One record per model, replaced when another version acts or for another reason."""

    def __init__(self, changed: Callable[[], None]) -> None:
        """`changed` is called when another version acts, or for another reason."""
        self._changed = changed
        self._records: dict[str, ActingChampion] = {}  # by model

    def versions(self, model: str, published: ActingChampion | None) -> tuple[int, ...]:
        """Return the versions of the model that acted last, here or as the registry publishes."""
        return remembered_versions(self._records.get(model), published)

    def note(self, deployment: Deployment, effective: Effective, *, now_ns: int) -> None:
        """Record the acting champion; if none can act, the one that did is remembered.

        Args:
            deployment: the revision in effect.
            effective: the versions that answer under it.
            now_ns: UTC, since 1970.
        """
        if effective.champion is None:
            return
        model = deployment.model
        before = self._records.get(model)
        seen = ActingChampion(
            model, effective.champion, deployment.revision, now_ns, effective.champion_withheld
        )
        self._records[model] = acting_after(before, seen)
        if self._records[model] != before:
            self._changed()

    def forget(self, model: str) -> None:
        self._records.pop(model, None)

    def added_to(self, snapshot: Snapshot) -> Snapshot:
        """Return `snapshot` with the records in place of the published ones."""
        rest = (each for each in snapshot.acting if each.model not in self._records)
        return replace(snapshot, acting=(*self._records.values(), *rest))
