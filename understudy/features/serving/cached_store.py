"""A read-through cache in front of a store, for frequently requested entities. Off by default."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from understudy.domain.errors import UnavailableError
from understudy.domain.features import FeatureView
from understudy.features.decisions.store_rest import StoreRest
from understudy.features.ports import UNANSWERED, InspectableStore, ViewRead
from understudy.features.serving.last_known import LastKnownRecords

_NEVER_RESTED = StoreRest()


@dataclass(slots=True)
class CacheCounts:
    hits: int = 0
    misses: int = 0
    unanswered: int = 0  # unanswered misses in reads that had hits


class CachedStore:
    """Caches records for `ttl_s`; a change in the store becomes visible after that.

    If the store fails, a read with hits returns them, and `UNANSWERED` for its misses.
    Such a read counts as answered and opens no breaker. For a second after a failure, reads of the
    same views therefore do not query the store, unless the failed read had a short limit (see
    `StoreRest`). A read without hits always queries the store, and fails if the store does.
    """

    def __init__(
        self,
        store: InspectableStore,
        *,
        ttl_s: float,
        max_records: int,
        monotonic_s: Callable[[], float],
    ) -> None:
        self.counts = CacheCounts()
        self._store = store
        self._monotonic_s = monotonic_s
        self._rests: dict[tuple[str, ...], StoreRest] = {}  # by the views read together
        self._seen = LastKnownRecords(max_records=max_records, max_age_s=ttl_s)

    async def read(
        self, reads: Sequence[ViewRead], *, timeout_s: float
    ) -> list[list[bytes | None]]:
        known, missing = self._look_up(reads)
        if not any(read.entity_ids for read in missing):
            return self._merged(known, missing, [[] for _ in missing])
        has_hits = _has_hits(reads, known)
        views = tuple(str(read.view) for read in reads)
        began_s = self._monotonic_s()
        if has_hits and began_s < self._rest_of(views).ends_s:
            return self._merged(known, missing, self._unanswered(missing))
        try:
            answered = await self._store.read(missing, timeout_s=timeout_s)
        except UnavailableError:
            self._rests[views] = self._rest_of(views).after_failure(
                began_s=began_s, now_s=self._monotonic_s(), timeout_s=timeout_s
            )
            if not has_hits:
                raise
            answered = self._unanswered(missing)
        else:
            took_s = self._monotonic_s() - began_s
            self._rests[views] = self._rest_of(views).after_answer(took_s)
        return self._merged(known, missing, answered)

    def counters(self) -> Mapping[str, int]:
        return {
            **self._store.counters(),
            "cache_hits": self.counts.hits,
            "cache_misses": self.counts.misses,
            "cache_unanswered": self.counts.unanswered,
        }

    def troubles(self) -> Sequence[str]:
        return self._store.troubles()

    async def ping(self, *, timeout_s: float) -> None:
        await self._store.ping(timeout_s=timeout_s)

    async def newest_event_time_ms(self, view: FeatureView, *, timeout_s: float) -> int | None:
        return await self._store.newest_event_time_ms(view, timeout_s=timeout_s)

    async def close(self) -> None:
        await self._store.close()

    def _rest_of(self, views: tuple[str, ...]) -> StoreRest:
        return self._rests.get(views, _NEVER_RESTED)

    def _unanswered(self, missing: Sequence[ViewRead]) -> list[list[bytes | None]]:
        self.counts.unanswered += sum(len(read.entity_ids) for read in missing)
        return [[UNANSWERED] * len(read.entity_ids) for read in missing]

    def _look_up(
        self, reads: Sequence[ViewRead]
    ) -> tuple[list[list[bytes | None]], list[ViewRead]]:
        known = self._seen.recall(reads, now_s=self._monotonic_s()).records
        missing = [
            ViewRead(
                read.view,
                [
                    entity_id
                    for entity_id, record in zip(read.entity_ids, found, strict=True)
                    if record == UNANSWERED
                ],
            )
            for read, found in zip(reads, known, strict=True)
        ]
        misses = sum(len(read.entity_ids) for read in missing)
        self.counts.misses += misses
        self.counts.hits += sum(len(read.entity_ids) for read in reads) - misses
        return known, missing

    def _merged(
        self,
        known: Sequence[Sequence[bytes | None]],
        missing: Sequence[ViewRead],
        answered: Sequence[Sequence[bytes | None]],
    ) -> list[list[bytes | None]]:
        self._seen.remember(missing, answered, now_s=self._monotonic_s())
        merged: list[list[bytes | None]] = []
        for found, fresh in zip(known, answered, strict=True):
            rest = iter(fresh)
            merged.append([next(rest) if record == UNANSWERED else record for record in found])
        return merged


def _has_hits(reads: Sequence[ViewRead], known: Sequence[Sequence[bytes | None]]) -> bool:
    return any(
        entity_id is not None and record != UNANSWERED
        for read, found in zip(reads, known, strict=True)
        for entity_id, record in zip(read.entity_ids, found, strict=True)
    )
