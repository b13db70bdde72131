"""One router process: the composition root, and the order of its start and stop.

Start: settings -> store and logs -> last snapshot or registry -> listen -> ready.
Stop:  not ready -> delay -> stop accepting -> finish -> own addresses -> mirrors -> logs
       -> close, in reverse.
"""

import asyncio
import os
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import asdict
from functools import partial

import grpc
import structlog

from router.adapters.open_oip_scorer import open_oip_scorer
from router.books.request_log import RequestLogLines
from router.edge.admin_service import SERVICE as ADMIN_SERVICE
from router.edge.admin_service import RouterAdminService, add_router_admin, model_states
from router.edge.answers import ProtobufResponder
from router.edge.entry import entry_guard
from router.edge.inference_service import InferenceService
from router.edge.log_books import LogBooks
from router.edge.metrics import RouterCollector
from router.edge.service import SERVICE, ScoringService, ServiceLimits
from router.orphans import serve_on, working
from router.pipeline import Pipeline, PipelinePorts, open_pipeline
from router.ports import Clocks
from router.revision.live_models import LiveModels
from router.settings import RouterSettings
from understudy.control.belief import Belief, keep_remembered
from understudy.control.registry_channel import RegistryChannel
from understudy.control.registry_watch import follow, open_registry_channel
from understudy.control.report_wire import belief_to_wire
from understudy.domain.spans import SpanSink
from understudy.features.ports import FeatureStore
from understudy.features.stores import isolated_store
from understudy.inference.reflection import SERVICE as INFERENCE
from understudy.inference.reflection import add_reflection
from understudy.logs.writer import LogWriter
from understudy.registry.v1 import registry_pb2, registry_pb2_grpc
from understudy.runtime.front.grpc_server import open_server
from understudy.runtime.front.port import Server
from understudy.runtime.health import HealthSwitch
from understudy.runtime.io_threads import keep_io_threads_back
from understudy.runtime.lifecycle import DrainTimes, limited, serve_until_stopped, within
from understudy.runtime.metrics_endpoint import serve_metrics
from understudy.runtime.open_requests import OpenLimits
from understudy.runtime.open_streams import StreamLimits
from understudy.runtime.rpc_boundary import Guard
from understudy.runtime.serving import add_health_and_reflection
from understudy.runtime.span_export import span_export
from understudy.runtime.transport.transport import LOCAL
from understudy.scoring.v1 import scoring_pb2

_REPORT_S = 1.0
_CLOSE_S = 12.0  # of any one resource
_CLOCKS = Clocks(monotonic_s=time.monotonic, utc_s=lambda: time.time_ns() / 1e9)
_log = structlog.get_logger()


# UnavailableError: the port cannot be opened
OpenFront = Callable[[RouterSettings], AbstractAsyncContextManager[Server]]


async def serve(
    settings: RouterSettings,
    worker: int,
    stop: asyncio.Event,
    lost: asyncio.Event,
    open_front: OpenFront,
) -> None:
    """Serve as one worker until `stop` is set, then drain.

    Once `lost` is set, because the supervising process has died, it serves on as an orphan.

    Raises:
        UnavailableError: the port cannot be opened.
        InvalidInputError: the store's URL, the identities or the variables of spans are not usable.
    """
    guard = entry_guard(settings.identities)
    settings.state_dir.mkdir(parents=True, exist_ok=True)
    router_id = f"{socket.gethostname()}-{worker}-{os.getpid()}"
    async with AsyncExitStack() as resources:
        resources.enter_context(working(settings.state_dir))
        spans = resources.enter_context(span_export("understudy-router", close_within_s=2.0))
        store = await resources.enter_async_context(
            isolated_store(settings.features, log=_log, ids=settings.logged_ids)
        )
        logs = LogWriter(settings.log_dir, limits=settings.log_limits, ids=settings.logged_ids)
        logs.start()
        resources.push_async_callback(_close_logs, logs, settings.log_close_s)
        belief = Belief(settings.state_dir / "last-snapshot")
        channel = open_registry_channel(settings.registry, settings.access)
        resources.push_async_callback(_close, "the registry's channel", channel.close)
        async with (
            limited(settings.work_ends_s, "work in flight") as begin_to_end,
            asyncio.TaskGroup() as tasks,
        ):
            pipeline = open_pipeline(settings, _ports(settings, store, logs, spans), tasks)
            # Pushed onto the stack, so that it runs after the tasks that use the scorers have ended.
            resources.push_async_callback(_close, "the scorers", pipeline.models.close_scorers)
            # The addresses of this worker alone, which its successor needs.
            own = await resources.enter_async_context(AsyncExitStack())
            books = LogBooks(logs, settings.state_dir if settings.log_target else None)
            await own.enter_async_context(books.following())
            if settings.metrics_port:
                port = settings.metrics_port + worker
                collector = RouterCollector(pipeline, store.counters, store.troubles, belief, books)
                close = serve_metrics(settings.metrics_host, port, collector)
                own.push_async_callback(_close, "the metrics", _in_thread(close))
            admin = RouterAdminService(router_id, pipeline, books, store.troubles, belief)
            health = HealthSwitch((SERVICE, INFERENCE, ADMIN_SERVICE))
            await own.enter_async_context(
                _admin_server(settings.admin_address(worker), admin, health)
            )
            async with (
                _in_background(
                    settings, channel, belief, router_id, pipeline.models, tasks
                ) as first,
                _orphaned_by(lost, settings, own, tasks),
            ):
                await _first_of(first, stop)
                if not stop.is_set():  # otherwise it would serve for a moment without a snapshot
                    async with open_front(settings) as server:
                        await _listen_and_drain(
                            *(settings, pipeline, server, health, stop), guard=guard
                        )
            await own.aclose()  # before the mirrors end, which a hung shadow holds up
            pipeline.models.close(mirrors_within_s=settings.mirrors_end_s)
            begin_to_end()  # a hung scorer must not take the time of the logs


async def _close_logs(logs: LogWriter, limit_s: float) -> None:
    if not await asyncio.to_thread(logs.close, limit_s):
        _log.error("log_not_finished", limit_s=limit_s, **asdict(logs.counters()))


@asynccontextmanager
async def _orphaned_by(
    lost: asyncio.Event, settings: RouterSettings, own: AsyncExitStack, tasks: asyncio.TaskGroup
) -> AsyncIterator[None]:
    """Serve on once `lost` is set, without the addresses in `own`."""

    async def outlive() -> None:
        await lost.wait()
        await own.aclose()
        await serve_on(settings)

    task = tasks.create_task(outlive())
    yield
    task.cancel()


def _in_thread(close: Callable[..., object], *arguments: object) -> Callable[[], Awaitable[object]]:
    return lambda: asyncio.to_thread(close, *arguments)


async def _close(name: str, close: Callable[[], Awaitable[object]]) -> None:
    await within(_CLOSE_S, f"closing {name}", close())


def _ports(
    settings: RouterSettings, store: FeatureStore, logs: LogWriter, spans: SpanSink | None
) -> PipelinePorts:
    return PipelinePorts(
        store=store,
        log=logs.offer,
        log_together=logs.offer_together,
        request_log=RequestLogLines(settings.request_lines, settings.request_lines_sample_bp),
        responder=ProtobufResponder(),
        open_scorer=partial(open_oip_scorer, transport=settings.transport, hop=settings.hop),
        clocks=_CLOCKS,
        cpu_s=time.thread_time,
        spans=spans,
    )


@asynccontextmanager
async def _in_background(
    settings: RouterSettings,
    channel: RegistryChannel,
    belief: Belief,
    router_id: str,
    models: LiveModels,
    tasks: asyncio.TaskGroup,
) -> AsyncIterator[asyncio.Event]:
    """Follow the registry, report to it, and guard deadlines; yield the event of the first snapshot."""
    first_snapshot = asyncio.Event()
    background = [
        tasks.create_task(_follow(channel, belief, router_id, models, first_snapshot)),
        tasks.create_task(_report(channel, belief, router_id, models)),
        tasks.create_task(keep_remembered(belief, models.changed, models.in_effect)),
        tasks.create_task(models.sweep_forever()),
    ]
    if settings.io_nicer:
        background.append(tasks.create_task(keep_io_threads_back(settings.io_nicer)))
    yield first_snapshot
    for task in background:
        task.cancel()


async def _listen_and_drain(
    settings: RouterSettings,
    pipeline: Pipeline,
    server: Server,
    health: HealthSwitch,
    stop: asyncio.Event,
    *,
    guard: Guard,
) -> None:
    service = ScoringService(pipeline, service_limits(settings))
    inference = InferenceService(pipeline, service, is_ready=health.is_serving)
    handlers = (service.handlers(guard), inference.handlers(guard), health.handlers())
    server.add_generic_rpc_handlers(handlers)
    add_reflection(server, (scoring_pb2.DESCRIPTOR,))
    _log.info("listening", address=settings.listen)
    drain = DrainTimes(settings.unready_delay_s, settings.drain_grace_s)
    await serve_until_stopped(server, health, stop, drain, end_streams=service.end_streams)


def service_limits(settings: RouterSettings) -> ServiceLimits:
    return ServiceLimits(
        streams=StreamLimits(
            settings.most_streams,
            settings.most_streams_per_caller,
            OpenLimits(settings.most_stream_messages, settings.most_stream_bytes),
            settings.most_stream_bytes_per_caller,
        ),
        most_stream_age_s=settings.max_connection_age_s,
    )


async def _follow(
    channel: RegistryChannel,
    belief: Belief,
    router_id: str,
    models: LiveModels,
    first_snapshot: asyncio.Event,
) -> None:
    async for snapshot in follow(channel, watcher=router_id, belief=belief):
        await asyncio.to_thread(models.compile_new, snapshot)
        await models.apply(snapshot)
        first_snapshot.set()


async def _report(
    channel: grpc.aio.Channel, belief: Belief, router_id: str, models: LiveModels
) -> None:
    """Report the live state to the registry, on change and as a heartbeat."""
    stub = registry_pb2_grpc.RegistryServiceStub(channel)
    while True:
        await asyncio.sleep(_REPORT_S)
        request = registry_pb2.ReportRouterRequest(
            router_id=router_id,
            models=model_states(models),
            belief=belief_to_wire(belief.report),
            sequence=_applied_sequence(belief, models),
        )
        try:
            await stub.ReportRouter(request, timeout=_REPORT_S)
        except grpc.aio.AioRpcError as error:
            _log.debug("report_not_taken", why=error.code().name)


def _applied_sequence(belief: Belief, models: LiveModels) -> int | None:
    """Return the sequence of the applied state, or None while one of the lineage is not applied yet."""
    applied = models.in_effect()
    return applied.sequence if applied.lineage == belief.lineage else None


@asynccontextmanager
async def _admin_server(
    address: str, admin: RouterAdminService, health: HealthSwitch
) -> AsyncIterator[None]:
    """Serve the admin socket, with the health of the worker: its supervisor asks here.

    The port of the workers would answer for any of them.
    """
    async with open_server() as server:
        add_router_admin(admin, server)
        add_health_and_reflection(server, (ADMIN_SERVICE,), health)
        LOCAL.bind(server, address)
        await server.start()
        yield


async def _first_of(*events: asyncio.Event) -> None:
    waiting = [asyncio.ensure_future(event.wait()) for event in events]
    try:
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in waiting:
            task.cancel()
