"""The last report of each scorer host and router. An overdue report stays, and is named silent.

Unheard-of is not gone: a host may be suspended, or this registry too busy to read its report, while
all its scorers answer. Silent hosts are forgotten only if none of their scorers is wanted.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Generic, TypeVar

from understudy.domain.belief import Refusal, WatcherBelief
from understudy.domain.instants import unix_ns
from understudy.domain.reports import Report, RouterReport, ScorersReport
from understudy.domain.snapshots import News, ScorerHost, ScorerProcess

_ROUTERS_SHOWN_TIMES = 20  # multiple of the time to silence: a restarted router has another name
ReportT_co = TypeVar("ReportT_co", covariant=True)


@dataclass(frozen=True, slots=True)
class Heard(Generic[ReportT_co]):
    """The last report of a host or a router."""

    report: ReportT_co
    at: datetime  # UTC
    heard_s: float  # the same, monotonic
    news: News = News.REPORTING


@dataclass(frozen=True, slots=True)
class Review:
    """The changes that the passing of time has made."""

    silent: tuple[str, ...] = ()  # hosts whose report has become overdue
    forgotten: tuple[str, ...] = ()  # silent hosts whose scorers are not wanted


class Observed:
    """The last report of each host and router. Time comes from the caller, monotonic seconds."""

    def __init__(self, *, silent_after_s: float) -> None:
        self._silent_after_s = silent_after_s
        self._hosts: dict[str, Heard[ScorersReport]] = {}
        self._routers: dict[str, Heard[RouterReport]] = {}
        self._not_repeated: set[str] = set()  # hosts known only by the report of an earlier process

    def restore(self, reports: Iterable[ScorersReport], *, at: datetime, now_s: float) -> None:
        """Take the reports that an earlier process kept, as if they had just arrived."""
        self._hosts = {report.host_id: Heard(report, at, now_s) for report in reports}
        self._not_repeated = set(self._hosts)

    def report_scorers(self, report: ScorersReport, *, at: datetime, now_s: float) -> bool:
        """Replace a host's report; return whether it says something new."""
        before = self._hosts.get(report.host_id)
        self._hosts[report.host_id] = Heard(report, at, now_s)
        self._not_repeated.discard(report.host_id)
        return before is None or before.report != report or before.news is News.SILENT

    def forget_not_repeated(self) -> tuple[str, ...]:
        """Forget the hosts that only an earlier process heard; return them."""
        forgotten = tuple(sorted(self._not_repeated & self._hosts.keys()))
        self._hosts = {name: h for name, h in self._hosts.items() if name not in forgotten}
        self._not_repeated = set()
        return forgotten

    def report_router(self, report: RouterReport, *, at: datetime, now_s: float) -> None:
        self._routers[report.router_id] = Heard(report, at, now_s)

    def heard(self) -> list[Heard[Report]]:
        """Return the last report of each host and router."""
        return [*self._hosts.values(), *self._routers.values()]

    def last_of(self, report: Report) -> Heard[Report] | None:
        """Return the last report of the sender of `report`; None if there is none."""
        if isinstance(report, ScorersReport):
            return self._hosts.get(report.host_id)
        return self._routers.get(report.router_id)

    def put(self, heard: Heard[Report]) -> None:
        """Take a report that another registry has heard, in place of the last one."""
        report = heard.report
        if isinstance(report, ScorersReport):
            self._hosts[report.host_id] = Heard(report, heard.at, heard.heard_s)
        else:
            self._routers[report.router_id] = Heard(report, heard.at, heard.heard_s)

    def review(self, *, now_s: float, is_wanted: Callable[[ScorersReport], bool]) -> Review:
        """Name overdue reports silent, and forget those that matter to nothing.

        Args:
            now_s: monotonic.
            is_wanted: whether a report names a ready scorer that a deployment needs.
        """
        before = self._hosts
        hosts = {name: self._reviewed(heard, now_s) for name, heard in before.items()}
        silent = {name for name, heard in hosts.items() if heard.news is News.SILENT}
        forgotten = {name for name in silent if not is_wanted(hosts[name].report)}
        self._hosts = {name: heard for name, heard in hosts.items() if name not in forgotten}
        shown_for_s = _ROUTERS_SHOWN_TIMES * self._silent_after_s
        self._routers = {
            name: self._reviewed(heard, now_s)
            for name, heard in self._routers.items()
            if now_s - heard.heard_s < shown_for_s
        }
        newly = {name for name in silent - forgotten if before[name].news is not News.SILENT}
        return Review(tuple(sorted(newly)), tuple(sorted(forgotten)))

    def prolong(self, seconds: float) -> None:
        """Do not count a time in which no report could arrive."""
        self._hosts = {
            name: replace(heard, heard_s=heard.heard_s + seconds)
            for name, heard in self._hosts.items()
        }
        self._routers = {
            name: replace(heard, heard_s=heard.heard_s + seconds)
            for name, heard in self._routers.items()
        }

    def host(self, host_id: str) -> Heard[ScorersReport] | None:
        """Return the last report of a host, or None if there is none."""
        return self._hosts.get(host_id)

    def hosts(self) -> tuple[ScorerHost, ...]:
        """Return all hosts, in order of their names."""
        return tuple(
            ScorerHost(
                name,
                heard.news,
                unix_ns(heard.at) if heard.news is News.SILENT else None,
                heard.report.placement,
            )
            for name, heard in sorted(self._hosts.items())
        )

    def scorers(self) -> list[ScorerProcess]:
        """Return all scorer processes, in order of their hosts' names.

        An address belongs to the host that reported it last: a silent host may be gone, and its
        address in use by another.
        """
        latest: dict[str, str] = {}  # host by address
        for name, heard in sorted(self._hosts.items(), key=lambda item: item[1].heard_s):
            latest |= {process.address: name for process in heard.report.processes}
        return [
            process
            for name, heard in sorted(self._hosts.items())
            for process in heard.report.processes
            if latest[process.address] == name
        ]

    def refusal_of(self, name: str) -> Refusal | None:
        """Return the refusal that a host or router reports; None if there is none."""
        heard = self._hosts.get(name) or self._routers.get(name)
        belief = None if heard is None else heard.report.belief
        return None if belief is None else belief.refusal

    def beliefs(self) -> dict[str, WatcherBelief]:
        """Return the belief of each host that reports one, in order of their names."""
        found = {name: heard.report.belief for name, heard in sorted(self._hosts.items())}
        return {name: belief for name, belief in found.items() if belief is not None}

    def routers(self) -> list[Heard[RouterReport]]:
        """Return the last report of each router, in order of their names."""
        return [heard for _, heard in sorted(self._routers.items())]

    def _reviewed(self, heard: Heard[ReportT_co], now_s: float) -> Heard[ReportT_co]:
        is_overdue = now_s - heard.heard_s >= self._silent_after_s
        return replace(heard, news=News.SILENT) if is_overdue else heard
