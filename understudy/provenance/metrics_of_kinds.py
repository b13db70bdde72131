"""Metrics of models that are no binary classifiers, in the form of `evaluation.metrics`.

Each metric is a mean over rows, or over queries of a ranking, so that one bootstrap serves them all.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from understudy.domain.probabilities import LEAST_PROBABILITY
from understudy.provenance.metrics import LEVEL, RESAMPLES, Floats, mean_interval


def regression_metrics(
    targets: NDArray[Any],
    predictions: NDArray[Any],
    *,
    dataset: str,
    seed: int,
    slice_name: str = "all",
) -> list[dict[str, Any]]:
    """Return mean absolute and mean squared error.

    Args:
        targets: shape (n,), finite.
        predictions: shape (n,), finite.
        dataset: content of the evaluation data, see `content_of`.
        seed: seed of the bootstrap.
        slice_name: the part of the data that the rows come from.

    Raises:
        ValueError: the shapes differ, or a value is not finite.
    """
    truth, found = (_finite(each) for each in (targets, predictions))
    if truth.ndim != 1 or truth.shape != found.shape:
        raise ValueError(
            f"expected two 1-D arrays of equal length, got {truth.shape}, {found.shape}"
        )
    errors = truth - found
    means = {"mean_absolute_error": np.abs(errors), "mean_squared_error": errors**2}
    return _metrics(means, dataset=dataset, seed=seed, slice_name=slice_name)


def multiclass_metrics(
    labels: NDArray[Any],
    probabilities: NDArray[Any],
    *,
    dataset: str,
    seed: int,
    slice_name: str = "all",
) -> list[dict[str, Any]]:
    """Return accuracy and log loss.

    Args:
        labels: shape (n,), the column of the true class, 0 to k - 1.
        probabilities: shape (n, k), finite.
        dataset: content of the evaluation data, see `content_of`.
        seed: seed of the bootstrap.
        slice_name: the part of the data that the rows come from.

    Raises:
        ValueError: the shapes do not fit, a label is no column, or a probability is not finite.
    """
    scores = _finite(probabilities)
    truth = np.asarray(labels)
    if scores.ndim != 2 or truth.shape != scores.shape[:1]:  # noqa: PLR2004 - rows and classes
        raise ValueError(
            f"expected shapes (n,) and (n, classes), got {truth.shape}, {scores.shape}"
        )
    columns = truth.astype(np.int64)
    if (columns != truth).any() or not np.isin(columns, np.arange(scores.shape[1])).all():
        raise ValueError(f"labels must be columns, 0 to {scores.shape[1] - 1}")
    given = np.take_along_axis(scores, columns[:, None], axis=1)[:, 0]
    means = {
        "accuracy": (scores.argmax(axis=1) == columns).astype(np.float64),
        "log_loss": -np.log(np.clip(given, LEAST_PROBABILITY, 1.0)),
    }
    return _metrics(means, dataset=dataset, seed=seed, slice_name=slice_name)


def ranking_metrics(
    relevance: NDArray[Any],
    scores: NDArray[Any],
    queries: NDArray[Any],
    *,
    at: int,
    dataset: str,
    seed: int,
    slice_name: str = "all",
) -> list[dict[str, Any]]:
    """Return NDCG and reciprocal rank at `at`, means over queries with a relevant row.

    Args:
        relevance: shape (n,), 0 or above.
        scores: shape (n,), finite; a higher score ranks first.
        queries: shape (n,), the query of each row.
        at: number of ranks that count, 1 or more.
        dataset: content of the evaluation data, see `content_of`.
        seed: seed of the bootstrap.
        slice_name: the part of the data that the rows come from.

    Raises:
        ValueError: the shapes differ, a value is not allowed, or no query has a relevant row.
    """
    gains, found = (_finite(each) for each in (relevance, scores))
    of_query = np.unique(np.asarray(queries), return_inverse=True)[1].reshape(-1)
    if gains.ndim != 1 or not gains.shape == found.shape == of_query.shape:
        raise ValueError(f"expected 1-D arrays, got {gains.shape}, {found.shape}, {of_query.shape}")
    if at < 1 or (gains < 0).any():
        raise ValueError("at must be 1 or more, and relevance 0 or above")
    ndcg, reciprocal = [], []
    order = np.argsort(of_query, kind="stable")
    starts = np.flatnonzero(np.diff(of_query[order])) + 1
    for rows in np.split(order, starts):
        if gains[rows].any():
            ranked = gains[rows][np.argsort(-found[rows], kind="stable")][:at]
            ideal = np.sort(gains[rows])[::-1][:at]
            ndcg.append(_discounted(ranked) / _discounted(ideal))
            hits = np.flatnonzero(ranked > 0)
            reciprocal.append(1 / (hits[0] + 1) if hits.size else 0.0)
    if not ndcg:
        raise ValueError("no query has a relevant row")
    means = {f"ndcg@{at}": np.array(ndcg), f"reciprocal_rank@{at}": np.array(reciprocal)}
    return _metrics(means, dataset=dataset, seed=seed, slice_name=slice_name)


def _metrics(
    values: Mapping[str, Floats], *, dataset: str, seed: int, slice_name: str
) -> list[dict[str, Any]]:
    metrics: list[dict[str, Any]] = []
    for name, each in values.items():
        value, low, high = mean_interval(each, level=LEVEL, seed=seed)
        method = f"bootstrap, {RESAMPLES} resamples, seed {seed}"
        interval = {"low": low, "high": high, "level": LEVEL, "method": method}
        common = {"n": int(each.size), "dataset": dataset, "slice": slice_name}
        metrics.append({"name": name, "value": value, "interval": interval, **common})
    return metrics


def _discounted(gains: Floats) -> float:
    return float((gains / np.log2(np.arange(2, gains.size + 2))).sum())


def _finite(values: NDArray[Any]) -> Floats:
    found = np.asarray(values, dtype=np.float64)
    if not found.size or not np.isfinite(found).all():
        raise ValueError("expected values, all of them finite")
    return found
