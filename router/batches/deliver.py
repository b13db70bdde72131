"""Delivery of answers to the callers, and then counting and logging, once per batch."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from router.batches.last_scores import LastScores
from router.books.counters import Counters
from router.books.spans import SpanBook
from router.calls.answered import Answered, reasons_by_row
from router.calls.call import Call, Candidates
from router.calls.rows import (
    candidate_ids_of,
    per_row,
    sent_entities_of,
    sent_features_of,
    trace_ids_of,
)
from router.decisions.rules import NO_RULE
from router.ports import Clocks
from understudy.domain.deployments import DegradationLevel, Deployment
from understudy.domain.errors import UnderstudyError, failure_kind_of
from understudy.logs.batches import NO_DECISION, ScoreBatchLog

Column = TypeVar("Column", bound=np.ndarray[Any, Any])


class Joining(Protocol):
    """Joins the answers of the parts of a split call."""

    def add(self, place: int, answer: bytes) -> None:
        """Take the answer of the part at `place`; parts may come in any order."""
        ...

    def whole(self) -> bytes | None:
        """Return the call's answer after the last part; None if not one model answered all."""
        ...


class Responder(Protocol):
    """Builds the answers of a batch and gives each caller its own; joins those of a split call."""

    def scatter(self, answered: Answered, deployment: Deployment, *, now_s: float) -> None: ...
    def join(self, parts: int, candidates: Candidates) -> Joining: ...


class RequestLog(Protocol):
    """The log line per request, if configured; lines about failures always."""

    @property
    def is_quiet(self) -> bool:
        """Return whether a batch without failures is not logged."""
        ...

    def answered(self, answered: Answered, *, now_s: float) -> None: ...
    def failed(self, calls: Sequence[Call], error: UnderstudyError, *, now_s: float) -> None: ...


class RowGate(Protocol):
    """The rows in the router, and the limit that each answered batch may move."""

    @property
    def outstanding_rows(self) -> int: ...
    def after_batch(self, queue_s: float, outstanding_rows: int) -> None: ...


@dataclass(frozen=True, slots=True)
class Handed:
    """The moment a batch was answered, for counting and logging after its callers have gone."""

    answered_s: float  # monotonic
    outstanding_rows: int  # including this batch


@dataclass(frozen=True, slots=True)
class Delivery:
    """The way of every answer out of a router: first to the caller, then to counts and logs."""

    responder: Responder
    log: Callable[[ScoreBatchLog], bool]
    request_log: RequestLog
    counters: Counters
    last_scores: LastScores
    clocks: Clocks
    gate: RowGate
    spans: SpanBook | None = None  # None: no spans are made

    def deliver(self, answered: Answered, deployment: Deployment) -> None:
        """Answer the callers, who all still wait; then count and log every row."""
        self.book(answered, deployment, self.answer(answered, deployment))

    def answer(self, answered: Answered, deployment: Deployment) -> Handed:
        """Deliver the answers. Most callers resume in the loop's next turn."""
        handed = Handed(self.clocks.monotonic_s(), self.gate.outstanding_rows)
        self.responder.scatter(answered, deployment, now_s=handed.answered_s)
        return handed

    def book(self, answered: Answered, deployment: Deployment, handed: Handed) -> None:
        """Count and log every row of an answered batch."""
        answered_s, taken_s = handed.answered_s, answered.timing.taken_s
        arrived_s = [call.arrived_s for call in answered.calls]
        queue_s = [taken_s - each if each < taken_s else 0.0 for each in arrived_s]
        total_s = [answered_s - each for each in arrived_s]
        own_s = _own_waits(answered.calls, queue_s)
        self.counters.batch_answered(answered, queue_s=queue_s, total_s=total_s)
        if own_s:  # in order of arrival: the middle one
            self.gate.after_batch(own_s[len(own_s) // 2], handed.outstanding_rows)
        if deployment.fallback.last_score_max_age_s is not None:
            self._remember(answered, answered_s)
        is_plain = answered.levels is None and not answered.wrong_digests
        if not (is_plain and self.request_log.is_quiet):
            self.request_log.answered(answered, now_s=answered_s)
        self.log(self._log_batch(answered, deployment, queue_s, total_s))
        if self.spans is not None:
            self.spans.answered(answered, answered_s=answered_s)

    def fail(self, calls: Sequence[Call], error: UnderstudyError) -> None:
        """End calls for which no fallback is declared."""
        failed = [call for call in calls if not call.answer.done()]
        for call in failed:
            call.answer.set_exception(error)
            self.counters.failed(call.live.deployment.model, failure_kind_of(error), call.rows)
        now_s = self.clocks.monotonic_s()
        self.request_log.failed(failed, error, now_s=now_s)
        if self.spans is not None:
            self.spans.failed(failed, error, now_s=now_s)

    def _remember(self, answered: Answered, now_s: float) -> None:
        if answered.levels is not None and answered.levels.max() >= DegradationLevel.FALLBACK:
            return  # a score that was not computed now must not seem fresh
        at = 0
        for call in answered.calls:
            if call.candidates is None and not call.features:
                self.last_scores.remember(call, float(answered.scores[at]), now_s=now_s)
            at += call.rows

    def _log_batch(
        self,
        answered: Answered,
        deployment: Deployment,
        queue_s: Sequence[float],
        total_s: Sequence[float],
    ) -> ScoreBatchLog:
        calls, served = answered.calls, answered.served
        thresholds = _thresholds(answered, deployment)
        decisions = _decisions(answered.scores, thresholds)
        rules = _rules(answered, deployment)
        request_ids = [call.request_id for call in calls]
        unit_keys = [call.unit_key for call in calls]
        seats = [call.seat for call in calls]
        candidate_ids = candidate_ids_of(calls)
        sent_entities, sent_features = sent_entities_of(calls), sent_features_of(calls)
        trace_ids = trace_ids_of(calls)
        if candidate_ids is not None:  # otherwise a call is a row
            queue_s, total_s = per_row(queue_s, calls), per_row(total_s, calls)
            seats = per_row(seats, calls)
            request_ids, unit_keys = per_row(request_ids, calls), per_row(unit_keys, calls)
        return ScoreBatchLog(
            model=served.model,
            version=served.version,
            arm="challenger" if served.arm == "challenger" else "champion",
            revision=served.revision,
            deployment_digest=served.deployment_digest,
            lineage=served.lineage,
            sequence=served.sequence,
            at_us=round(self.clocks.utc_s() * 1e6),
            request_ids=request_ids,
            entity_ids=unit_keys,
            scores=answered.scores,
            thresholds=thresholds,
            decisions=decisions,
            levels=_all_full(len(answered.scores)) if answered.levels is None else answered.levels,
            queue_s=queue_s,
            total_s=total_s,
            fetch_us=answered.timing.fetch_us,
            infer_us=answered.timing.infer_us,
            split=calls[0].live.seats,
            seats=seats,
            rules=rules,
            candidate_ids=candidate_ids,
            reasons=None if answered.levels is None else reasons_by_row(answered),
            outputs=tuple(answered.outputs.items()),
            features=answered.features,
            statuses=answered.statuses,
            sent_entities=sent_entities,
            sent_features=sent_features,
            trace_ids=trace_ids,
        )


def _own_waits(calls: Sequence[Call], queue_s: Sequence[float]) -> Sequence[float]:
    """Return the waits of calls, without later parts: they have waited for the first as well."""
    parts = [call.part for call in calls]
    if parts.count(None) == len(parts):
        return queue_s
    return [waited_s for waited_s, part in zip(queue_s, parts, strict=True) if not part]


@lru_cache(maxsize=1024)
def _all_full(rows: int) -> NDArray[np.uint8]:
    return _shared(np.zeros(rows, dtype=np.uint8))


@lru_cache(maxsize=1024)
def _no_decisions(rows: int) -> NDArray[np.int8]:
    return _shared(np.full(rows, NO_DECISION, dtype=np.int8))


@lru_cache(maxsize=1024)
def _all_at(rows: int, threshold: float) -> NDArray[np.float64]:
    return _shared(np.full(rows, threshold))


def _shared(column: Column) -> Column:
    """Let many batches share a column without special values, made read-only."""
    column.flags.writeable = False
    return column


def _decisions(
    scores: NDArray[np.float64], thresholds: NDArray[np.float64] | None
) -> NDArray[np.int8]:
    """Return 1 if a score reaches its threshold, else 0; NO_DECISION without one."""
    if thresholds is None:
        return _no_decisions(len(scores))
    reached = (scores >= thresholds).astype(np.int8)
    return np.where(np.isnan(thresholds), np.int8(NO_DECISION), reached)


def _thresholds(answered: Answered, deployment: Deployment) -> NDArray[np.float64] | None:
    """Return the threshold of each row's request or of the deployment; None if no row has one."""
    default = deployment.decision_threshold
    if [call.threshold for call in answered.calls].count(None) == len(answered.calls):
        return None if default is None else _all_at(len(answered.scores), default)
    return np.repeat(
        np.array([_threshold(call, default) for call in answered.calls]),
        [call.rows for call in answered.calls],
    )


def _threshold(call: Call, default: float | None) -> float:
    chosen = call.threshold if call.threshold is not None else default
    return float("nan") if chosen is None else chosen


def _rules(answered: Answered, deployment: Deployment) -> list[str] | None:
    if answered.rule_rows is None or not (answered.rule_rows != NO_RULE).any():
        return None
    names = (*(rule.name for rule in deployment.rules), "")  # NO_RULE is -1, the index of the last
    return [names[index] for index in answered.rule_rows.tolist()]
