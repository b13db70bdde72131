"""One scorer process: it binds, loads, verifies and warms up, and only then is ready."""

import asyncio
import os
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import structlog
from prometheus_client import start_http_server

from scorer.decisions.run_place import RunPlace
from scorer.machine.cgroup import cgroup_cpus
from scorer.refusal_file import whole_reason, write_refusal
from scorer.server.batcher import Batcher, BatchLimits
from scorer.server.coming_calls import ComingCalls
from scorer.server.frames_server import FramesServer, serving_frames
from scorer.server.load_model import LoadedModel, load_model
from scorer.server.metrics import ScorerMetrics
from scorer.server.request_reader import RequestLimits, RequestReader
from scorer.server.served_model import ServedModel
from scorer.server.service import InferenceService
from scorer.server.spans import RequestSpans
from scorer.settings import NanPolicy, ScorerSettings
from understudy.artifact.expectation import Expectation
from understudy.artifact.load_checks import CheckOptions
from understudy.artifact.session_options import SessionOptions
from understudy.domain.errors import UnavailableError, UnderstudyError
from understudy.domain.versions import VersionRef
from understudy.inference.frames import frames_path
from understudy.inference.reflection import SERVICE, add_reflection
from understudy.runtime.exit_codes import ARTIFACT_REFUSED, OK
from understudy.runtime.front.grpc_server import open_server
from understudy.runtime.health import Health
from understudy.runtime.lifecycle import DrainTimes, serve_until_stopped, stop_on_signals
from understudy.runtime.open_requests import OpenLimits
from understudy.runtime.open_streams import StreamLimits
from understudy.runtime.serving import add_health
from understudy.runtime.span_export import span_export
from understudy.runtime.transport.sockets import socket_of
from understudy.runtime.unless_stopped import unless_stopped

_OPEN_REQUESTS = OpenLimits(most_messages=256, most_bytes=16 << 20)  # of a stream, or of frames
_CLOSE_S = 5.0  # from the end of the drain to the exit
_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class ServeTask:
    """The version to serve."""

    source: Path
    ref: VersionRef
    expected: Expectation
    status_file: Path | None  # receives the reason if the version is refused
    cpus: int | None = None  # number of CPUs while serving; loading may be restricted to one


async def serve(task: ServeTask, settings: ScorerSettings) -> int:
    """Serve until SIGTERM or SIGINT; return the exit code."""
    stop = stop_on_signals(longest_s=settings.unready_delay_s + settings.drain_grace_s + _CLOSE_S)
    metrics = ScorerMetrics()
    coming = ComingCalls()
    place = RunPlace(settings.inline_run_ms / 1000)
    async with AsyncExitStack() as resources:
        sink = resources.enter_context(span_export("understudy-scorer", close_within_s=1.0))
        spans = None if sink is None else RequestSpans(sink, task.ref, _utc_s)
        server = await resources.enter_async_context(open_server())
        health = add_health(server, (SERVICE,))
        service = InferenceService(
            task.ref,
            coming,
            metrics,
            lambda: health.current is Health.SERVING,
            _stream_limits(settings),
            spans,
        )
        metrics.ready.set_function(lambda: float(health.current is Health.SERVING))
        server.add_generic_rpc_handlers((service,))
        add_reflection(server)
        port = settings.transport.bind(server, settings.listen)
        _log.info("bound", listen=settings.listen, port=port)
        await server.start()
        resources.enter_context(_serve_metrics(settings, metrics))
        try:
            loaded = await unless_stopped(stop, _load(task, settings, place))
        except UnderstudyError as error:
            return _refuse(task, error)
        if loaded is None:
            await server.stop(None)
            _leave_while_loading(task)
        metrics.loaded(task.ref, loaded.artifact_digest)
        frames = await _serve_loaded(loaded, settings, service, metrics, coming, place, resources)

        def end_streams() -> None:
            service.end_streams()
            frames.end(settings.drain_grace_s)

        drain = DrainTimes(settings.unready_delay_s, settings.drain_grace_s)
        await serve_until_stopped(server, health, stop, drain, end_streams=end_streams)
    return OK


async def _serve_loaded(
    loaded: LoadedModel,
    settings: ScorerSettings,
    service: InferenceService,
    metrics: ScorerMetrics,
    coming: ComingCalls,
    place: RunPlace,
    resources: AsyncExitStack,
) -> FramesServer:
    """Let `service` answer with the model, over frames too; return their server."""
    batcher = Batcher(loaded.model, _limits(settings), observer=metrics, coming=coming, place=place)
    resources.push_async_callback(batcher.close)
    limits = RequestLimits(settings.max_request_rows, settings.nan_policy is NanPolicy.REFUSE)
    reader = RequestReader(loaded.signature, limits)
    frames = FramesServer(
        service.answer_message,
        loaded.artifact_digest,
        most_connections=settings.max_streams_per_caller,
        open_requests=_OPEN_REQUESTS,
    )
    has_frames = await _serve_frames(settings.listen, frames, resources)
    model = ServedModel(loaded.signature, loaded.artifact_digest, reader, batcher)
    service.serve(model, over_frames=has_frames)
    return frames


async def _serve_frames(listen: str, frames: FramesServer, resources: AsyncExitStack) -> bool:
    """Serve frames beside a socket; return whether that could be done. Ports have gRPC alone."""
    path = socket_of(listen)
    if path is None:
        return False
    try:
        await resources.enter_async_context(serving_frames(frames_path(path), frames))
    except UnavailableError as error:
        _log.warning("frames_not_served", why=str(error))
        return False
    return True


def _utc_s() -> float:
    return time.time_ns() / 1e9


@contextmanager
def _serve_metrics(settings: ScorerSettings, metrics: ScorerMetrics) -> Iterator[None]:
    """Serve metrics if a port is set.

    Raises:
        UnavailableError: the address cannot be bound, e.g. the port is in use.
    """
    ip, port = settings.metrics_ip, settings.metrics_port
    if port is None:
        yield
        return
    try:
        httpd, _ = start_http_server(port, ip, metrics.registry)
    except OSError as error:
        raise UnavailableError(f"address {ip}:{port}", "cannot be bound; is it in use?") from error
    try:
        yield
    finally:
        httpd.shutdown()
        httpd.server_close()


def _leave_while_loading(task: ServeTask) -> NoReturn:
    """End the process. The loading thread cannot be stopped, and Python would wait for it."""
    _log.info("stopped_while_loading", version=str(task.ref))
    os._exit(OK)


async def _load(task: ServeTask, settings: ScorerSettings, place: RunPlace) -> LoadedModel:
    checks = CheckOptions(
        session=SessionOptions(
            intra_op_threads=settings.intra_op_threads or cgroup_cpus(task.cpus),
            inter_op_threads=settings.inter_op_threads,
            spin=settings.spin,
            arena=settings.arena,
            memory_pattern=settings.memory_pattern,
        ),
        golden_tolerance=settings.golden_tolerance,
        require_golden=settings.require_golden,
        warm_rows=settings.max_batch_rows,
    )
    # In a thread, so that health checks are answered in the meantime.
    loaded = await asyncio.to_thread(
        load_model, task.source, task.ref, task.expected, checks, place
    )
    _log.info(
        "model_loaded",
        version=str(task.ref),
        artifact_digest=loaded.artifact_digest,
        golden_rows=loaded.golden_rows,
        joins_rows=loaded.signature.joins_rows,
    )
    return loaded


def _refuse(task: ServeTask, error: UnderstudyError) -> int:
    """Report the reason, to people and to the host; a restart cannot help."""
    facts = {"version": str(task.ref), "kind": type(error).__name__, "why": whole_reason(error)}
    if task.status_file is not None:
        write_refusal(task.status_file, error)
    _log.error("artifact_refused", **facts)
    return ARTIFACT_REFUSED


def _limits(settings: ScorerSettings) -> BatchLimits:
    return BatchLimits(
        max_batch_rows=settings.max_batch_rows,
        max_queue_rows=settings.max_queue_rows,
        gather_s=settings.gather_ms / 1000,
        enough_rows=min(settings.gather_rows, settings.max_batch_rows),
    )


def _stream_limits(settings: ScorerSettings) -> StreamLimits:
    # The callers are routers: their streams are bounded one by one.
    most = settings.max_streams_per_caller
    together_bytes = most * _OPEN_REQUESTS.most_bytes
    return StreamLimits(settings.max_streams, most, _OPEN_REQUESTS, together_bytes)
