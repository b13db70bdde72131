"""Reports of scorer hosts and routers: kept in memory, dropped unless repeated."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Generic, TypeVar

from understudy.domain.reports import RouterReport, ScorersReport
from understudy.domain.snapshots import ScorerProcess

_MOST_REPORTERS = 10_000
ReportT = TypeVar("ReportT")


@dataclass(frozen=True, slots=True)
class SeenRouter:
    """The last report of a router, and its time."""

    report: RouterReport
    reported_at: datetime


@dataclass(frozen=True, slots=True)
class _Expiring(Generic[ReportT]):
    report: ReportT
    expires_at_s: float  # monotonic


class Observed:
    """The last report of each host and router. Time comes from the caller, monotonic seconds."""

    def __init__(self, *, ttl_s: float) -> None:
        self._ttl_s = ttl_s
        self._hosts: dict[str, _Expiring[ScorersReport]] = {}
        self._routers: dict[str, _Expiring[SeenRouter]] = {}

    def restore(self, reports: Iterable[ScorersReport], *, now_s: float) -> None:
        """Take the reports that an earlier process kept; they have one term to be repeated."""
        for report in reports:
            self._hosts[report.host_id] = _Expiring(report, now_s + self._ttl_s)

    def report_scorers(self, report: ScorersReport, *, now_s: float) -> bool:
        """Replace a host's report; return whether it says something new."""
        before = self._hosts.get(report.host_id)
        self._hosts[report.host_id] = _Expiring(report, now_s + self._ttl_s)
        return before is None or before.report != report

    def report_router(self, report: RouterReport, *, at: datetime, now_s: float) -> None:
        self._routers[report.router_id] = _Expiring(SeenRouter(report, at), now_s + self._ttl_s)

    def expire(self, *, now_s: float) -> tuple[str, ...]:
        """Drop reports that were not repeated; return their hosts."""
        self._routers = {n: r for n, r in self._routers.items() if r.expires_at_s > now_s}
        lost = tuple(n for n, kept in self._hosts.items() if kept.expires_at_s <= now_s)
        for host_id in lost:
            del self._hosts[host_id]
        return lost

    def prolong(self, seconds: float) -> None:
        """Extend the time of every report."""
        self._hosts = {
            name: replace(kept, expires_at_s=kept.expires_at_s + seconds)
            for name, kept in self._hosts.items()
        }
        self._routers = {
            name: replace(kept, expires_at_s=kept.expires_at_s + seconds)
            for name, kept in self._routers.items()
        }

    def has_room_for(self, name: str) -> bool:
        """Return whether a host or router of that name may report: a known one always may."""
        known = name in self._hosts or name in self._routers
        return known or len(self._hosts) + len(self._routers) < _MOST_REPORTERS

    def scorers(self) -> list[ScorerProcess]:
        """Return all scorer processes, in order of their hosts' names."""
        return [
            process for _, kept in sorted(self._hosts.items()) for process in kept.report.processes
        ]

    def routers(self) -> list[SeenRouter]:
        """Return the last report of each router, in order of their names."""
        return [kept.report for _, kept in sorted(self._routers.items())]
