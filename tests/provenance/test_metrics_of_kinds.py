"""Metrics of regressors, classifiers of several classes, and rankers; memory of the bootstrap."""

import tracemalloc
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import log_loss, mean_absolute_error, mean_squared_error, ndcg_score

from understudy.provenance.metrics import RESAMPLES, classifier_metrics, mean_interval
from understudy.provenance.metrics_of_kinds import (
    multiclass_metrics,
    ranking_metrics,
    regression_metrics,
)

COMMON: dict[str, Any] = {"dataset": "snapshot:1", "seed": 3}
ROWS, ROWS_OF_QUERY = 10_000, 10
MEASURES: dict[str, Callable[[Any, Any], Any]] = {
    "binary": lambda y, p: classifier_metrics(y, p, threshold=0.5, **COMMON),
    "classes": lambda y, p: multiclass_metrics(y, np.column_stack([1 - p, p]), **COMMON),
    "regression": lambda y, p: regression_metrics(y, p, **COMMON),
    "ranking": lambda y, p: ranking_metrics(
        y, p, np.arange(ROWS) // ROWS_OF_QUERY, at=10, **COMMON
    ),
}


def by_name(metrics: list[dict[str, Any]]) -> dict[str, float]:
    for each in metrics:
        assert each["interval"]["low"] <= each["value"] <= each["interval"]["high"]
    return {each["name"]: each["value"] for each in metrics}


def test_errors_of_a_regressor_equal_those_of_scikit_learn() -> None:
    random = np.random.default_rng(1)
    y, found = random.normal(size=(2, 200))

    metrics = by_name(regression_metrics(y, found, **COMMON))

    assert metrics["mean_absolute_error"] == pytest.approx(mean_absolute_error(y, found))
    assert metrics["mean_squared_error"] == pytest.approx(mean_squared_error(y, found))


def test_metrics_of_several_classes_equal_those_of_scikit_learn() -> None:
    random = np.random.default_rng(2)
    y = random.integers(0, 4, 300)
    scores = random.dirichlet(np.ones(4), 300)

    metrics = by_name(multiclass_metrics(y, scores, **COMMON))

    assert metrics["accuracy"] == (scores.argmax(axis=1) == y).mean()
    assert metrics["log_loss"] == pytest.approx(log_loss(y, scores, labels=range(4)))


def test_the_gain_of_a_ranking_equals_that_of_scikit_learn() -> None:
    random = np.random.default_rng(3)
    relevance, scores = random.integers(0, 4, (20, 12)), random.normal(size=(20, 12))
    queries = np.repeat(np.arange(20), 12)
    order = random.permutation(240)

    metrics = ranking_metrics(
        relevance.ravel()[order], scores.ravel()[order], queries[order], at=5, **COMMON
    )

    assert by_name(metrics)["ndcg@5"] == pytest.approx(ndcg_score(relevance, scores, k=5))
    assert {each["n"] for each in metrics} == {20}


def test_the_reciprocal_rank_is_that_of_the_first_relevant_row() -> None:
    relevance = np.array([0, 1, 1, 0, 0, 1, 0, 0])
    queries = np.array(["a"] * 3 + ["b"] * 3 + ["c"] * 2)
    scores = np.array([9, 8, 7, 3, 2, 1, 1, 0])

    metrics = by_name(ranking_metrics(relevance, scores, queries, at=2, **COMMON))

    assert metrics["reciprocal_rank@2"] == (1 / 2 + 0) / 2, "a query without relevant rows is none"


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: regression_metrics(np.zeros(3), np.zeros(2), **COMMON),
        lambda: regression_metrics(np.array([np.nan]), np.zeros(1), **COMMON),
        lambda: multiclass_metrics(np.array([0, 3]), np.full((2, 3), 1 / 3), **COMMON),
        lambda: multiclass_metrics(np.array([0.5]), np.full((1, 3), 1 / 3), **COMMON),
        lambda: ranking_metrics(np.zeros(2), np.zeros(2), np.zeros(2), at=1, **COMMON),
        lambda: ranking_metrics(np.ones(2), np.zeros(2), np.zeros(2), at=0, **COMMON),
    ],
)
def test_values_that_have_no_metric_are_refused(wrong: Any) -> None:
    with pytest.raises(ValueError, match=r"expected|must|no query"):
        wrong()


def test_resamples_in_parts_give_the_interval_of_all_at_once() -> None:
    values = np.random.default_rng(4).normal(size=4_000)

    found = mean_interval(values, level=0.95, seed=9)

    places = np.random.default_rng(9).integers(4_000, size=(RESAMPLES, 4_000))
    low, high = np.quantile(values[places].mean(axis=1), [0.025, 0.975])
    assert found == pytest.approx((values.mean(), low, high))


@pytest.mark.parametrize("kind", MEASURES)
def test_metrics_of_every_kind_take_less_memory_than_their_resamples(kind: str) -> None:
    y = np.arange(ROWS) % 2
    scores = np.random.default_rng(5).random(ROWS)
    tracemalloc.start()
    try:
        MEASURES[kind](y, scores)
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert peak_bytes < 32 << 20, f"all resamples of {ROWS} rows at once are 80 MB"
