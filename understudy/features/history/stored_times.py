"""Ingestion times from a store, for histories without them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from understudy.domain.features import FeatureView
from understudy.features.decisions.families import families_of
from understudy.features.loading.history_files import HistorySource

# The records of entities of a view, in their order; None where the store has none.
ReadStored = Callable[[FeatureView, Sequence[str]], Sequence[bytes | None]]


def with_stored_times(
    sources: Mapping[str, HistorySource],
    views: Sequence[FeatureView],
    entity: str,
    entity_ids: Sequence[str],
    read: ReadStored,
) -> dict[str, HistorySource]:
    """Return the sources, those of `entity` with the records that `read` returns, by family.

    Args:
        sources: by view, written `name@version`.
        views: all views of the sources.
        entity: the entity type of the ids.
        entity_ids: may repeat.
        read: reads from a store. Raises UnavailableError if the store does not answer.
    """
    ids = list(dict.fromkeys(entity_ids))
    found = dict(sources)
    for view in views:
        if view.entity == entity and str(view) in sources:
            for each in families_of(view):
                stored = dict(zip(ids, read(each, ids), strict=True))
                found[str(each)] = replace(sources[str(view)], stored=stored)
    return found
