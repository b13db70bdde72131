"""The other registries over the same database: their changes are followed, and reports exchanged."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol, TypeVar

import structlog
from sqlalchemy import Engine

from registry.server.observed import Heard, Observed
from registry.server.report_rooms import ReportRoom, ReportSize
from registry.server.report_sizes import size_of_scorers_report
from registry.store import shared
from registry.store.database import reading, writing
from registry.store.postgresql import PostgresqlPlace, changes_told
from registry.store.shared import HeardReport, name_of
from understudy.domain.errors import UnavailableError
from understudy.domain.reports import Report, ScorersReport
from understudy.domain.snapshots import News

_POLL_S = 5.0  # after which a change is found whose notification was lost
_PAUSE_S = 1.0  # before another try to listen
_ROUTERS_KEPT_S = 3_600.0

_log = structlog.get_logger()
_Key = tuple[type[Report], str]
ResultT = TypeVar("ResultT")


class Run(Protocol):
    """Runs blocking work in another thread."""

    def __call__(self, work: Callable[[], ResultT], /) -> Awaitable[ResultT]: ...


@dataclass(frozen=True, slots=True)
class Exchanged:
    """The facts that an exchange found."""

    changes: int  # committed, by all registries
    has_news: bool  # whether the report of a scorer host was news


@dataclass(slots=True, eq=False)
class Instances:
    """The database as several registries use it. For one event loop."""

    place: PostgresqlPlace
    engine: Engine
    observed: Observed
    rooms: tuple[ReportRoom, ReportRoom]  # of hosts, and of routers
    now_s: Callable[[], float]
    now: Callable[[], datetime]  # UTC
    _read_until: int = 0
    _begun: int = 0  # exchanges, counted
    _done: int = 0  # number of the last exchange that succeeded
    _changes: int = 0  # as the last exchange read it
    # When the report of each name was heard, of those that are exchanged.
    _exchanged: dict[_Key, datetime] = field(default_factory=dict)
    _exchanging: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def exchange(self, run: Run) -> Exchanged:
        """Exchange reports with the other registries, and read the number of changes.

        Callers that wait for the end of an exchange share the next one: thousands of watchers that
        move here at once cost two.

        Args:
            run: runs blocking work in another thread.

        Raises:
            UnavailableError: the database does not answer.
        """
        asked_at = self._begun
        async with self._exchanging:
            if self._done > asked_at:
                return Exchanged(self._changes, has_news=False)
            self._begun += 1
            number = self._begun
            heard = self.observed.heard()
            own = [each for each in heard if self._exchanged.get(_key(each)) != each.at]
            if own:
                await run(lambda: self._tell(own))
            found = await run(self._read)
            self._exchanged |= {_key(each): each.at for each in own}
            news = [each for each in found if self._take(each)]
            known = {_key(each) for each in self.observed.heard()}
            self._exchanged = {key: at for key, at in self._exchanged.items() if key in known}
            self._done = number
        has_news = any(isinstance(each.report, ScorersReport) for each in news)
        return Exchanged(self._changes, has_news)

    def _tell(self, own: Sequence[Heard[Report]]) -> None:
        now_s = self.now_s()
        told = [HeardReport(each.report, max(0.0, now_s - each.heard_s)) for each in own]
        # Scorers are in the state of watchers, and routers are not.
        is_state = any(isinstance(each.report, ScorersReport) for each in own)
        with writing(self.engine, changes_state=is_state) as connection:
            shared.save_reports(connection, told)
            shared.forget_older(connection, routers_s=_ROUTERS_KEPT_S)

    def _read(self) -> list[HeardReport]:
        with reading(self.engine) as connection:
            found, self._read_until = shared.reports_after(connection, self._read_until)
            self._changes = shared.changes_of(connection)
        return found

    def _take(self, found: HeardReport) -> bool:
        """Take a report if it is the latest of its sender; return whether it says something new."""
        report, at = found.report, self.now() - timedelta(seconds=found.age_s)
        heard = Heard(report, at, self.now_s() - found.age_s)
        before = self.observed.last_of(report)
        if before is not None and before.heard_s >= heard.heard_s:
            return False
        self.observed.put(heard)
        self._exchanged[_key(heard)] = at
        hosts, routers = self.rooms
        if isinstance(report, ScorersReport):
            hosts.restore(report.host_id, size_of_scorers_report(report))
        else:
            routers.restore(report.router_id, ReportSize(len(report.models), found.size_bytes))
        return before is None or before.report != report or before.news is not News.REPORTING

    async def follow(self, catch_up: Callable[[], Awaitable[None]]) -> None:
        """Call `catch_up` after each change by others, without end."""
        is_lost = False
        while True:
            try:
                async with changes_told(self.place) as bell:
                    if is_lost:
                        _log.info("registry_database_heard_again")
                    is_lost = False
                    while True:
                        await catch_up()
                        await bell.heard(timeout_s=_POLL_S)
            except UnavailableError as error:
                if not is_lost:
                    _log.error("registry_database_not_heard", why=str(error))
                is_lost = True
            await asyncio.sleep(_PAUSE_S)


def _key(heard: Heard[Report]) -> _Key:
    return type(heard.report), name_of(heard.report)
