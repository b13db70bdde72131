"""Freshness as Prometheus metrics in a file, for the textfile collector of a node exporter."""

from collections.abc import Sequence
from pathlib import Path

from prometheus_client import CollectorRegistry, Gauge, write_to_textfile

from understudy.features.history.freshness import FeatureShares, ViewFreshness

_SHARES = ("stale", "defaulted", "last_known", "missing", "null", "unread", "unknown")


def write_metrics(
    path: Path, views: Sequence[ViewFreshness], features: Sequence[FeatureShares]
) -> None:
    """Write the metrics to `path`, replacing it atomically."""
    registry = CollectorRegistry()
    age = Gauge(
        "understudy_feature_view_newest_age_seconds",
        "Age of the newest record of a feature view.",
        ["view"],
        registry=registry,
    )
    for view in views:
        if view.newest_age_s is not None:
            age.labels(view.view).set(view.newest_age_s)
    share = Gauge(
        "understudy_feature_status_share",
        "Share of logged rows in which a feature had a status.",
        ["view", "feature", "status"],
        registry=registry,
    )
    for feature in features:
        for status in _SHARES:
            share.labels(feature.view, feature.name, status).set(getattr(feature, status))
    write_to_textfile(str(path), registry)
