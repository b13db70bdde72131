"""One coalesced read for all rows of a batch; a store in trouble costs values, never answers."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain, repeat

import structlog

from domain.errors import UnavailableError
from features.assembly import AssemblyPlan
from features.ports import FeatureStore, ViewRead
from router.decisions.breaker import Breaker, BreakerPolicy, Permit
from router.work import RequestFeatures, Work

STORE_UNAVAILABLE = "feature_store_unavailable"
_log = structlog.get_logger()

Records = list[list[bytes | None]]


@dataclass(frozen=True, slots=True)
class Fetched:
    records: Records  # per view of the plan, per row
    request_features: Sequence[RequestFeatures] | None  # per row; None: no row brings any
    gap: str  # why nothing was read; "" when the store answered


class FeatureFetcher:
    """Reads behind a breaker that trips on errors and on reads slower than `slow_s`."""

    def __init__(
        self,
        store: FeatureStore,
        *,
        policy: BreakerPolicy,
        slow_s: float,
        now_s: Callable[[], float],
    ) -> None:
        self._store = store
        self._breaker = Breaker(policy)
        self._slow_s = slow_s
        self._now_s = now_s

    @property
    def is_open(self) -> bool:
        return not self._breaker.is_closed

    async def fetch(self, plan: AssemblyPlan, works: Sequence[Work]) -> Fetched:
        """Return the records of all rows of `works`; without any when the store is in trouble."""
        request_features = _request_features(works)
        if not plan.views:
            rows = sum(work.rows for work in works)
            return Fetched([], request_features or [None] * rows, "")
        self._breaker, permit = self._breaker.admit(self._now_s())
        if permit is None:
            return Fetched(_nothing(plan, works), request_features, STORE_UNAVAILABLE)
        started_s = self._now_s()
        has_candidates = any(work.candidates is not None for work in works)
        reads = [
            ViewRead(
                view,
                _distinct_ids(view.entity, works) if has_candidates else _ids(view.entity, works),
            )
            for view in plan.views
        ]
        try:
            if self._store.inline:
                records = self._store.read_now(reads)
            else:
                records = await self._store.read(reads, timeout_s=self._slow_s)
        except UnavailableError as error:
            self._record(permit, succeeded=False, why=error.why)
            return Fetched(_nothing(plan, works), request_features, STORE_UNAVAILABLE)
        took_s = self._now_s() - started_s
        self._record(permit, succeeded=took_s <= self._slow_s, why=f"{took_s * 1000:.0f} ms")
        if has_candidates:
            records = [
                _spread(view.entity, works, found)
                for view, found in zip(plan.views, records, strict=True)
            ]
        return Fetched(records, request_features, "")

    def _record(self, permit: Permit, *, succeeded: bool, why: str) -> None:
        was_closed = self._breaker.is_closed
        self._breaker = self._breaker.record(permit, succeeded=succeeded, now_s=self._now_s())
        if was_closed and not self._breaker.is_closed:
            _log.warning("feature_breaker_opened", why=why)
        elif not was_closed and self._breaker.is_closed:
            _log.info("feature_breaker_closed")


def _ids(entity: str, works: Sequence[Work]) -> list[str | None]:
    return [work.entities.get(entity) for work in works]


def _distinct_ids(entity: str, works: Sequence[Work]) -> list[str | None]:
    """Return what to read: a shared entity once per work, candidates each."""
    return list(chain.from_iterable(_ids_of(entity, work) for work in works))


def _ids_of(entity: str, work: Work) -> Sequence[str | None]:
    if work.candidates is not None and work.candidates.entity == entity:
        return work.candidates.ids
    return (work.entities.get(entity),)


def _spread(
    entity: str, works: Sequence[Work], found: Sequence[bytes | None]
) -> list[bytes | None]:
    """Undo `_distinct_ids`: one record per row."""
    spread: list[bytes | None] = []
    at = 0
    for work in works:
        if work.candidates is not None and work.candidates.entity == entity:
            spread += found[at : at + work.rows]
            at += work.rows
        else:
            spread += repeat(found[at], work.rows)
            at += 1
    return spread


def _nothing(plan: AssemblyPlan, works: Sequence[Work]) -> Records:
    rows = sum(work.rows for work in works)
    return [[None] * rows for _ in plan.views]


def _request_features(works: Sequence[Work]) -> Sequence[RequestFeatures] | None:
    """Return the request-time features per row, a candidate's own over the shared ones."""
    if not any(
        work.features or (work.candidates is not None and work.candidates.features)
        for work in works
    ):
        return None
    rows: list[RequestFeatures] = []
    for work in works:
        own = work.candidates.features if work.candidates is not None else None
        if own is None:
            rows += repeat(work.features, work.rows)
        else:
            rows += [{**(work.features or {}), **(each or {})} for each in own]
    return rows
