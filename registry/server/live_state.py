"""The state that watchers see: deployments and versions from the database, scorers as reported.

Changes run one after the other, and each is published before the next one begins.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

import structlog
from sqlalchemy import Engine

from registry.decisions.acting import acting_changes, is_known
from registry.decisions.report_room import RoomLimits
from registry.decisions.seats import ShareLimits
from registry.server.instances import Instances
from registry.server.kept_reports import (
    forget_reports,
    forget_shared_reports,
    open_epoch,
    read_reports,
    save_report,
    sound_reports,
)
from registry.server.observed import Heard, Observed
from registry.server.published import is_registered, is_wanted, snapshot_of
from registry.server.report_lines import log_foreign, log_ignored, log_refusal, log_review
from registry.server.report_rooms import ReportRoom, ReportSize
from registry.server.report_sizes import size_of_scorers_report
from registry.server.stored_state import StoredState, caught_up, reread
from registry.server.waited_work import waited_for
from registry.server.watchers import Watchers
from registry.store import acting
from registry.store.database import reading, writing
from registry.store.postgresql import PostgresqlPlace
from understudy.domain.acting import ActingChampion
from understudy.domain.deployments import Deployment
from understudy.domain.errors import UnavailableError
from understudy.domain.instants import unix_ns
from understudy.domain.reports import RouterReport, ScorersReport
from understudy.domain.snapshots import News, ScorerProcess, Snapshot

_REVIEWS_PER_TERM = 4

_log = structlog.get_logger()
ResultT = TypeVar("ResultT")


@dataclass(frozen=True, slots=True)
class LiveOptions:
    standby_versions: int
    silent_after_s: float
    watch_seats: ShareLimits
    host_room: RoomLimits
    router_room: RoomLimits


class LiveState:
    """Owns the published state. For one event loop; blocking work runs in `executor`."""

    def __init__(
        self,
        engine: Engine,
        executor: ThreadPoolExecutor,
        options: LiveOptions,
        *,
        now_s: Callable[[], float],
        now: Callable[[], datetime],
        shared_at: PostgresqlPlace | None = None,
    ) -> None:
        self._engine = engine
        self._executor = executor
        self._options = options
        self._now_s = now_s
        self._now = now
        self._changing = asyncio.Lock()
        self._saving = asyncio.Lock()
        self._owned = asyncio.TaskGroup()
        self._stored = StoredState()
        self.observed = Observed(silent_after_s=options.silent_after_s)
        self.host_room = ReportRoom(options.host_room)
        self.router_room = ReportRoom(options.router_room)
        self._instances: Instances | None = None  # None: this process has the database alone
        if shared_at is not None:
            rooms = (self.host_room, self.router_room)
            self._instances = Instances(shared_at, engine, self.observed, rooms, now_s, now)
        self.watchers = Watchers(Snapshot(lineage="", sequence=0), options.watch_seats)

    @asynccontextmanager
    async def opened(self) -> AsyncIterator["LiveState"]:
        """Read the state, then maintain it until the block ends; started changes are finished."""
        epoch = await self.run(lambda: open_epoch(self._engine))
        self.watchers.publish(Snapshot("", epoch.first_sequence))
        await self._restore_kept()
        await self._reload(models=None)
        failure: Exception | None = None
        async with self._owned:
            tasks = [self._owned.create_task(self._review_reports())]
            if self._instances is not None:
                tasks.append(self._owned.create_task(self._instances.follow(self.catch_up)))
            try:
                yield self
            except Exception as error:  # noqa: BLE001 - raised below: the group would wrap it
                failure = error
            for task in tasks:
                task.cancel()
        if failure is not None:
            raise failure

    async def run(self, work: Callable[[], ResultT]) -> ResultT:
        """Run blocking `work` in a worker thread; see `waited_for`.

        Until begun work of a cancelled caller has ended, a seat for it stays taken.
        """
        return await waited_for(self._executor, work)

    async def change(
        self, work: Callable[[], ResultT], *, models: Collection[str] | None
    ) -> ResultT:
        """Run `work`, which changes the database, and publish the result.

        A cancelled caller does not stop it: committed changes are published.

        Args:
            work: blocks; for a worker thread.
            models: those that it changes, which are read again; None: all.
        """
        outcome: asyncio.Future[ResultT] = asyncio.get_running_loop().create_future()
        self._owned.create_task(self._change(work, models, outcome))
        return await outcome

    async def change_or_plan(
        self, work: Callable[[], ResultT], *, models: Collection[str] | None, dry_run: bool
    ) -> ResultT:
        """Run `work`; unless it is a dry run, it changes the database, and the result is published."""
        return await (self.run(work) if dry_run else self.change(work, models=models))

    async def report_scorers(self, report: ScorersReport, peer: str, size: ReportSize) -> None:
        """Take a checked report from `peer`; publish and keep it when it says something new.

        Raises:
            OverloadedError: there is no room for it.
        """
        self.host_room.take(report.host_id, peer, size)
        before = self.observed.refusal_of(report.host_id)
        if not self.observed.report_scorers(report, at=self._now(), now_s=self._now_s()):
            return
        log_refusal(report.host_id, before, self.observed.refusal_of(report.host_id))
        log_ignored(
            report.host_id,
            [each for each in report.processes if not is_registered(self._stored, each)],
        )
        log_foreign(report.host_id, report.processes)
        self._publish()
        await self._keep(report)

    async def report_router(self, report: RouterReport, peer: str, size: ReportSize) -> None:
        """Take a checked report; keep and publish the acting champions if they changed.

        Raises:
            OverloadedError: there is no room for it.
        """
        self.router_room.take(report.router_id, peer, size)
        now = self._now()
        refusal = self.observed.refusal_of(report.router_id)
        last = self.observed.last_of(report)
        self.observed.report_router(report, at=now, now_s=self._now_s())
        log_refusal(report.router_id, refusal, self.observed.refusal_of(report.router_id))
        if last is None or last.report != report:
            await self.catch_up()
        before = {each.model: each for each in self._stored.acting}
        if is_known(before, report):
            return
        changed = acting_changes(
            before,
            self._stored.deployments,
            [each.report for each in self.routers() if each.news is News.REPORTING],
            now_ns=unix_ns(now),
        )
        if changed:
            models = {each.model for each in changed}
            await self.change(lambda: self._save_acting(changed), models=models)
            _log.info("acting_champions_changed", acting=[str(each) for each in changed])

    async def catch_up(self) -> None:
        """Publish changes and reports of other registries over the database, which get those from here.

        Without other registries, do nothing.

        Raises:
            UnavailableError: the database does not answer.
        """
        if self._instances is None:
            return
        found = await self._instances.exchange(self.run)
        if found.changes > self._stored.changes:
            async with self._changing:
                if found.changes > self._stored.changes:
                    await self._reload(models=())
        elif found.has_news:
            self._publish()

    async def _restore_kept(self) -> None:
        kept = await self.run(lambda: read_reports(self._engine))
        sound = list(sound_reports(kept))
        self.observed.restore(sound, at=self._now(), now_s=self._now_s())
        for report in sound:
            self.host_room.restore(report.host_id, size_of_scorers_report(report))
        if odd := tuple(kept.keys() - {report.host_id for report in sound}):
            await self._forget_kept(odd)

    async def _keep(self, report: ScorersReport) -> None:
        if self._instances is not None:
            await self.catch_up()
            return
        async with self._saving:
            await self.run(lambda: save_report(self._engine, report))

    @property
    def stored(self) -> StoredState:
        """The published part of the database."""
        return self._stored

    @property
    def snapshot(self) -> Snapshot:
        """The state as watchers see it now."""
        return self.watchers.latest

    def deployments(self, model: str | None = None) -> list[Deployment]:
        """Return the current revisions, or that of one model."""
        return [each for each in self._stored.deployments if model in {None, each.model}]

    def scorers(self, model: str | None = None) -> list[ScorerProcess]:
        """Return the reported processes of registered versions, or those of one model."""
        return [
            each
            for each in self.observed.scorers()
            if model in {None, each.ref.model} and is_registered(self._stored, each)
        ]

    def routers(self) -> list[Heard[RouterReport]]:
        return self.observed.routers()

    async def _change(
        self,
        work: Callable[[], ResultT],
        models: Collection[str] | None,
        outcome: "asyncio.Future[ResultT]",
    ) -> None:
        async with self._changing:
            try:
                result = await self.run(work)
                await self._reload(models)
            except Exception as error:  # noqa: BLE001 - handed to the caller, who reports it
                if not outcome.cancelled():
                    outcome.set_exception(error)
                return
        if not outcome.cancelled():
            outcome.set_result(result)

    async def _reload(self, models: Collection[str] | None) -> None:
        before = self._stored.identity.lineage
        self._stored = await self.run(lambda: self._read(models))
        if before in {"", self._stored.identity.lineage}:
            self._publish()
            return
        # A restore: the kept reports are as old as the copy, and their scorers those of the original.
        forgotten = self.observed.forget_not_repeated()
        self._publish()
        await self._forget_kept(forgotten)

    def _publish(self) -> None:
        shared = self._instances is not None
        sequence = self._stored.changes if shared else self.snapshot.sequence + 1
        self.watchers.publish(snapshot_of(self._stored, self.observed, sequence=sequence))

    def _read(self, models: Collection[str] | None) -> StoredState:
        shared = self._instances is not None
        standby = self._options.standby_versions
        with reading(self._engine) as connection:
            read = caught_up if shared else reread
            before = StoredState() if models is None else self._stored
            return read(connection, before, models, standby_versions=standby)

    def _save_acting(self, records: tuple[ActingChampion, ...]) -> None:
        with writing(self._engine) as connection:
            acting.save(connection, records)

    async def _review_reports(self) -> None:
        pause_s = self._options.silent_after_s / _REVIEWS_PER_TERM
        while True:
            slept_from_s = self._now_s()
            await asyncio.sleep(pause_s)
            now_s = self._now_s()
            # While this process was suspended or starved no report could arrive: not the hosts' fault.
            self.observed.prolong(max(0.0, now_s - slept_from_s - pause_s))
            try:
                await self.catch_up()
            except UnavailableError as error:
                # No report to another registry could arrive either.
                self.observed.prolong(pause_s)
                _log.warning("reports_not_exchanged", why=str(error))
            review = self.observed.review(
                now_s=now_s, is_wanted=lambda report: is_wanted(self._stored, report)
            )
            self.host_room.keep_only({each.host_id for each in self.observed.hosts()})
            self.router_room.keep_only({each.report.router_id for each in self.routers()})
            log_review(review, silent_after_s=self._options.silent_after_s)
            if review.silent or review.forgotten:
                self._publish()
            if review.forgotten:
                await self._forget_kept(review.forgotten)

    async def _forget_kept(self, hosts: tuple[str, ...]) -> None:
        try:
            async with self._saving:
                forget = forget_reports if self._instances is None else forget_shared_reports
                await self.run(lambda: forget(self._engine, hosts))
        except UnavailableError:
            # They are gone from the published state; a later start will find them and wait.
            _log.exception("host_reports_not_forgotten")
