"""Areas under the ROC curve, against the definition written out, and by simulation."""

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from understudy.statistics.ranking import (
    area_interval,
    auc_and_variance,
    can_compare_auc,
    compare_auc,
)

Scores = NDArray[np.float64]


def labelled(seed: int, rows: int = 40) -> tuple[NDArray[np.bool_], Scores, Scores]:
    """Draw labels and two correlated scores, rounded so that some tie."""
    random = np.random.default_rng(seed)
    labels = random.random(rows) < 0.4
    labels[:4] = (True, True, False, False)
    shared = random.normal(0, 1, rows)
    champion = labels + shared + random.normal(0, 0.5, rows)
    shadow = 0.8 * labels + shared + random.normal(0, 0.8, rows)
    return labels, np.round(champion, 1), np.round(shadow, 1)


def delong_covariance(
    labels: NDArray[np.bool_], scores: list[Scores]
) -> tuple[list[float], NDArray[np.float64]]:
    """Return areas and covariance by DeLong's equations 2 to 6, pair by pair."""
    positives, negatives = np.flatnonzero(labels), np.flatnonzero(~labels)

    def kernel(above: float, below: float) -> float:
        return 1.0 if above > below else 0.5 if above == below else 0.0

    tables = [
        np.array([[kernel(s[i], s[j]) for j in negatives] for i in positives]) for s in scores
    ]
    areas = [float(table.mean()) for table in tables]
    ten = np.array([table.mean(axis=1) for table in tables])
    one = np.array([table.mean(axis=0) for table in tables])
    return areas, np.cov(ten) / len(positives) + np.cov(one) / len(negatives)


@pytest.mark.parametrize("seed", range(8))
def test_areas_equal_those_of_scikit_learn(seed: int) -> None:
    labels, champion, shadow = labelled(seed)

    found = compare_auc(labels, champion, shadow, clusters=np.arange(40))

    one, two = roc_auc_score(labels, champion), roc_auc_score(labels, shadow)
    assert found.areas == pytest.approx((one, two), abs=1e-12)
    assert found.difference.estimate == pytest.approx(two - one, abs=1e-12)
    assert (found.positives, found.negatives) == (labels.sum(), (~labels).sum())


def test_the_variance_is_that_of_leaving_out_one_unit_at_a_time() -> None:
    random = np.random.default_rng(5)
    labels, champion, shadow = labelled(5, 120)
    units = random.integers(0, 30, 120)
    moves = []
    for unit in np.unique(units):
        kept = units != unit
        areas = [roc_auc_score(labels[kept], scores[kept]) for scores in (champion, shadow)]
        moves.append(areas[1] - areas[0])
    found = compare_auc(labels, champion, shadow, clusters=units)

    count = len(moves)
    expected = (count - 1) / count * np.sum((np.array(moves) - found.estimate.value) ** 2)
    assert found.estimate.variance == pytest.approx(expected, rel=1e-9)


def test_with_one_row_per_unit_the_variance_is_delongs_in_large_samples() -> None:
    labels, champion, shadow = labelled(3, 400)
    _, covariance = delong_covariance(labels, [champion, shadow])
    variance = float(covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1])

    found = compare_auc(labels, champion, shadow, clusters=np.arange(400))

    assert found.estimate.variance == pytest.approx(variance, rel=0.02)


@pytest.mark.parametrize("seed", range(4))
def test_the_area_of_a_single_score_has_delongs_variance(seed: int) -> None:
    labels, scores, _ = labelled(seed)
    (area, _), covariance = delong_covariance(labels, [scores, scores])

    assert auc_and_variance(labels, scores) == pytest.approx((area, covariance[0, 0]))


def test_a_class_of_one_row_adds_no_variance() -> None:
    labels = np.array([True, False, False, False])
    above = np.array([1.0, 1.0, 0.5])  # one negative ties with the only positive

    found = auc_and_variance(labels, np.array([2.0, 0.0, 1.0, 2.0]))

    assert found == pytest.approx((above.mean(), above.var(ddof=1) / 3))


def test_repeating_every_row_within_its_cluster_changes_no_interval() -> None:
    labels, champion, shadow = labelled(5)
    once = compare_auc(labels, champion, shadow, clusters=np.arange(40))

    thrice = compare_auc(
        labels.repeat(3), champion.repeat(3), shadow.repeat(3), clusters=np.arange(40).repeat(3)
    )

    for name in ("estimate", "lower", "upper"):
        assert getattr(thrice.difference, name) == pytest.approx(getattr(once.difference, name))
        assert getattr(thrice.champion, name) == pytest.approx(getattr(once.champion, name))


def covered_share(
    draws: int,
    draw: Callable[[], tuple[NDArray[np.bool_], Scores, Scores]],
    units: NDArray[np.int64],
) -> float:
    """Return how often the interval of the difference of equally good scores holds 0."""
    covered = 0
    for _ in range(draws):
        labels, champion, shadow = draw()
        found = compare_auc(labels, champion, shadow, clusters=units).difference
        assert found.lower is not None
        assert found.upper is not None
        covered += found.lower <= 0 <= found.upper
    return covered / draws


def test_the_interval_of_the_difference_covers_zero_at_its_confidence() -> None:
    random = np.random.default_rng(20261121)

    def draw() -> tuple[NDArray[np.bool_], Scores, Scores]:
        # 60 units of 4 rows and one truth; both scores see it equally well, with noise.
        labels = (random.random(60) < 0.4).repeat(4)
        veil = random.normal(0, 1, (2, 60)).repeat(4, axis=1)
        champion, shadow = labels + veil + random.normal(0, 0.5, (2, 240))
        return labels, champion, shadow

    assert 0.91 <= covered_share(150, draw, np.arange(60).repeat(4)) <= 0.99
    # The error of treating dependent rows as independent.
    assert covered_share(100, draw, np.arange(240)) < 0.85


@pytest.mark.parametrize("positives", [2, 5, 15])
def test_the_interval_of_the_difference_holds_for_few_positives(positives: int) -> None:
    random = np.random.default_rng(positives)
    labels = np.arange(300) < positives

    def draw() -> tuple[NDArray[np.bool_], Scores, Scores]:
        veil = random.normal(0, 0.7, 300)
        champion, shadow = labels + veil + random.normal(0, 0.7, (2, 300))
        return labels, champion, shadow

    assert covered_share(150, draw, np.arange(300)) >= 0.9


def test_a_perfect_ranking_of_few_rows_is_not_certain() -> None:
    labels = np.array([False, False, True, True])
    scores = np.array([0.1, 0.2, 0.8, 0.9])

    found = compare_auc(labels, scores, scores, clusters=np.arange(4))

    assert found.method == "recovery"
    assert found.champion.upper == 1.0
    assert found.champion.lower is not None
    assert found.champion.lower < 0.7
    assert found.difference.estimate == 0
    assert found.difference.upper == pytest.approx(1 - found.champion.lower)


def test_the_interval_of_an_area_is_the_published_one() -> None:
    # Newcombe 2006, part 2: all areas at most z of their own standard errors away.
    area, positives, negatives, z = 0.8, 25.0, 40.0, 1.959964

    found = area_interval(
        area, positives=positives, negatives=negatives, variance=0.0, confidence=0.95
    )

    for end in (found.lower, found.upper):
        shape = (1 - end) / (2 - end) + end / (1 + end)
        size = (positives + negatives) / 2 - 1
        error = (end * (1 - end) * (1 + size * shape) / (positives * negatives)) ** 0.5
        assert abs(end - area) == pytest.approx(z * error, rel=1e-5)


def test_too_few_rows_of_a_class_are_refused() -> None:
    labels = np.array([True, False, False, False])
    scores = np.arange(4.0)

    assert not can_compare_auc(labels, np.arange(4))
    with pytest.raises(ValueError, match="2 clusters in each class"):
        compare_auc(labels, scores, scores, clusters=np.arange(4))


def test_many_rows_of_one_unit_are_still_too_few() -> None:
    labels = np.array([True, True, True, False, False])

    assert not can_compare_auc(labels, np.array([1, 1, 1, 2, 3]))


def test_columns_of_different_lengths_are_refused() -> None:
    with pytest.raises(ValueError, match="equal shapes"):
        compare_auc(np.array([True]), np.zeros(2), np.zeros(2), clusters=np.arange(2))
