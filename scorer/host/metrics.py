"""Prometheus metrics of the scorer host itself; its scorers have their own."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from scorer.settings import HostSettings
from understudy.control.belief import Belief
from understudy.control.belief_metrics import belief_metrics
from understudy.runtime.metrics_endpoint import serve_metrics


class HostCollector(Collector):
    """Reads the host's belief on each scrape."""

    def __init__(self, belief: Belief) -> None:
        self._belief = belief

    def collect(self) -> Iterator[Metric]:
        yield from belief_metrics("understudy_scorer_host", self._belief)


@asynccontextmanager
async def metrics_served(settings: HostSettings, belief: Belief) -> AsyncIterator[None]:
    """Serve the metrics of the host while the block runs, if it has a port for them.

    Raises:
        UnavailableError: the address cannot be bound, e.g. the port is in use.
    """
    if settings.metrics_port is None:
        yield
        return
    close = serve_metrics(settings.metrics_ip, settings.metrics_port, HostCollector(belief))
    try:
        yield
    finally:
        await asyncio.to_thread(close)  # a scrape in progress waits for this loop
