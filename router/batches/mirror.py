"""Copies of answered batches to one shadow. It never blocks; every row is accounted for.

The queue is bounded in rows; if it is full, rows are dropped and counted. A shadow has no deadline,
so it gathers larger batches than the champion: fewer calls on the cores that callers need.
"""

import asyncio
import math
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import structlog
from numpy.typing import NDArray

from router.batches.fetch_features import STORE_UNAVAILABLE, FeatureFetcher
from router.batches.mirror_books import MirrorBooks
from router.batches.mirrored import (
    Copy,
    Tensors,
    both,
    joined,
    readable_rows,
    reads_the_same,
    restricted,
    tensors_of,
)
from router.batches.version_plan import VersionPlan
from router.calls.answered import Answered
from router.calls.call import Call
from router.decisions.sampling import is_sampled
from router.ports import Clocks, Scorer
from understudy.domain.deployments import Shadow
from understudy.domain.errors import DeadlinePassedError, UnavailableError, UnderstudyError
from understudy.domain.snapshots import VersionSpec
from understudy.logs.batches import ShadowBatchLog, ShadowStatus
from understudy.logs.ledger import MirrorLedger

_log = structlog.get_logger()
_GATHER_S = 0.05
_BUG_PAUSE_S = 0.1


@dataclass(frozen=True, slots=True)
class MirrorPolicy:
    most_queued_rows: int
    most_batch_rows: int
    most_wait_s: float  # a row that has waited longer is dropped
    timeout_s: float  # limit on one call to the shadow


class MirrorQueue:
    """The queue of one shadow of one model. It outlives revisions: its ledger only grows."""

    def __init__(
        self,
        *,
        policy: MirrorPolicy,
        features: FeatureFetcher,
        log: Callable[[ShadowBatchLog], bool],
        is_shedding: Callable[[int], bool],
        clocks: Clocks,
    ) -> None:
        self.queued_rows = 0
        self._policy = policy
        # Features that only a shadow reads may be slow, which must not block live calls.
        self._features = features.with_own_breaker(reads_for="a shadow")
        self._books = MirrorBooks(log)
        self._is_shedding = is_shedding
        self._clocks = clocks
        self._copies: deque[Copy] = deque()
        self._in_flight: Sequence[Copy] = ()  # taken from the queue, without an outcome yet
        self._arrived = asyncio.Event()
        self._shadow: Shadow | None = None
        self._salt = ""
        self._version: VersionPlan | None = None
        self._scorer: Scorer | None = None
        self._asked: Scorer | None = None  # a call to it is in flight
        self._closed = False
        self._ends_by_s = math.inf  # after it, nothing is sent
        self._limit = asyncio.Timeout(None)  # of the batch in flight
        self._is_same: dict[tuple[int, int], bool] = {}  # by identity of the two specs

    @property
    def ledger(self) -> MirrorLedger:
        return self._books.ledger

    def set_target(
        self, shadow: Shadow | None, salt: str, version: VersionPlan | None, scorer: Scorer | None
    ) -> None:
        """Set the shadow and its scorer; without a ready scorer, rows are dropped."""
        self._shadow, self._salt, self._version, self._scorer = shadow, salt, version, scorer
        self._is_same.clear()

    def offer(
        self, answered: Answered, tensors: Tensors, spec: VersionSpec, outstanding_rows: int
    ) -> None:
        """Copy an answered batch to the queue, or book the reason for dropping it. Never blocks.

        `outstanding_rows`: rows in the router when the batch was answered.
        """
        shadow, version = self._shadow, self._version
        if shadow is None or version is None:
            return
        self._books.offered(answered.rows)
        copy = Copy(
            shadow=shadow,
            calls=answered.calls,
            served=answered.served,
            scores=answered.scores,
            levels=answered.levels,
            tensors=None,
            offered_s=self._clocks.monotonic_s(),
            at_us=round(self._clocks.utc_s() * 1e6),
        )
        keep = sampled = self._sampled(answered.calls, shadow)
        self._books.lost(copy, ShadowStatus.SAMPLED_OUT, before=None, after=sampled)
        same = self._reads_the_same(version.spec, spec)
        if same and answered.statuses is not None:
            readable = readable_rows(shadow, version.plan, answered.calls, answered.statuses)
            keep = both(sampled, readable)
            self._books.lost(copy, ShadowStatus.DEFAULTED, before=sampled, after=keep)
        if keep is not None:
            copy = copy.restricted(keep)
        if not copy.rows:
            return
        if (why := self._why_not_queued(copy.rows, outstanding_rows)) is not None:
            self._books.ended([copy], why)
            return
        self._copies.append(replace(copy, tensors=tensors_of(tensors, keep) if same else None))
        self.queued_rows += copy.rows
        self._arrived.set()

    def _why_not_queued(self, rows: int, outstanding_rows: int) -> ShadowStatus | None:
        if self._scorer is None:
            return ShadowStatus.NOT_READY
        is_full = self.queued_rows + rows > self._policy.most_queued_rows
        return ShadowStatus.QUEUE_FULL if is_full or self._is_shedding(outstanding_rows) else None

    def _reads_the_same(self, shadow: VersionSpec, answering: VersionSpec) -> bool:
        # They change only with a revision; hundreds of features must not be compared per batch.
        key = (id(shadow), id(answering))
        if key not in self._is_same:
            self._is_same[key] = reads_the_same(shadow, answering)
        return self._is_same[key]

    async def run(self) -> None:
        """Send queued rows until closed, including those queued at that time, within its limit."""
        while not (self._closed and not self._copies):
            await self._arrived.wait()
            if not self._closed and self.queued_rows < self._policy.most_batch_rows:
                await asyncio.sleep(_GATHER_S)
            self._arrived.clear()
            while self._copies:
                self._in_flight = self._take()
                try:
                    await self._send(self._in_flight)
                except Exception:  # noqa: BLE001 - boundary: a bug in one batch must not end mirroring
                    _log.exception("mirror_failed")
                    self._end(self._in_flight, ShadowStatus.ERROR)
                    await asyncio.sleep(_BUG_PAUSE_S)
        if self.ledger.dropped_at_stop and self._version is not None:
            _log.error(
                "mirror_not_finished",
                shadow=str(self._version.spec.ref),
                dropped_rows=self.ledger.dropped_at_stop,
            )

    def close(self, *, within_s: float) -> None:
        """Let `run` end, at the latest after `within_s`: then the rest is dropped and counted."""
        self._closed = True
        self._ends_by_s = self._clocks.monotonic_s() + within_s
        if self._asked is not None:
            self._limit.reschedule(asyncio.get_running_loop().time() + within_s)
        self._arrived.set()

    def addresses(self) -> set[str]:
        """Return the scorers that are assigned, or have a call in flight."""
        return {each.address for each in (self._scorer, self._asked) if each is not None}

    @property
    def is_feature_breaker_open(self) -> bool:
        return self._features.is_open

    @property
    def in_flight_rows(self) -> int:
        return self.queued_rows + sum(copy.rows for copy in self._in_flight)

    def _sampled(self, calls: Sequence[Call], shadow: Shadow) -> NDArray[np.bool_] | None:
        sampled = [
            is_sampled(
                call.request_id,
                shadow_version=shadow.version,
                salt=self._salt,
                sample_bp=shadow.sample_bp,
            )
            for call in calls
        ]
        if all(sampled):
            return None
        return np.repeat(np.array(sampled), [call.rows for call in calls])

    def _take(self) -> Sequence[Copy]:
        """Take copies that one version answered and one declaration mirrors, up to a batch."""
        taken = [self._copies.popleft()]
        rows = taken[0].rows
        while (
            self._copies
            and self._copies[0].served == taken[0].served
            and self._copies[0].shadow == taken[0].shadow
            and (self._copies[0].tensors is None) == (taken[0].tensors is None)
            and rows + self._copies[0].rows <= self._policy.most_batch_rows
        ):
            copy = self._copies.popleft()
            taken.append(copy)
            rows += copy.rows
        self.queued_rows -= rows
        return taken

    async def _send(self, copies: Sequence[Copy]) -> None:
        scorer, version = self._scorer, self._version
        if scorer is None or version is None:
            self._end(copies, ShadowStatus.NOT_READY)
            return
        started_s = self._clocks.monotonic_s()
        if not (timely := self._timely(copies, started_s)):
            return
        scores: NDArray[np.float64] | None = None
        status = ShadowStatus.OK
        self._asked = scorer
        try:
            async with asyncio.timeout(self._left_s(started_s)) as self._limit:
                tensors = await self._assembled(timely, version)
                if not self._in_flight:
                    return
                timeout_s = self._policy.timeout_s
                inferred = await scorer.infer(version.spec, tensors, timeout_s=timeout_s)
                scores = inferred.scores
        except (DeadlinePassedError, TimeoutError):
            status = ShadowStatus.TIMEOUT
        except UnderstudyError as error:
            status = ShadowStatus.ERROR
            _log.warning("shadow_failed", shadow=str(version.spec.ref), why=str(error))
        finally:
            self._asked = None
        infer_us = round((self._clocks.monotonic_s() - started_s) * 1e6)
        self._end(self._in_flight, status, scores=scores, infer_us=infer_us)

    def _timely(self, copies: Sequence[Copy], now_s: float) -> Sequence[Copy]:
        """Drop copies that have waited too long, or all of them after the limit of `close`."""
        if self._limit.expired() or now_s >= self._ends_by_s:
            self._end(copies, ShadowStatus.AT_STOP)
            return ()
        oldest_s = now_s - self._policy.most_wait_s
        timely = [copy for copy in copies if copy.offered_s >= oldest_s]
        late = [copy for copy in copies if copy.offered_s < oldest_s]
        self._end(late, ShadowStatus.EXPIRED, left=timely)
        return timely

    def _left_s(self, now_s: float) -> float | None:
        """Return the time until the limit of `close`; None without one."""
        return None if self._ends_by_s == math.inf else self._ends_by_s - now_s

    async def _assembled(self, copies: Sequence[Copy], version: VersionPlan) -> Tensors:
        """Return the shadow's tensors of the copies that are still in flight afterwards."""
        if copies[0].tensors is not None:
            columns = zip(*(copy.tensors for copy in copies if copy.tensors), strict=True)
            return tuple(joined(parts) for parts in columns)
        calls = [call for copy in copies for call in copy.calls]
        # Not within the deadlines of the callers, who have been answered.
        answer_by_s = self._clocks.monotonic_s() + self._policy.timeout_s
        fetched = await self._features.fetch(version.plan, calls, answer_by_s=answer_by_s)
        if fetched.gap == STORE_UNAVAILABLE:  # a shadow's score of defaults would be no comparison
            raise UnavailableError("features of the shadow", fetched.gap)
        assembled = version.plan.assemble(
            fetched.records,
            fetched.request_features,
            now_s=self._clocks.utc_s(),
            last_known=fetched.from_memory,
        )
        keep = readable_rows(copies[0].shadow, version.plan, calls, assembled.statuses)
        if keep is None:
            return assembled.tensors
        left = restricted(copies, keep)
        self._end(restricted(copies, ~keep), ShadowStatus.DEFAULTED, left=left)
        return tensors_of(assembled.tensors, keep)

    def _end(
        self,
        copies: Sequence[Copy],
        status: ShadowStatus,
        *,
        left: Sequence[Copy] = (),
        scores: NDArray[np.float64] | None = None,
        infer_us: int = 0,
    ) -> None:
        """Book the outcome of copies in flight, of which `left` stay in flight."""
        self._in_flight = left
        self._books.ended(copies, status, scores=scores, infer_us=infer_us)
