"""Prometheus metrics of the scorer host itself; its scorers have their own."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import asynccontextmanager

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from scorer.settings import HostSettings
from understudy.control.belief import Belief
from understudy.control.belief_metrics import belief_metrics
from understudy.domain.snapshots import ScorerProcess
from understudy.runtime.metrics_endpoint import serve_metrics


class HostCollector(Collector):
    """Reads the host's belief and its scorers on each scrape."""

    def __init__(self, belief: Belief) -> None:
        self._belief = belief
        self.processes: Callable[[], Iterable[ScorerProcess]] = tuple  # none before the fleet opens

    def collect(self) -> Iterator[Metric]:
        yield from belief_metrics("understudy_scorer_host", self._belief)
        foreign = GaugeMetricFamily(
            "understudy_scorer_host_other_artifact_scorers",
            "scorers that loaded another artifact than the registered one",
            labels=("model", "version"),
        )
        found = Counter(each.ref for each in self.processes() if each.has_other_artifact)
        for ref, count in found.items():
            foreign.add_metric((ref.model, str(ref.number)), count)
        yield foreign


@asynccontextmanager
async def metrics_served(settings: HostSettings, collector: HostCollector) -> AsyncIterator[None]:
    """Serve the metrics of the host while the block runs, if it has a port for them.

    Raises:
        UnavailableError: the address cannot be bound, e.g. the port is in use.
    """
    if settings.metrics_port is None:
        yield
        return
    close = serve_metrics(settings.metrics_ip, settings.metrics_port, collector)
    try:
        yield
    finally:
        await asyncio.to_thread(close)  # a scrape in progress waits for this loop
