"""The stages of the request path, opened over ports: the same in a router process and in tests."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from router.admission.admit import Admission
from router.admission.gate import Gate
from router.admission.intake import Intake
from router.admission.request_ids import RequestIds
from router.batches.deliver import Delivery, RequestLog, Responder
from router.batches.fetch_features import FeatureFetcher
from router.batches.last_scores import LastScores
from router.batches.mirror import MirrorPolicy, MirrorQueue
from router.books.counters import Counters
from router.books.spans import SpanBook
from router.decisions.breaker import BreakerPolicy
from router.decisions.budget import BudgetPolicy
from router.decisions.row_limit import RowLimitPolicy
from router.ladder.drill import DrillSwitch
from router.ports import Clocks
from router.revision.live_model import Shared
from router.revision.live_models import LiveModels
from router.revision.open_scorers import OpenScorer
from router.settings import RouterSettings
from understudy.domain.spans import SpanSink
from understudy.features.ports import FeatureStore
from understudy.features.serving.last_known import LastKnownRecords
from understudy.logs.batches import LogBatch


@dataclass(frozen=True, slots=True)
class PipelinePorts:
    """The environment of the stages. The opener of a port closes it; the pipeline opens scorers."""

    store: FeatureStore
    log: Callable[[LogBatch], bool]
    log_together: Callable[[Sequence[LogBatch]], bool]  # accepts all batches or none
    request_log: RequestLog
    responder: Responder
    open_scorer: OpenScorer
    clocks: Clocks
    cpu_s: Callable[[], float]  # CPU time used by the event loop's thread
    spans: SpanSink | None = None  # None: no spans are made


@dataclass(frozen=True, slots=True)
class Pipeline:
    """The stages in their order, and their shared parts."""

    gate: Gate
    intake: Intake
    admission: Admission
    models: LiveModels
    features: FeatureFetcher
    drill: DrillSwitch
    counters: Counters
    clocks: Clocks
    log_together: Callable[[Sequence[LogBatch]], bool]


def open_pipeline(
    settings: RouterSettings, ports: PipelinePorts, tasks: asyncio.TaskGroup
) -> Pipeline:
    """Return the stages; no call is served before `models` is given a snapshot.

    Pullers and mirrors run in `tasks` until `models.close()`; then `models.close_scorers()`.
    """
    now_s = ports.clocks.monotonic_s
    gate = Gate(_row_limit_policy(settings), now_s, most_bytes=settings.most_outstanding_bytes)
    drill = DrillSwitch(now_s)
    counters = Counters()
    features = FeatureFetcher(
        ports.store,
        policy=_breaker_policy(settings, settings.feature_trip_after),
        slow_s=settings.feature_slow_s,
        now_s=now_s,
        memory=_memory(settings),
        drill=drill,
    )
    delivery = Delivery(
        responder=ports.responder,
        log=ports.log,
        request_log=ports.request_log,
        counters=counters,
        last_scores=LastScores(settings.most_last_scores),
        clocks=ports.clocks,
        gate=gate,
        spans=None if ports.spans is None else SpanBook(ports.spans, ports.clocks),
    )
    models = LiveModels(
        _shared(settings, features, delivery),
        open_scorer=ports.open_scorer,
        new_mirror=lambda: _mirror(settings, ports, features, gate),
        breaker=_breaker_policy(settings, settings.scorer_trip_after),
        tasks=tasks,
        drill=drill,
    )
    return Pipeline(
        gate=gate,
        intake=_intake(settings, ports, gate),
        admission=_admission(settings, models, now_s),
        models=models,
        features=features,
        drill=drill,
        counters=counters,
        clocks=ports.clocks,
        log_together=ports.log_together,
    )


def _shared(settings: RouterSettings, features: FeatureFetcher, delivery: Delivery) -> Shared:
    return Shared(
        features,
        delivery,
        delivery.clocks,
        most_batch_rows=settings.most_batch_rows,
        scorer_timeout_s=settings.scorer_timeout_s,
        hedge_after_s=settings.hedge_after_s,
    )


def _mirror(
    settings: RouterSettings, ports: PipelinePorts, features: FeatureFetcher, gate: Gate
) -> MirrorQueue:
    return MirrorQueue(
        policy=MirrorPolicy(
            most_queued_rows=settings.mirror_queue_rows,
            most_batch_rows=settings.mirror_batch_rows,
            most_wait_s=settings.mirror_most_wait_s,
            timeout_s=settings.mirror_timeout_s,
        ),
        features=features,
        log=ports.log,
        is_shedding=gate.is_shedding_mirrors,
        clocks=ports.clocks,
    )


def _intake(settings: RouterSettings, ports: PipelinePorts, gate: Gate) -> Intake:
    return Intake(
        gate,
        most_gather_s=settings.most_gather_s,
        default_deadline_s=settings.default_deadline_s,
        now_s=ports.clocks.monotonic_s,
        cpu_s=ports.cpu_s,
    )


def _admission(
    settings: RouterSettings, models: LiveModels, now_s: Callable[[], float]
) -> Admission:
    return Admission(
        live=models.live,
        budget=BudgetPolicy(settings.default_deadline_s, settings.largest_deadline_s),
        now_s=now_s,
        new_request_id=RequestIds().new,
        most_candidates=settings.most_candidates,
        most_candidate_features=settings.most_candidate_features,
    )


def _row_limit_policy(settings: RouterSettings) -> RowLimitPolicy:
    return RowLimitPolicy(
        least_rows=settings.least_outstanding_rows,
        most_rows=settings.most_outstanding_rows,
        wanted_queue_s=settings.wanted_queue_s,
    )


def _breaker_policy(settings: RouterSettings, trip_after: int) -> BreakerPolicy:
    return BreakerPolicy(
        trip_after_failures=trip_after,
        cool_down_s=settings.cool_down_s,
        probe_timeout_s=settings.cool_down_s * 2,
    )


def _memory(settings: RouterSettings) -> LastKnownRecords:
    return LastKnownRecords(
        max_records=settings.last_known_records, max_age_s=settings.last_known_max_age_s
    )
