"""Prometheus metrics of the registry, read on each scrape from what it keeps in memory."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from registry.server.callers import Context
from registry.server.database_review import DatabaseReview
from registry.server.live_state import LiveState
from registry.server.unread import Unread
from registry.server.webhooks import Webhooks
from understudy.domain.errors import failure_kind_of
from understudy.domain.snapshots import News
from understudy.runtime.rpc_boundary import Failed

_NAMED = "understudy_registry"


@dataclass(slots=True, eq=False)
class FailedCalls:
    """Counts failed calls by name and kind, and tells another observer of them. For one event loop."""

    told: Failed
    counts: Counter[tuple[str, str]] = field(default_factory=Counter)

    def __call__(self, context: Context, call: str, error: Exception) -> None:
        self.counts[call, failure_kind_of(error).value] += 1
        self.told(context, call, error)


@dataclass(frozen=True, eq=False)
class RegistryCollector(Collector):
    """Reads the state of a registry. In its event loop: see `metrics_served`."""

    live: LiveState
    review: DatabaseReview
    unread: Unread
    failed: FailedCalls
    webhooks: Webhooks | None

    def collect(self) -> Iterator[Metric]:
        yield _gauge("sequence", "sequence of the published state", self.live.snapshot.sequence)
        yield _gauge("deployments", "deployments", len(self.live.deployments()))
        yield _gauge("watches", "open watches", self.live.watchers.count)
        yield _gauge(
            "unread_bytes",
            "bytes of answers that their callers have not read",
            self.unread.total_bytes,
        )
        yield _by_news("scorer_hosts", [each.news for each in self.live.observed.hosts()])
        yield _by_news("router_workers", [each.news for each in self.live.routers()])
        yield from self._reviewed()
        failed = CounterMetricFamily(
            f"{_NAMED}_failed_calls", "calls that failed", labels=("call", "kind")
        )
        for (call, kind), count in self.failed.counts.items():
            failed.add_metric((call, kind), count)
        yield failed
        if self.webhooks is not None:
            yield CounterMetricFamily(
                f"{_NAMED}_webhooks_delivered", "messages that were taken", self.webhooks.delivered
            )
            failures = "failed attempts to deliver webhooks in a row"
            yield _gauge("webhook_failures", failures, self.webhooks.failures)

    def _reviewed(self) -> Iterator[Metric]:
        """Yield the result of the latest comparison; nothing before the end of the first."""
        latest = self.review.latest
        if latest is not None:
            yield _gauge("audit_rows", "rows of the audit log", latest.audit_rows)
            yield _gauge(
                "database_faults", "faults that the latest comparison found", len(latest.faults)
            )
            at = "end of the latest comparison with the log, in seconds since 1970"
            yield _gauge("compared_timestamp_seconds", at, latest.at_ns / 1e9)


def _gauge(name: str, meaning: str, value: float) -> Metric:
    return GaugeMetricFamily(f"{_NAMED}_{name}", meaning, value)


def _by_news(name: str, found: list[News]) -> Metric:
    metric = GaugeMetricFamily(f"{_NAMED}_{name}", "by their latest report", labels=("news",))
    for news, count in (dict.fromkeys(News, 0) | Counter(found)).items():
        metric.add_metric((news.value,), count)
    return metric
