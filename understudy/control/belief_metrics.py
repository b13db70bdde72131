"""The belief of a watcher as Prometheus metrics: the same ones for routers and scorer hosts."""

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from understudy.control.belief import Belief
from understudy.domain.belief import RefusalReason


def belief_metrics(prefix: str, belief: Belief) -> Iterator[Metric]:
    """Yield the metrics of `belief` at present, with names that begin with `prefix` and `_`."""
    refused = GaugeMetricFamily(
        f"{prefix}_registry_refused",
        "1 while the latest state of the registry is refused and an earlier one is in effect",
        labels=("reason",),
    )
    refusal = belief.refusal
    for reason in RefusalReason:
        refused.add_metric((reason.value,), int(refusal is not None and refusal.reason is reason))
    yield refused
    yield CounterMetricFamily(
        f"{prefix}_refused_snapshots",
        "States of the registry that were received and refused",
        belief.refused_states,
    )
    yield GaugeMetricFamily(
        f"{prefix}_remembered_state_refused",
        "1 if the file of the remembered state was damaged at the start of this process",
        int(belief.file_refused),
    )
