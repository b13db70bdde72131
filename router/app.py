"""One router process: the composition root, and the order in which it starts and stops.

Start: settings -> store and logs -> last snapshot or registry -> listen -> ready.
Stop:  not ready -> delay -> stop accepting -> finish -> mirrors -> logs -> close, in reverse.
"""

import asyncio
import os
import socket
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

import grpc
import structlog

from router.adapters.oip_scorer import OipScorer
from router.admission.admit import Admission
from router.admission.gate import Gate
from router.admission.intake import Intake
from router.batches.deliver import Delivery
from router.batches.fetch_features import FeatureFetcher
from router.batches.last_scores import LastScores
from router.batches.mirror import MirrorPolicy, MirrorQueue
from router.books.counters import Counters
from router.books.request_log import RequestLogLines
from router.decisions.admission import AdmissionPolicy
from router.decisions.breaker import BreakerPolicy
from router.decisions.budget import BudgetPolicy
from router.edge.admin_service import RouterAdminService, model_states
from router.edge.answers import ProtobufResponder
from router.edge.metrics import RouterCollector, serve_metrics
from router.edge.service import SERVICE, ScoringService
from router.ladder.drill import DrillSwitch
from router.ladder.drilled_store import DrilledStore
from router.ports import Clocks
from router.revision.live_model import Shared
from router.revision.live_models import LiveModels
from router.settings import RouterSettings
from understudy.control.registry_watch import follow, open_registry_channel
from understudy.features.serving.last_known import LastKnownRecords
from understudy.features.stores import open_store
from understudy.logs.columns import UnitKeys
from understudy.logs.schema import UnitKeyForm
from understudy.logs.writer import LogWriter
from understudy.registry.v1 import registry_pb2, registry_pb2_grpc
from understudy.router.v1 import router_pb2, router_pb2_grpc
from understudy.runtime.io_threads import keep_io_threads_back
from understudy.runtime.lifecycle import DrainTimes, serve_until_stopped
from understudy.runtime.serving import ServerGroup, add_health_and_reflection, bind, new_server

_REPORT_S = 1.0
_LOG_CLOSE_S = 10.0
_SPARED_SHARE = 0.95  # of the most unread calls: up to there none is cancelled
_CLOCKS = Clocks(monotonic_s=time.monotonic, utc_s=lambda: time.time_ns() / 1e9)
_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class _Parts:
    """What a router process is made of."""

    models: LiveModels
    service: ScoringService
    admin: RouterAdminService
    collector: RouterCollector


def admin_address(settings: RouterSettings, worker: int) -> str:
    """Return the gRPC target of a worker's admin socket."""
    return f"unix:{settings.state_dir.resolve() / f'worker-{worker}.sock'}"


async def serve(settings: RouterSettings, worker: int, stop: asyncio.Event) -> None:
    """Serve as one worker until `stop` is set, then drain.

    Raises:
        UnavailableError: the port or the feature store cannot be opened.
        InvalidInputError: the feature store's URL names no store.
    """
    settings.state_dir.mkdir(parents=True, exist_ok=True)
    router_id = f"{socket.gethostname()}-{worker}-{os.getpid()}"
    async with AsyncExitStack() as resources:
        store = open_store(settings.features)
        resources.push_async_callback(store.close)
        logs = LogWriter(
            settings.log_dir,
            unit_keys=UnitKeys(
                UnitKeyForm.PLAIN if settings.log_entity_ids else UnitKeyForm.HASHED,
                settings.log_key.get_secret_value().encode(),
            ),
        )
        logs.start()
        resources.push_async_callback(asyncio.to_thread, logs.close, _LOG_CLOSE_S)
        drill = DrillSwitch(time.monotonic)
        features = FeatureFetcher(
            DrilledStore(store, drill.level),
            policy=_breaker(settings, settings.feature_trip_after),
            slow_s=settings.feature_slow_s,
            now_s=time.monotonic,
            memory=None if store.inline else _memory(settings),
        )
        channel = open_registry_channel(settings.registry)
        resources.push_async_callback(channel.close)
        async with asyncio.TaskGroup() as tasks:
            parts = _assemble(settings, router_id, features, logs, tasks, store.counters, drill)
            # Pushed into the stack, so it runs after the tasks that use the scorers have ended.
            resources.push_async_callback(parts.models.close_scorers)
            if settings.metrics_port:
                port = settings.metrics_port + worker
                close = serve_metrics(settings.metrics_host, port, parts.collector)
                resources.push_async_callback(asyncio.to_thread, close)
            await _run(settings, worker, channel, router_id, parts, tasks, stop)


async def _run(
    settings: RouterSettings,
    worker: int,
    channel: grpc.aio.Channel,
    router_id: str,
    parts: _Parts,
    tasks: asyncio.TaskGroup,
    stop: asyncio.Event,
) -> None:
    first_snapshot = asyncio.Event()
    background = [
        tasks.create_task(_follow(channel, settings, router_id, parts.models, first_snapshot)),
        tasks.create_task(_report(channel, router_id, parts.models)),
        tasks.create_task(parts.models.sweep_forever()),
    ]
    if settings.io_nicer:
        background.append(tasks.create_task(keep_io_threads_back(settings.io_nicer)))
    async with _admin_server(admin_address(settings, worker), parts.admin):
        await _first_of(first_snapshot, stop)
        if not stop.is_set():  # else it would serve for a moment, knowing nothing
            await _listen_and_drain(settings, parts.service, stop)
    for task in background:
        task.cancel()
    parts.models.close()


async def _listen_and_drain(
    settings: RouterSettings, service: ScoringService, stop: asyncio.Event
) -> None:
    server = ServerGroup([_one_server(settings) for _ in range(settings.listeners)])
    server.add_generic_rpc_handlers((service.handlers(),))
    health = add_health_and_reflection(server, (SERVICE,))
    port = bind(server, settings.listen)
    _log.info("listening", address=settings.listen, port=port)
    drain = DrainTimes(settings.unready_delay_s, settings.drain_grace_s)
    await serve_until_stopped(server, health, stop, drain, end_streams=service.end_streams)


def _one_server(settings: RouterSettings) -> grpc.aio.Server:
    return new_server(
        reuse_port=True,
        max_message_bytes=settings.largest_request_bytes,
        **_backlog(settings.most_unread_calls // settings.listeners),
        max_connection_age_ms=round(settings.max_connection_age_s * 1000),
        # A stream does not see its connection's age, so it has one of its own, of the same length:
        # the last to begin may reach it, and then has as long as any call to finish.
        max_connection_age_grace_ms=round(
            (settings.max_connection_age_s + settings.largest_deadline_s) * 1000
        ),
    )


def _backlog(most_unread_calls: int) -> dict[str, int]:
    """Return the bounds of what gRPC holds before Python sees it, by channel argument.

    Above the first bound it cancels some of what comes, above the second all. Taking a call in is
    most of what a call costs, so in a flood the queue is there, and a call that has waited long is
    answered to nobody.
    """
    return {
        "server.max_pending_requests": round(most_unread_calls * _SPARED_SHARE),
        "server.max_pending_requests_hard_limit": most_unread_calls,
    }


def _assemble(
    settings: RouterSettings,
    router_id: str,
    features: FeatureFetcher,
    logs: LogWriter,
    tasks: asyncio.TaskGroup,
    store_counters: Callable[[], Mapping[str, int]],
    drill: DrillSwitch,
) -> _Parts:
    counters = Counters()
    gate = Gate(
        AdmissionPolicy(
            least_rows=settings.least_outstanding_rows,
            most_rows=settings.most_outstanding_rows,
            wanted_queue_s=settings.wanted_queue_s,
        ),
        time.monotonic,
    )
    delivery = Delivery(
        responder=ProtobufResponder(),
        log=logs.offer,
        request_log=RequestLogLines(settings.request_lines, settings.request_lines_sample_bp),
        counters=counters,
        last_scores=LastScores(settings.most_last_scores),
        clocks=_CLOCKS,
        outstanding_rows=lambda: gate.outstanding_rows,
        after_batch=gate.after_batch,
    )
    models = LiveModels(
        Shared(
            features,
            delivery,
            _CLOCKS,
            most_batch_rows=settings.most_batch_rows,
            scorer_timeout_s=settings.scorer_timeout_s,
            hedge_after_s=settings.hedge_after_s,
        ),
        open_scorer=OipScorer,
        new_mirror=lambda: MirrorQueue(
            policy=MirrorPolicy(
                most_queued_rows=settings.mirror_queue_rows,
                most_batch_rows=settings.mirror_batch_rows,
                most_wait_s=settings.mirror_most_wait_s,
                timeout_s=settings.mirror_timeout_s,
            ),
            features=features,
            log=logs.offer,
            is_shedding=gate.is_shedding_mirrors,
            clocks=_CLOCKS,
        ),
        breaker=_breaker(settings, settings.scorer_trip_after),
        tasks=tasks,
        drill=drill.level,
    )
    admission = Admission(
        live_model=models.find,
        budget=BudgetPolicy(settings.default_deadline_s, settings.largest_deadline_s),
        most_candidates=settings.most_candidates,
    )
    intake = Intake(
        gate,
        most_gather_s=settings.most_gather_s,
        default_deadline_s=settings.default_deadline_s,
        now_s=time.monotonic,
        cpu_s=time.thread_time,
    )
    service = ScoringService(
        admission,
        gate,
        intake,
        counters,
        models.find,
        logs.offer,
        _CLOCKS,
        most_stream_age_s=settings.max_connection_age_s,
    )
    admin = RouterAdminService(
        router_id,
        models=models,
        counters=counters,
        gate=gate,
        features=features,
        logs=logs,
        drill=drill,
    )
    return _Parts(models, service, admin, RouterCollector(counters, gate, models, store_counters))


def _memory(settings: RouterSettings) -> LastKnownRecords:
    return LastKnownRecords(
        max_records=settings.last_known_records, max_age_s=settings.last_known_max_age_s
    )


def _breaker(settings: RouterSettings, trip_after: int) -> BreakerPolicy:
    return BreakerPolicy(
        trip_after_failures=trip_after,
        cool_down_s=settings.cool_down_s,
        probe_timeout_s=settings.cool_down_s * 2,
    )


async def _follow(
    channel: grpc.aio.Channel,
    settings: RouterSettings,
    router_id: str,
    models: LiveModels,
    first_snapshot: asyncio.Event,
) -> None:
    remember_at = settings.state_dir / "last-snapshot.pb"
    async for snapshot in follow(channel, watcher=router_id, remember_at=remember_at):
        await models.apply(snapshot)
        first_snapshot.set()


async def _report(channel: grpc.aio.Channel, router_id: str, models: LiveModels) -> None:
    """Tell the registry what is live here, on change and as a heartbeat."""
    stub = registry_pb2_grpc.RegistryServiceStub(channel)
    while True:
        await asyncio.sleep(_REPORT_S)
        request = registry_pb2.ReportRouterRequest(router_id=router_id, models=model_states(models))
        try:
            await stub.ReportRouter(request, timeout=_REPORT_S)
        except grpc.aio.AioRpcError as error:
            _log.debug("report_not_taken", why=error.code().name)


@asynccontextmanager
async def _admin_server(address: str, admin: RouterAdminService) -> AsyncIterator[None]:
    server = new_server()
    router_pb2_grpc.add_RouterAdminServiceServicer_to_server(admin, server)
    add_health_and_reflection(
        server, (router_pb2.DESCRIPTOR.services_by_name["RouterAdminService"].full_name,)
    )
    bind(server, address)
    await server.start()
    try:
        yield
    finally:
        await server.stop(grace=0)


async def _first_of(*events: asyncio.Event) -> None:
    waiting = [asyncio.ensure_future(event.wait()) for event in events]
    try:
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in waiting:
            task.cancel()
