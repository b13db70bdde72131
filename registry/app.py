"""The registry's process: opens resources and the server, and closes them in reverse order."""

import asyncio
import shlex
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version as installed_version
from pathlib import Path
from time import monotonic

import grpc
import structlog
from sqlalchemy import Engine

from registry.approve_version import Voter
from registry.block_version import Blocker
from registry.change_deployment import ApprovalRules, DeploymentChanger
from registry.collect_artifacts import Collector
from registry.decisions.seats import ShareLimits
from registry.decisions.upload_pace import PaceLimits
from registry.make_backup import BackupMaker
from registry.register_version import Registrar
from registry.restore_registry import Restorer
from registry.retire_version import Retirer
from registry.server.anchors import AnchorPlaces, Anchors
from registry.server.approvals import Approvals
from registry.server.authentication import Authentication
from registry.server.backups import Backups
from registry.server.database_review import DatabaseReview
from registry.server.deployment_change import Changes
from registry.server.fetches import Fetches
from registry.server.live_state import LiveOptions, LiveState
from registry.server.metrics import FailedCalls, RegistryCollector
from registry.server.origins import Origins
from registry.server.preflight import Preflight
from registry.server.proofs import Proofs
from registry.server.reading_service import Parts
from registry.server.receive_artifact import UploadLimits
from registry.server.recheck import Recheck
from registry.server.refusal_book import RefusalBook
from registry.server.rollback_targets import RollbackTargets
from registry.server.seating import Seating
from registry.server.service import RegistryService, add_registry
from registry.server.state_room import StateRoom
from registry.server.submissions import Submissions
from registry.server.unread import Unread
from registry.server.watchers import Watchers
from registry.server.webhooks import Receiver, Webhooks
from registry.settings import RegistrySettings
from registry.store.database import open_database
from registry.store.directory_lock import locked_for
from registry.tag_version import Tagger
from understudy.domain.identities import Role
from understudy.gate.inspection import InspectionLimits, Inspector
from understudy.registry.v1 import registry_pb2
from understudy.runtime.front.grpc_server import open_server
from understudy.runtime.health import HealthSwitch
from understudy.runtime.lifecycle import DrainTimes, serve_until_stopped, stop_on_signals
from understudy.runtime.metrics_endpoint import metrics_served
from understudy.runtime.rpc_boundary import Guard, open_to_all
from understudy.runtime.serving import add_health_and_reflection
from understudy.runtime.transport.trust import trust_in

SERVICE_NAME = registry_pb2.DESCRIPTOR.services_by_name["RegistryService"].full_name
_MOST_RECEIVED_BYTES = 8 << 20  # per message; files are sent in chunks
_PROOF_SEATS = ShareLimits(2, 2)  # each reads the whole database
_BACKUP_SEATS = ShareLimits(2, 2)  # each sends the whole registry
_DAY_S = 86_400.0
_CLOSE_S = 15.0  # from the end of the drain to the exit; started changes are finished

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class OpenRegistry:
    server: grpc.aio.Server
    health: HealthSwitch
    port: int  # 0 for a unix socket
    watchers: Watchers
    unread: Unread
    rollback_targets: RollbackTargets
    anchors: Anchors | None  # None: heads of the audit log are not handed over
    database_review: DatabaseReview
    refusals: RefusalBook
    webhooks: Webhooks | None  # None: there is no receiver


@asynccontextmanager
async def open_registry(settings: RegistrySettings) -> AsyncIterator[OpenRegistry]:
    """Open the registry, with its server bound but not started.

    Raises:
        UnavailableError: directory, database or address cannot be used.
        RefusedError: another registry serves the directory, or a newer one wrote it.
    """
    async with AsyncExitStack() as resources:
        place = settings.database
        resources.enter_context(locked_for(place, settings.dir))
        engine = open_database(place)
        resources.callback(engine.dispose)
        executor = ThreadPoolExecutor(settings.workers, thread_name_prefix="registry")
        resources.callback(executor.shutdown)  # before the engine: work in progress is finished
        artifacts = settings.open_artifacts()
        resources.callback(artifacts.close)
        live = LiveState(
            engine,
            executor,
            LiveOptions(
                standby_versions=settings.standby_versions,
                silent_after_s=settings.silent_after_s,
                watch_seats=settings.watch_seats,
                host_room=settings.host_room,
                router_room=settings.router_room,
            ),
            now_s=monotonic,
            now=_utc_now,
            shared_at=None if isinstance(place, Path) else place,
        )
        await resources.enter_async_context(live.opened())
        limits = InspectionLimits(settings.inspection_timeout_s, settings.inspection_max_bytes)
        inspector = Inspector(limits, at_once=settings.max_inspections)
        room = StateRoom(settings.max_state_bytes, settings.standby_versions, lambda: live.stored)
        guard, approver_names = _guard(settings)
        rules = ApprovalRules(settings.least_approvers, approver_names)
        changer = DeploymentChanger(engine, _utc_now, room.check, settings.change_limits, rules)
        preflight = Preflight(live, engine, artifacts, inspector, installed_version("onnxruntime"))
        rollback_targets = RollbackTargets(
            live, changer, preflight, review_every_s=settings.rollback_review_every_s
        )
        parts = Parts(
            live=live,
            changer=changer,
            changes=Changes(live, changer, preflight),
            rollback_targets=rollback_targets,
            blocker=Blocker(engine, _utc_now),
            retirer=Retirer(engine, _utc_now),
            collector=Collector(engine, artifacts, _utc_now),
            tagger=Tagger(engine, _utc_now),
            restorer=Restorer(engine, _utc_now),
            submissions=Submissions(
                live=live,
                registrar=Registrar(engine, artifacts, _utc_now),
                inspector=inspector,
                artifacts=artifacts,
                limits=_upload_limits(settings),
                seating=Seating("uploads", settings.upload_seats),
                origins=Origins(settings.trusted_keys),
            ),
            fetches=Fetches(
                live=live,
                artifacts=artifacts,
                seating=Seating("fetches of artifact files", settings.fetch_seats),
            ),
            proofs=Proofs(
                live=live,
                engine=engine,
                artifacts=artifacts,
                seating=Seating("verifications and exports", _PROOF_SEATS),
                keys=settings.signing_keys,
                directory=settings.dir,
                now=_utc_now,
            ),
            backups=Backups(
                live,
                BackupMaker(engine, artifacts, _utc_now),
                Seating("backups", _BACKUP_SEATS),
                settings.dir,
            ),
            recheck=Recheck(
                live=live,
                engine=engine,
                artifacts=artifacts,
                inspector=inspector,
                seating=Seating("checks of registered versions", _PROOF_SEATS),
                onnxruntime=installed_version("onnxruntime"),
                now=_utc_now,
            ),
            approvals=Approvals(
                live,
                Voter(engine, _utc_now, settings.approval_days * _DAY_S, settings.least_approvers),
                approver_names,
            ),
            database_review=DatabaseReview(engine, _utc_now, settings.verify_every_s),
        )
        refusals = RefusalBook(live, engine, _utc_now, believes=settings.identities is None)
        webhooks = await _webhooks(settings, live, engine)
        unread = Unread(settings.unread_limits)
        server = await resources.enter_async_context(
            open_server(max_receive_message_length=_MOST_RECEIVED_BYTES)
        )
        failed = FailedCalls(refusals)
        add_registry(RegistryService(parts), server, unread, guard, failed)
        health = add_health_and_reflection(server, [SERVICE_NAME])
        collector = RegistryCollector(live, parts.database_review, unread, failed, webhooks)
        await resources.enter_async_context(
            metrics_served(settings.metrics_ip, settings.metrics_port, collector)
        )
        yield OpenRegistry(
            server,
            health,
            settings.transport.bind(server, settings.listen),
            live.watchers,
            unread,
            rollback_targets,
            _anchors(settings, parts.proofs),
            parts.database_review,
            refusals,
            webhooks,
        )


async def serve(settings: RegistrySettings) -> None:
    """Serve until a signal.

    Raises:
        UnavailableError, RefusedError: see `open_registry`.
    """
    longest_s = settings.unready_delay_s + settings.drain_grace_s + _CLOSE_S
    await serve_until(stop_on_signals(longest_s=longest_s), settings)


async def serve_until(stop: asyncio.Event, settings: RegistrySettings) -> None:
    """Serve until `stop` is set.

    Raises:
        UnavailableError, RefusedError: see `open_registry`.
    """
    async with open_registry(settings) as opened, asyncio.TaskGroup() as owned:
        owned.create_task(_end_watches(stop, opened.watchers))
        tasks = [
            owned.create_task(opened.rollback_targets.review()),
            owned.create_task(opened.database_review.keep_reviewed()),
            owned.create_task(opened.refusals.keep_written()),
        ]
        if opened.webhooks is not None:
            tasks.append(owned.create_task(opened.webhooks.keep_delivered()))
        if opened.anchors is not None:
            tasks.append(owned.create_task(opened.anchors.keep_anchored()))
        _log.info("registry_opened", listen=settings.listen, port=opened.port)
        await serve_until_stopped(
            opened.server,
            opened.health,
            stop,
            DrainTimes(settings.unready_delay_s, settings.drain_grace_s),
        )
        for task in tasks:
            task.cancel()
        await opened.refusals.write()


async def _end_watches(stop: asyncio.Event, watchers: Watchers) -> None:
    await stop.wait()
    watchers.close()


def _guard(settings: RegistrySettings) -> tuple[Guard, Callable[[], frozenset[str]]]:
    """Return the guard of calls, and the names of the people who may approve.

    Raises:
        InvalidInputError: the file of identities is not usable.
    """
    if settings.identities is not None:
        authentication = Authentication(settings.identities, _utc_now)
        return authentication, lambda: authentication.names_with(Role.APPROVER)
    _log.warning("callers_not_proven", listen=settings.listen)
    return open_to_all, frozenset


def _anchors(settings: RegistrySettings, proofs: Proofs) -> Anchors | None:
    command = tuple(shlex.split(settings.anchor_command or ""))
    if settings.anchor_path is None and not command:
        return None
    return Anchors(proofs, AnchorPlaces(settings.anchor_every_s, settings.anchor_path, command))


async def _webhooks(settings: RegistrySettings, live: LiveState, engine: Engine) -> Webhooks | None:
    if (target := settings.webhook_target) is None:
        return None
    trust = trust_in(settings.webhook_ca) if target.is_tls else None
    receiver = Receiver(target, settings.webhook_keys, trust)
    webhooks = Webhooks(live, engine, _utc_now, receiver)
    await webhooks.begin()
    return webhooks


def _upload_limits(settings: RegistrySettings) -> UploadLimits:
    return UploadLimits(
        max_bytes=settings.max_artifact_bytes,
        max_files=settings.max_artifact_files,
        pace=PaceLimits(settings.upload_period_s, settings.upload_period_bytes),
        total_s=settings.upload_timeout_s,
    )


def _utc_now() -> datetime:
    return datetime.now(UTC)
