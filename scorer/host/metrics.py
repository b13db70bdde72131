"""Prometheus metrics of the scorer host itself; its scorers have their own."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from understudy.control.belief import Belief
from understudy.control.belief_metrics import belief_metrics
from understudy.domain.snapshots import ScorerProcess


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
