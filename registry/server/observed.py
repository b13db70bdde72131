"""What scorer hosts and routers report: kept in memory, dropped when it is not repeated."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime

from google.protobuf.timestamp_pb2 import Timestamp

from understudy.registry.v1 import registry_pb2 as pb

_MOST_REPORTERS = 10_000


@dataclass(frozen=True, slots=True)
class _ScorersReport:
    message: pb.ReportScorersRequest
    expires_at_s: float  # monotonic


@dataclass(frozen=True, slots=True)
class _RouterReport:
    message: pb.ReportRouterRequest
    reported_at: datetime
    expires_at_s: float  # monotonic


class Observed:
    """The last report of each host and router. Time comes from the caller, monotonic seconds."""

    def __init__(self, *, ttl_s: float) -> None:
        self._ttl_s = ttl_s
        self._hosts: dict[str, _ScorersReport] = {}
        self._routers: dict[str, _RouterReport] = {}

    def restore(self, reports: Iterable[pb.ReportScorersRequest], *, now_s: float) -> None:
        """Take the reports that an earlier process kept; they have one term to be repeated."""
        for message in reports:
            self._hosts[message.host_id] = _ScorersReport(message, now_s + self._ttl_s)

    def report_scorers(self, message: pb.ReportScorersRequest, *, now_s: float) -> bool:
        """Replace a host's report; return whether it says something new."""
        before = self._hosts.get(message.host_id)
        self._hosts[message.host_id] = _ScorersReport(message, now_s + self._ttl_s)
        return before is None or before.message != message

    def report_router(self, message: pb.ReportRouterRequest, *, at: datetime, now_s: float) -> None:
        self._routers[message.router_id] = _RouterReport(message, at, now_s + self._ttl_s)

    def expire(self, *, now_s: float) -> tuple[str, ...]:
        """Drop what was not repeated; return the hosts that were dropped."""
        self._routers = {n: r for n, r in self._routers.items() if r.expires_at_s > now_s}
        lost = tuple(n for n, report in self._hosts.items() if report.expires_at_s <= now_s)
        for host_id in lost:
            del self._hosts[host_id]
        return lost

    def prolong(self, seconds: float) -> None:
        """Give every report that much longer to be repeated."""
        self._hosts = {
            name: replace(report, expires_at_s=report.expires_at_s + seconds)
            for name, report in self._hosts.items()
        }
        self._routers = {
            name: replace(report, expires_at_s=report.expires_at_s + seconds)
            for name, report in self._routers.items()
        }

    def has_room_for(self, name: str) -> bool:
        """Return whether a host or router of that name may report: a known one always may."""
        known = name in self._hosts or name in self._routers
        return known or len(self._hosts) + len(self._routers) < _MOST_REPORTERS

    def scorers(self, model: str = "") -> list[pb.ScorerProcess]:
        """Return all scorer processes, of one model when it is named."""
        return [
            process
            for _, report in sorted(self._hosts.items())
            for process in report.message.processes
            if model in {"", process.ref.model}
        ]

    def routers(self, model: str = "") -> list[pb.ObservedRouter]:
        """Return what each router said last, about one model when it is named."""
        found: list[pb.ObservedRouter] = []
        for router_id, report in sorted(self._routers.items()):
            at = Timestamp()
            at.FromDatetime(report.reported_at)
            states = [s for s in report.message.models if model in {"", s.model}]
            found.append(pb.ObservedRouter(router_id=router_id, reported_at=at, models=states))
        return found
