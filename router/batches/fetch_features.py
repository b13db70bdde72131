"""One coalesced read for all rows of a batch; a failing store costs values, never answers."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import chain, repeat

import numpy as np
import structlog
from numpy.typing import NDArray

from router.calls.call import Call, RequestFeatures
from router.decisions.breaker import Breaker, BreakerPolicy, Permit
from router.decisions.budget import fetch_timeout_s
from router.ports import DrillState
from understudy.domain.deployments import DegradationLevel, DegradationReason
from understudy.domain.errors import UnavailableError
from understudy.domain.patience import Experience, Verdict
from understudy.features.ports import UNANSWERED, FeatureStore, ViewRead
from understudy.features.serving.assembly import AssemblyPlan
from understudy.features.serving.last_known import LastKnownRecords

STORE_UNAVAILABLE = DegradationReason.FEATURE_STORE_UNAVAILABLE
STORE_ANSWERED_IN_PART = DegradationReason.FEATURE_STORE_ANSWERED_IN_PART
_SPENT_SHARE = 0.9  # of its time: a read that failed after this share timed out
_GONE_TIMES = 20  # multiple of the slow limit: a store silent for this long is gone
_log = structlog.get_logger()

Records = list[list[bytes | None]]
RowMask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Fetched:
    records: Records  # per view of the plan, per row
    request_features: Sequence[RequestFeatures] | None  # per row; None: no row supplies any
    gap: str  # why the store did not answer for every row; "" if it did
    from_memory: Sequence[RowMask | None] | None = None  # per view, (n,); None: no row


class FeatureFetcher:
    """Reads behind a breaker that trips on errors and on reads slower than `slow_s`.

    Its answers are remembered, within bounds, and used while it does not answer.
    """

    def __init__(
        self,
        store: FeatureStore,
        *,
        policy: BreakerPolicy,
        slow_s: float,
        now_s: Callable[[], float],
        memory: LastKnownRecords | None = None,
        drill: DrillState | None = None,
        reads_for: str = "live calls",
    ) -> None:
        """`drill`: a drill of L1 makes the store seem unavailable to the router."""
        self._store = store
        self._policy = policy
        self._reads_for = reads_for
        self._breaker = Breaker(policy)
        self._slow_s = slow_s
        self._now_s = now_s
        self._memory = memory
        self._drill = drill
        self._experience = Experience()

    @property
    def is_open(self) -> bool:
        return not self._breaker.is_closed

    def with_own_breaker(self, *, reads_for: str) -> "FeatureFetcher":
        """Return a fetcher for the same store and memory with a separate breaker.

        `reads_for`: the purpose of its reads, for the log.
        """
        return FeatureFetcher(
            self._store,
            policy=self._policy,
            slow_s=self._slow_s,
            now_s=self._now_s,
            memory=self._memory,
            drill=self._drill,
            reads_for=reads_for,
        )

    async def fetch(
        self, plan: AssemblyPlan, calls: Sequence[Call], *, answer_by_s: float
    ) -> Fetched:
        """Return the records of all rows of `calls`; missing answers of the store are a gap.

        `answer_by_s` (monotonic): when the caller's work must be done; the store may use part
        of the time until then.
        """
        has_candidates = [call.candidates for call in calls].count(None) < len(calls)
        request_features = _request_features(calls, has_candidates=has_candidates)
        if not plan.views:
            rows = sum(call.rows for call in calls)
            return Fetched([], request_features or [None] * rows, "")
        ids_of = _distinct_ids if has_candidates else _ids
        reads = [ViewRead(view, ids_of(view.entity, calls)) for view in plan.views]
        records = await self._read(reads, answer_by_s)
        if self._memory is not None:
            fetched = self._with_memory(self._memory, reads, records, request_features)
        elif records is not None:
            in_part = any(UNANSWERED in answered for answered in records)
            fetched = Fetched(records, request_features, STORE_ANSWERED_IN_PART if in_part else "")
        else:
            nothing: Records = [[UNANSWERED] * len(read.entity_ids) for read in reads]
            fetched = Fetched(nothing, request_features, STORE_UNAVAILABLE)
        return _spread_all(fetched, plan, calls) if has_candidates else fetched

    async def _read(self, reads: Sequence[ViewRead], answer_by_s: float) -> Records | None:
        """Return the store's answer, or None if it fails, or failed a moment ago."""
        started_s = self._now_s()
        permit = self._breaker.standing
        if permit is None:
            self._breaker, permit = self._breaker.admit(started_s)
            if permit is None:
                return None
        try:
            if self._drill is not None and self._drill.is_on:
                self._check_drill(self._drill)
            timeout_s = fetch_timeout_s(slow_s=self._slow_s, left_s=answer_by_s - started_s)
            records = await self._store.read(reads, timeout_s=timeout_s)
        except UnavailableError as error:
            self._record_failure(permit, error.why, started_s, answer_by_s)
            return None
        took_s = self._now_s() - started_s
        self._experience = self._experience.after_answer(took_s)
        if took_s > self._slow_s:
            self._record(permit, succeeded=False, why=f"{took_s * 1000:.0f} ms")
        elif permit is not self._breaker.standing:  # which a success does not change
            self._record(permit, succeeded=True, why="")
        return records

    def _check_drill(self, drill: DrillState) -> None:
        if drill.level() is DegradationLevel.FEATURES:
            raise UnavailableError("feature store", "a drill of L1 is running")

    def _record_failure(
        self, permit: Permit, why: str, started_s: float, answer_by_s: float
    ) -> None:
        """Count a failed read, unless its callers left the store too little time."""
        timeout_s = fetch_timeout_s(slow_s=self._slow_s, left_s=answer_by_s - started_s)
        took_s = self._now_s() - started_s
        if took_s >= _SPENT_SHARE * timeout_s and timeout_s < self._slow_s:
            self._experience, verdict = self._experience.after_timeout(
                given_s=took_s, gone_after_s=_GONE_TIMES * self._slow_s
            )
            if verdict is Verdict.NOTHING and self._breaker.is_closed:
                return
        self._record(permit, succeeded=False, why=why)

    def _with_memory(
        self,
        memory: LastKnownRecords,
        reads: Sequence[ViewRead],
        records: Records | None,
        request_features: Sequence[RequestFeatures] | None,
    ) -> Fetched:
        if records is None:
            recalled = memory.recall(reads, now_s=self._now_s())
            return Fetched(
                recalled.records, request_features, STORE_UNAVAILABLE, recalled.from_memory
            )
        filled = memory.fill(reads, records, now_s=self._now_s())
        memory.remember(reads, records, now_s=self._now_s())
        gap = STORE_ANSWERED_IN_PART if filled.is_from_memory else ""
        return Fetched(filled.records, request_features, gap, filled.from_memory)

    def _record(self, permit: Permit, *, succeeded: bool, why: str) -> None:
        was_closed = self._breaker.is_closed
        self._breaker = self._breaker.record(permit, succeeded=succeeded, now_s=self._now_s())
        if was_closed and not self._breaker.is_closed:
            _log.warning("feature_breaker_opened", reads_for=self._reads_for, why=why)
        elif not was_closed and self._breaker.is_closed:
            _log.info("feature_breaker_closed", reads_for=self._reads_for)


def _ids(entity: str, calls: Sequence[Call]) -> list[str | None]:
    return [call.entities.get(entity) for call in calls]


def _distinct_ids(entity: str, calls: Sequence[Call]) -> list[str | None]:
    """Return the ids to read: a shared entity once per call, candidates each."""
    return list(chain.from_iterable(_ids_of(entity, call) for call in calls))


def _ids_of(entity: str, call: Call) -> Sequence[str | None]:
    if call.candidates is not None and call.candidates.entity == entity:
        return call.candidates.ids
    return (call.entities.get(entity),)


def _spread_all(fetched: Fetched, plan: AssemblyPlan, calls: Sequence[Call]) -> Fetched:
    """Reverse `_distinct_ids`: one record, and one mark, per row."""
    rows = sum([call.rows for call in calls])
    if all(len(found) == rows for found in fetched.records):
        return fetched  # no row shares its record, as in a ScoreBatch without a shared entity
    places = [_places(view.entity, calls) for view in plan.views]
    masks = fetched.from_memory
    return replace(
        fetched,
        records=[
            [found[place] for place in at]
            for found, at in zip(fetched.records, places, strict=True)
        ],
        from_memory=(
            None
            if masks is None
            else [
                None if mask is None else mask[at] for mask, at in zip(masks, places, strict=True)
            ]
        ),
    )


def _places(entity: str, calls: Sequence[Call]) -> list[int]:
    """Return for each row the index of its record in the result of `_distinct_ids`."""
    places: list[int] = []
    at = 0
    for call in calls:
        if call.candidates is not None and call.candidates.entity == entity:
            places += range(at, at + call.rows)
            at += call.rows
        else:
            places += repeat(at, call.rows)
            at += 1
    return places


def _request_features(
    calls: Sequence[Call], *, has_candidates: bool
) -> Sequence[RequestFeatures] | None:
    """Return the request-time features per row; a candidate's own override the shared ones."""
    has_shared = [call.features for call in calls].count(None) < len(calls)
    if not has_shared and (
        not has_candidates
        or not any(call.candidates is not None and call.candidates.features for call in calls)
    ):
        return None
    rows: list[RequestFeatures] = []
    for call in calls:
        own = call.candidates.features if call.candidates is not None else None
        if own is None:
            rows += repeat(call.features, call.rows)
        else:
            rows += [{**(call.features or {}), **(each or {})} for each in own]
    return rows
