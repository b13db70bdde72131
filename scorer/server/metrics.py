"""Prometheus metrics of a scorer process. Labels have bounded values."""

from collections.abc import Iterable

import grpc
import psutil
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info
from prometheus_client.core import GaugeMetricFamily, Metric

from understudy.domain.versions import VersionRef

_SECONDS = (
    0.000_05, 0.000_1, 0.000_2, 0.000_5, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 5,
)  # fmt: skip
_ROWS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 4096)


class ScorerMetrics:
    """Observes calls and batches."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._requests = Counter(
            "understudy_scorer_requests",
            "requests answered, by ModelInfer and on streams",
            registry=self.registry,
        )
        self._failures = Counter(
            "understudy_scorer_failures",
            "calls, and requests of streams, that ended with an error, by gRPC status",
            ["status"],
            registry=self.registry,
        )
        self._expired = Counter(
            "understudy_scorer_expired",
            "requests whose deadline or timeout passed before their run; never run",
            registry=self.registry,
        )
        self._rows = Counter("understudy_scorer_rows", "rows run", registry=self.registry)
        self._batch_rows = Histogram(
            "understudy_scorer_batch_rows", "rows of a run", buckets=_ROWS, registry=self.registry
        )
        self._run = Histogram(
            "understudy_scorer_run_seconds",
            "time of a run",
            buckets=_SECONDS,
            registry=self.registry,
        )
        self._queue = Histogram(
            "understudy_scorer_queue_seconds",
            "time from parsing to the run, per request",
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.ready = Gauge("understudy_scorer_ready", "1 while serving", registry=self.registry)
        self._model = Info("understudy_scorer_model", "the served version", registry=self.registry)
        self.registry.register(_Memory())

    def loaded(self, ref: VersionRef, artifact_digest: str) -> None:
        self._model.info(
            {"model": ref.model, "version": str(ref.number), "artifact_digest": artifact_digest}
        )

    def answered(self) -> None:
        self._requests.inc()

    def failed(self, status: grpc.StatusCode) -> None:
        self._failures.labels(status.name).inc()

    def ran(self, *, rows: int, run_s: float) -> None:
        self._rows.inc(rows)
        self._batch_rows.observe(rows)
        self._run.observe(run_s)

    def waited(self, *, queue_s: float) -> None:
        self._queue.observe(queue_s)

    def expired(self) -> None:
        self._expired.inc()


class _Memory:
    """Resident memory, read on each scrape."""

    def __init__(self) -> None:
        self._process = psutil.Process()

    def collect(self) -> Iterable[Metric]:
        yield GaugeMetricFamily(
            "understudy_scorer_resident_memory_bytes",
            "resident set size",
            value=self._process.memory_info().rss,
        )
