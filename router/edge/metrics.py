"""The counters as Prometheus metrics. They are read on a scrape, without any work per request."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from router.books.counters import Histogram
from router.edge.explain import withheld_bp
from router.edge.log_books import LogBooks
from router.pipeline import Pipeline
from router.revision.live_model import LiveModel
from understudy.control.belief import Belief
from understudy.control.belief_metrics import belief_metrics
from understudy.domain.snapshots import News


class RouterCollector(Collector):
    """Reads state of the event loop's thread, which `serve_metrics` makes possible."""

    def __init__(
        self,
        pipeline: Pipeline,
        store_counters: Callable[[], Mapping[str, int]],
        store_troubles: Callable[[], Sequence[str]],
        belief: Belief,
        logs: LogBooks | None = None,
    ) -> None:
        self._logs = logs
        self._store_counters = store_counters
        self._store_troubles = store_troubles
        self._features = pipeline.features
        self._counters = pipeline.counters
        self._gate = pipeline.gate
        self._models = pipeline.models
        self._belief = belief

    def collect(self) -> Iterator[Metric]:
        yield from self._answers()
        yield self._histogram(
            "latency_seconds", "From admission to answer", self._counters.latency_s
        )
        yield self._histogram("queue_seconds", "From admission to batch", self._counters.queue_s)
        yield self._histogram("batch_rows", "Rows in a batch", self._counters.batch_rows)
        yield GaugeMetricFamily(
            "understudy_router_outstanding_rows", "Rows in the router", self._gate.outstanding_rows
        )
        yield GaugeMetricFamily(
            "understudy_router_admission_limit_rows", "Adaptive limit", self._gate.limit.rows
        )
        yield CounterMetricFamily(
            "understudy_router_wrong_digest_records",
            "Records written under another definition of their view; treated as missing",
            self._counters.wrong_digest_records,
        )
        yield self._store()
        yield GaugeMetricFamily(
            "understudy_router_feature_store_troubles",
            "Faults of the feature store at present; the status names them",
            len(self._store_troubles()),
        )
        yield GaugeMetricFamily(
            "understudy_router_feature_breaker_open",
            "1 while the feature store is not asked, because it failed too often",
            int(self._features.is_open),
        )
        yield from self._troubles()
        yield from belief_metrics("understudy_router", self._belief)
        yield from self._live()
        yield from self._reported()
        yield from self._mirrors()
        if self._logs is not None:
            yield from self._logs.metrics()

    def _answers(self) -> Iterator[Metric]:
        rows = CounterMetricFamily(
            "understudy_router_rows", "Rows answered", labels=("model", "version", "arm", "level")
        )
        for key, count in self._counters.rows.items():
            rows.add_metric((key.model, str(key.version), key.arm, f"L{key.level}"), count)
        yield rows
        failures = CounterMetricFamily(
            "understudy_router_failed_rows", "Rows without an answer", labels=("model", "kind")
        )
        for (model, kind), count in self._counters.failures.items():
            failures.add_metric((model, kind.value), count)
        yield failures
        refused = CounterMetricFamily(
            "understudy_router_refused_calls", "Calls ended with an error", labels=("kind",)
        )
        for kind, count in self._counters.refused.items():
            refused.add_metric((kind.value,), count)
        yield refused
        yield CounterMetricFamily(
            "understudy_router_late_rows",
            "Rows scored after their caller was answered or had disconnected",
            self._counters.late_rows,
        )
        yield CounterMetricFamily(
            "understudy_router_hedged_rows",
            "Rows sent to a second scorer, because the first took long",
            self._counters.hedged_rows,
        )

    def _troubles(self) -> Iterator[Metric]:
        degraded = CounterMetricFamily(
            "understudy_router_degraded_rows",
            "Rows not answered at L0, by reason",
            labels=("model", "reason"),
        )
        for (model, reason), count in self._counters.degraded.items():
            degraded.add_metric((model, reason), count)
        yield degraded
        breakers = GaugeMetricFamily(
            "understudy_router_scorer_breaker_open",
            "1 while the scorer's breaker is open",
            labels=("model", "version", "address"),
        )
        hops = GaugeMetricFamily(
            "understudy_router_scorer_hop",
            "1 for the way of batches to the scorer: grpc or frames",
            labels=("model", "version", "address", "hop"),
        )
        for live in self._models:
            for (number, address), scorer in live.scorers().items():
                where = (live.deployment.model, str(number), address)
                breakers.add_metric(where, int(not scorer.is_closed))
                hops.add_metric((*where, scorer.scorer.hop.value), 1)
        yield breakers
        yield hops

    def _store(self) -> Metric:
        events = CounterMetricFamily(
            "understudy_router_store_events",
            "Events in the feature store's client",
            labels=("event",),
        )
        for name, count in self._store_counters().items():
            events.add_metric((name,), count)
        return events

    def _live(self) -> Iterator[Metric]:
        revision = GaugeMetricFamily(
            "understudy_router_revision", "Live deployment revision", labels=("model",)
        )
        withheld = GaugeMetricFamily(
            "understudy_router_withheld_parts",
            "Declared parts not in effect the status says why",
            labels=("model",),
        )
        share = GaugeMetricFamily(
            "understudy_router_withheld_bp",
            "Basis points of declared challengers that stay with the champion",
            labels=("model",),
        )
        acting = GaugeMetricFamily(
            "understudy_router_acting_champion",
            "1 for the version that acts as champion; because: why the declared one does not",
            labels=("model", "declared", "acting", "because"),
        )
        unservable = GaugeMetricFamily(
            "understudy_router_unservable_versions",
            "1 for a version of the revision whose inputs cannot be assembled",
            labels=("model", "version"),
        )
        for model in self._models:
            for each in model.effective.unservable:
                unservable.add_metric((model.deployment.model, str(each.version)), 1)
            acting.add_metric(_acting(model), 1)
            name = (model.deployment.model,)
            revision.add_metric(name, model.deployment.revision)
            withheld.add_metric(name, len(model.effective.withheld))
            share.add_metric(name, withheld_bp(model))
        yield revision
        yield withheld
        yield share
        yield acting
        yield unservable

    def _reported(self) -> Iterator[Metric]:
        """Yield the reports of scorer hosts, as this router received them."""
        scorers = GaugeMetricFamily(
            "understudy_router_reported_scorers",
            "Scorer processes by the state that their host reported last",
            labels=("model", "version", "state"),
        )
        hosts = GaugeMetricFamily(
            "understudy_router_scorer_hosts",
            "Scorer hosts by their news: reporting, silent, unheard",
            labels=("news",),
        )
        snapshot = self._models.snapshot
        if snapshot is not None:
            states = Counter((each.ref, each.state) for each in snapshot.scorers)
            for (ref, state), count in sorted(states.items()):
                scorers.add_metric((ref.model, str(ref.number), state.value), count)
            by_news = Counter(host.news for host in snapshot.hosts)
            for news in News:
                hosts.add_metric((news.value,), by_news[news])
        unproven = GaugeMetricFamily(
            "understudy_router_unproven_scorers",
            "Scorers said to be ready that have not answered this router yet",
            labels=("model", "version"),
        )
        foreign = GaugeMetricFamily(
            "understudy_router_other_artifact_scorers",
            "Scorers that loaded another artifact than the registered one; they get no calls",
            labels=("model", "version"),
        )
        found = list(self._models.unproven())
        for family, those in (
            (unproven, found),
            (foreign, [each for each in found if each.has_other_artifact]),
        ):
            by_ref = Counter(each.scorer.ref for each in those)
            for ref, count in sorted(by_ref.items()):
                family.add_metric((ref.model, str(ref.number)), count)
        yield scorers
        yield hosts
        yield unproven
        yield foreign

    def _mirrors(self) -> Iterator[Metric]:
        rows = CounterMetricFamily(
            "understudy_router_mirror_rows",
            "Rows offered to a shadow, by outcome",
            labels=("model", "shadow", "fate"),
        )
        for (model, version), mirror in self._models.mirrors.items():
            ledger = mirror.ledger
            for fate in ledger.__dataclass_fields__:
                rows.add_metric((model, str(version), fate), getattr(ledger, fate))
        yield rows
        breakers = GaugeMetricFamily(
            "understudy_router_mirror_feature_breaker_open",
            "1 while the breaker for the shadow's own features is open",
            labels=("model", "shadow"),
        )
        for (model, version), mirror in self._models.mirrors.items():
            breakers.add_metric((model, str(version)), int(mirror.is_feature_breaker_open))
        yield breakers

    def _histogram(self, name: str, text: str, histogram: Histogram) -> Metric:
        counts, total = histogram.counted()
        cumulative = counts.cumsum().tolist()
        bounds = [*(str(bound) for bound in histogram.bounds.tolist()), "+Inf"]
        return HistogramMetricFamily(
            f"understudy_router_{name}",
            text,
            buckets=list(zip(bounds, cumulative, strict=True)),
            sum_value=total,
        )


def _acting(model: LiveModel) -> tuple[str, str, str, str]:
    version, because = model.effective.champion, model.effective.champion_withheld
    return (
        model.deployment.model,
        str(model.deployment.champion),
        "none" if version is None else str(version),
        "" if because is None else because.value,
    )
