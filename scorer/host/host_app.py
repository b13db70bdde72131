"""The scorer host: follows the registry, runs the named versions, reports their state."""

import asyncio
import socket
from contextlib import AsyncExitStack, suppress
from hashlib import sha256
from pathlib import Path

import grpc
import structlog

from scorer.decisions.fleet import HostRole, undescribed_versions, wanted_places
from scorer.host.addresses import Addresses
from scorer.host.artifact_cache import ArtifactCache
from scorer.host.fleet import Fleet
from scorer.host.metrics import HostCollector
from scorer.settings import HostSettings
from understudy.control.belief import Belief
from understudy.control.registry_channel import RegistryChannel
from understudy.control.registry_watch import follow, open_registry_channel
from understudy.control.report_wire import scorers_report_to_wire
from understudy.domain.reports import ScorersReport
from understudy.domain.snapshots import Snapshot
from understudy.registry.v1 import registry_pb2_grpc
from understudy.runtime.exit_codes import OK
from understudy.runtime.front.grpc_server import open_server
from understudy.runtime.health import Health, HealthSwitch
from understudy.runtime.lifecycle import DrainTimes, serve_until_stopped, stop_on_signals
from understudy.runtime.metrics_endpoint import metrics_served
from understudy.runtime.serving import add_health_and_reflection

_REPORT_TIMEOUT_S = 2.0
_FETCH_TIMEOUT_S = 120.0
_HEALTH_INTERVAL_S = 0.5

_log = structlog.get_logger()


async def host(settings: HostSettings) -> int:
    """Run scorers until SIGTERM or SIGINT, then drain them all; return the exit code."""
    stop = stop_on_signals(longest_s=settings.stop_limit_s)
    settings.dir.mkdir(parents=True, exist_ok=True)
    host_id = settings.host_id or _default_host_id(settings.dir)
    role = HostRole(host_id, settings.replicas, settings.placement)
    async with AsyncExitStack() as resources:
        channel = await resources.enter_async_context(
            open_registry_channel(settings.registry, settings.access)
        )
        belief = Belief(settings.dir / "last-snapshot")
        collector = HostCollector(belief)
        await resources.enter_async_context(
            metrics_served(settings.metrics_ip, settings.metrics_port, collector)
        )
        cache = ArtifactCache(
            settings.dir, channel, timeout_s=_FETCH_TIMEOUT_S, keep_s=settings.keep_artifacts_s
        )
        addresses = Addresses(
            settings.scorer_address,
            settings.dir,
            first_metrics_port=settings.first_metrics_port,
        )
        server = await resources.enter_async_context(open_server())  # all else has been accepted
        health = add_health_and_reflection(server, ())
        port = settings.transport.bind(server, settings.listen)
        _log.info("bound", listen=settings.listen, port=port)
        async with asyncio.TaskGroup() as tasks:
            fleet = Fleet(settings, host_id, cache, addresses, tasks)
            collector.processes = fleet.processes
            following = tasks.create_task(_follow(channel, belief, fleet, role))
            reporting = tasks.create_task(
                _report(channel, belief, fleet, role, settings.report_interval_s)
            )
            showing = tasks.create_task(_show_health(health, fleet, stop))
            arranging = tasks.create_task(fleet.keep_cpus_arranged())
            await serve_until_stopped(server, health, stop, DrainTimes(0.0, 1.0))
            following.cancel()
            showing.cancel()
            await fleet.stop()
            reporting.cancel()
            arranging.cancel()
        with suppress(grpc.aio.AioRpcError):
            await _send_report(channel, belief, fleet, role)  # empty by now
    return OK


async def _show_health(health: HealthSwitch, fleet: Fleet, stop: asyncio.Event) -> None:
    """Report NOT_SERVING while a scorer refuses its settings: no other would accept them."""
    while True:
        await asyncio.sleep(_HEALTH_INTERVAL_S)
        wanted = Health.NOT_SERVING if fleet.refuses_settings else Health.SERVING
        if wanted is not health.current and not stop.is_set():
            health.turn(wanted)
            _log.warning("health_turned", health=wanted.name)


async def _follow(channel: RegistryChannel, belief: Belief, fleet: Fleet, role: HostRole) -> None:
    async for snapshot in follow(channel, watcher=role.host_id, belief=belief):
        _apply(snapshot, fleet, role)
        await asyncio.to_thread(belief.remember, snapshot)  # a disk may hang


def _apply(snapshot: Snapshot, fleet: Fleet, role: HostRole) -> None:
    if missing := undescribed_versions(snapshot):
        _log.error("versions_undescribed", versions=[str(ref) for ref in missing])
    fleet.apply(wanted_places(snapshot, role, fleet.places()))


async def _report(
    channel: grpc.aio.Channel, belief: Belief, fleet: Fleet, role: HostRole, interval_s: float
) -> None:
    """Report on each change, and periodically as a heartbeat."""
    while True:
        fleet.changed.clear()
        try:
            await _send_report(channel, belief, fleet, role)
        except grpc.aio.AioRpcError as error:
            _log.warning("report_not_taken", why=error.code().name)
        # Not wait_for: in Python 3.11 it swallows a cancellation that coincides with the event.
        with suppress(TimeoutError):
            async with asyncio.timeout(interval_s):
                await fleet.changed.wait()


async def _send_report(
    channel: grpc.aio.Channel, belief: Belief, fleet: Fleet, role: HostRole
) -> None:
    stub = registry_pb2_grpc.RegistryServiceStub(channel)
    report = ScorersReport(role.host_id, tuple(fleet.processes()), belief.report, role.placement)
    await stub.ReportScorers(
        scorers_report_to_wire(report),
        timeout=_REPORT_TIMEOUT_S,
    )


def _default_host_id(directory: Path) -> str:
    folder = sha256(str(directory.resolve()).encode()).hexdigest()[:8]
    return f"{socket.gethostname()}-{folder}"
