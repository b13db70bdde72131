"""Metrics with intervals, from labels and scores: DeLong for the AUC, bootstrap for the rest."""

from collections.abc import Callable
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

from understudy.statistics.ranking import auc_and_variance

LEVEL = 0.95
RESAMPLES = 1_000
_MOST_DRAWS = 1 << 20  # rows in the resamples held at a time; 8 MiB of places, 8 MiB of values

Floats = NDArray[np.float64]


def classifier_metrics(
    labels: NDArray[Any],
    scores: NDArray[Any],
    *,
    dataset: str,
    threshold: float,
    seed: int,
    slice_name: str = "all",
) -> list[dict[str, Any]]:
    """Return the metrics of a binary classifier, in the form of `evaluation.metrics`.

    Args:
        labels: shape (n,), 0 or 1, both present.
        scores: shape (n,), probability of 1.
        dataset: content of the evaluation data, see `content_of`.
        threshold: a score at or above it counts as 1.
        seed: seed of the bootstrap.
        slice_name: the part of the data that the rows come from.

    Raises:
        ValueError: the shapes differ, labels are not 0 and 1, or a score is not finite.
    """
    truth, probability = _checked(labels, scores)
    common = {"n": int(truth.size), "dataset": dataset, "slice": slice_name}
    auc, low, high = auc_interval(truth, probability, level=LEVEL)
    auc_range = {"low": low, "high": high, "level": LEVEL, "method": "DeLong"}
    metrics: list[dict[str, Any]] = [{"name": "auc", "value": auc, "interval": auc_range, **common}]
    measures: dict[str, Callable[[Floats, Floats], Floats]] = {
        "brier": lambda y, p: (p - y) ** 2,
        "accuracy": lambda y, p: ((p >= threshold) == (y == 1)).astype(np.float64),
    }
    for name, measure in measures.items():
        value, low, high = mean_interval(measure(truth, probability), level=LEVEL, seed=seed)
        method = f"bootstrap, {RESAMPLES} resamples, seed {seed}"
        interval = {"low": low, "high": high, "level": LEVEL, "method": method}
        metrics.append({"name": name, "value": value, "interval": interval, **common})
    return metrics


def auc_interval(
    labels: NDArray[Any], scores: NDArray[Any], *, level: float = LEVEL
) -> tuple[float, float, float]:
    """Return the area under the ROC curve and DeLong's interval, clipped to [0, 1].

    Raises:
        ValueError: see `classifier_metrics`.
    """
    truth, values = _checked(labels, scores)
    auc, variance = auc_and_variance(truth == 1, values)
    margin = NormalDist().inv_cdf((1 + level) / 2) * variance**0.5
    return auc, max(0.0, auc - margin), min(1.0, auc + margin)


def mean_interval(values: Floats, *, level: float, seed: int) -> tuple[float, float, float]:
    """Return the mean and its percentile bootstrap interval."""
    random = np.random.default_rng(seed)
    # A few resamples at a time: all of them would be 1.6 GB for 200,000 rows. Places are drawn four
    # times as fast as the numbers of times that each row occurs.
    at_once = max(1, _MOST_DRAWS // values.size)
    means = np.empty(RESAMPLES)
    for start in range(0, RESAMPLES, at_once):
        resamples = min(at_once, RESAMPLES - start)
        places = random.integers(values.size, size=(resamples, values.size))
        means[start : start + resamples] = values[places].mean(axis=1)
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    mean = float(values.mean())
    return mean, min(float(low), mean), max(float(high), mean)


def _checked(labels: NDArray[Any], scores: NDArray[Any]) -> tuple[Floats, Floats]:
    truth = np.asarray(labels, dtype=np.float64)
    values = np.asarray(scores, dtype=np.float64)
    if truth.ndim != 1 or truth.shape != values.shape:
        raise ValueError(
            f"expected two 1-D arrays of equal length, got {truth.shape} and {values.shape}"
        )
    if set(np.unique(truth)) != {0.0, 1.0}:
        raise ValueError("labels must be 0 and 1, both present")
    if not np.isfinite(values).all():
        raise ValueError("scores must be finite")
    return truth, values
