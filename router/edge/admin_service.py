"""RouterAdminService: the state and history of one router process, for operators on its machine."""

import os
from collections.abc import Callable, Sequence
from functools import partial

from router.books.counters import Counters
from router.decisions.hop import Hop
from router.decisions.ladder import declares
from router.edge.log_books import LogBooks
from router.ladder.drill import RunningDrill
from router.pipeline import Pipeline
from router.revision.live_model import LiveModel
from router.revision.live_models import LiveModels
from understudy.control.belief import Belief
from understudy.control.report_wire import model_state_to_wire, refusal_to_wire
from understudy.control.wire_enums import ARMS, LEVEL_OF, LEVELS, REASONS, wire_values
from understudy.domain.deployments import Arm, Challenger, DegradationLevel
from understudy.domain.errors import FailureKind, InvalidInputError, RefusedError
from understudy.domain.reports import RouterModelState
from understudy.registry.v1 import registry_pb2
from understudy.router.v1 import router_pb2, router_pb2_grpc
from understudy.runtime.rpc_boundary import Context, TakesHandlers, add_bounded

SERVICE = router_pb2.DESCRIPTOR.services_by_name["RouterAdminService"].full_name
FAILURE_KINDS = wire_values(FailureKind, router_pb2.FailureKind, "FAILURE_KIND")
_HOPS = wire_values(Hop, router_pb2.Hop, "HOP")
_REASONS = {reason.value: number for reason, number in REASONS.items()}


class RouterAdminService(router_pb2_grpc.RouterAdminServiceServicer):
    def __init__(
        self,
        router_id: str,
        pipeline: Pipeline,
        logs: LogBooks,
        store_troubles: Callable[[], Sequence[str]],
        belief: Belief,
    ) -> None:
        self._router_id = router_id
        self._models = pipeline.models
        self._counters = pipeline.counters
        self._gate = pipeline.gate
        self._features = pipeline.features
        self._logs = logs
        self._store_troubles = store_troubles
        self._drill = pipeline.drill
        self._belief = belief

    async def GetRouterStatus(  # noqa: N802 - name given by the .proto
        self,
        request: router_pb2.GetRouterStatusRequest,  # noqa: ARG002 - it is empty
        context: Context,  # noqa: ARG002 - nothing to abort
    ) -> router_pb2.GetRouterStatusResponse:
        return router_pb2.GetRouterStatusResponse(
            router_id=self._router_id,
            pid=os.getpid(),
            snapshot_lineage=self._models.lineage,
            snapshot_sequence=self._models.sequence,
            models=model_states(self._models),
            answered=_answered(self._counters),
            failures=_failures(self._counters),
            mirrors=_mirrors(self._models),
            scorers=_scorers(self._models),
            degraded=[
                router_pb2.DegradedRows(model=model, reason=_REASONS[reason], rows=rows)
                for (model, reason), rows in self._counters.degraded.items()
            ],
            logs=self._logs.counts(),
            log_shipping=self._logs.shipping(),
            batches=self._counters.batches,
            late_rows=self._counters.late_rows,
            outstanding_rows=self._gate.outstanding_rows,
            admission_limit_rows=self._gate.limit.rows,
            feature_breaker_open=self._features.is_open,
            drill=_drill(self._drill.running()),
            refusal=refusal_to_wire(self._belief.refusal),
            feature_store_troubles=self._store_troubles(),
        )

    async def StartDrill(  # noqa: N802 - name given by the .proto
        self,
        request: router_pb2.StartDrillRequest,
        context: Context,  # noqa: ARG002 - the boundary answers failures
    ) -> router_pb2.StartDrillResponse:
        drill = self._drill.planned(
            _level_of(request),
            duration_s=request.duration_s,
            actor=request.actor,
            reason=request.reason,
        )
        if not request.allow_errors:
            self._check_declared(drill.level)
        if not request.dry_run:
            self._drill.start(drill)
        return router_pb2.StartDrillResponse(router_id=self._router_id)

    def _check_declared(self, level: DegradationLevel) -> None:
        """Refuse a drill that would cause an outage.

        Raises:
            RefusedError: live models declare nothing that could answer at `level` or below.
        """
        bare = [
            model.deployment.model
            for model in self._models
            if level > DegradationLevel.FEATURES and not declares(model.deployment.fallback, level)
        ]
        if bare:
            raise RefusedError(
                f"{', '.join(bare)}: no fallback is declared for L{level.value}, so every call would "
                "fail; declare one (understudy registry fallback), or allow errors explicitly"
            )


def add_router_admin(admin: RouterAdminService, server: TakesHandlers) -> None:
    """Let `server` answer with `admin`."""
    add_bounded(server, partial(router_pb2_grpc.add_RouterAdminServiceServicer_to_server, admin))


def _level_of(request: router_pb2.StartDrillRequest) -> DegradationLevel:
    level = LEVEL_OF.get(request.level)
    if level is None:
        accepted = "FULL to end a drill; FEATURES, FALLBACK or CONSTANT to start one"
        raise InvalidInputError.of("level", read=request.level, accepted=accepted)
    return level


def _drill(running: RunningDrill | None) -> router_pb2.RunningDrill | None:
    if running is None:
        return None
    return router_pb2.RunningDrill(
        level=LEVELS[running.level],
        left_s=running.left_s,
        actor=running.actor,
        reason=running.reason,
    )


def _scorers(models: LiveModels) -> list[router_pb2.UsedScorer]:
    used = [
        router_pb2.UsedScorer(
            model=model.deployment.model,
            version=number,
            address=address,
            breaker_open=not scorer.is_closed,
            last_failure=scorer.last_failure or None,
            hop=_HOPS[scorer.scorer.hop],
        )
        for model in models
        for (number, address), scorer in model.scorers().items()
    ]
    return used + [
        router_pb2.UsedScorer(
            model=each.scorer.ref.model,
            version=each.scorer.ref.number,
            address=each.scorer.address,
            last_failure=each.why or None,
            unproven=True,
            has_other_artifact=each.has_other_artifact,
        )
        for each in models.unproven()
    ]


def model_states(models: LiveModels) -> list[registry_pb2.RouterModelState]:
    """Return the live state, for the registry's status and for operators."""
    return [model_state_to_wire(_state(model)) for model in models]


def _state(model: LiveModel) -> RouterModelState:
    weights = {c.version: c.weight_bp for c in model.deployment.challengers}
    return RouterModelState(
        model=model.deployment.model,
        revision=model.deployment.revision,
        champion=model.effective.champion,
        effective=tuple(Challenger(each, weights[each]) for each in model.effective.challengers),
        withheld=model.effective.withheld,
        unservable=model.effective.unservable,
    )


def _answered(counters: Counters) -> list[router_pb2.AnsweredRows]:
    return [
        router_pb2.AnsweredRows(
            model=key.model,
            version=key.version,
            arm=ARMS[Arm(key.arm)],
            level=LEVELS[DegradationLevel(key.level)],
            rows=rows,
        )
        for key, rows in counters.rows.items()
    ]


def _failures(counters: Counters) -> list[router_pb2.CountedFailures]:
    failed = [
        router_pb2.CountedFailures(model=model, kind=FAILURE_KINDS[kind], rows=rows)
        for (model, kind), rows in counters.failures.items()
    ]
    return failed + [
        router_pb2.CountedFailures(kind=FAILURE_KINDS[kind], rows=calls)
        for kind, calls in counters.refused.items()
    ]


def _mirrors(models: LiveModels) -> list[router_pb2.MirrorCounts]:
    return [
        router_pb2.MirrorCounts(
            model=model,
            shadow_version=version,
            offered=mirror.ledger.offered,
            sampled_out=mirror.ledger.sampled_out,
            dropped_queue_full=mirror.ledger.dropped_queue_full,
            dropped_expired=mirror.ledger.dropped_expired,
            dropped_not_ready=mirror.ledger.dropped_not_ready,
            dropped_defaulted=mirror.ledger.dropped_defaulted,
            ok=mirror.ledger.ok,
            error=mirror.ledger.error,
            timeout=mirror.ledger.timeout,
            in_flight=mirror.in_flight_rows,
            feature_breaker_open=mirror.is_feature_breaker_open,
        )
        for (model, version), mirror in models.mirrors.items()
    ]
