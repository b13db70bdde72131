"""Areas under the ROC curve, against the definition written out, and by simulation."""

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats
from sklearn.metrics import roc_auc_score

from understudy.statistics.ranking import auc_and_variance, can_compare_auc, compare_auc

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
def test_with_one_row_per_cluster_areas_and_difference_equal_delongs(seed: int) -> None:
    labels, champion, shadow = labelled(seed)
    areas, covariance = delong_covariance(labels, [champion, shadow])
    error = float(covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1]) ** 0.5

    found = compare_auc(labels, champion, shadow, clusters=np.arange(40), confidence=0.9)

    assert found.champion.estimate == pytest.approx(areas[0])
    assert found.champion.estimate == pytest.approx(roc_auc_score(labels, champion))
    assert found.shadow.estimate == pytest.approx(areas[1])
    assert found.difference.estimate == pytest.approx(areas[1] - areas[0])
    margin = stats.norm.ppf(0.95) * error
    assert found.difference.upper - found.difference.estimate == pytest.approx(margin)
    assert found.p_value == pytest.approx(2 * stats.norm.sf(abs(areas[1] - areas[0]) / error))
    assert (found.positives, found.negatives) == (labels.sum(), (~labels).sum())


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


def test_the_interval_of_an_area_is_computed_on_the_logit_scale() -> None:
    labels, champion, shadow = labelled(2)
    (area, _), covariance = delong_covariance(labels, [champion, shadow])
    logit = np.log(area / (1 - area))
    margin = stats.norm.ppf(0.975) * float(covariance[0, 0]) ** 0.5 / (area * (1 - area))

    found = compare_auc(labels, champion, shadow, clusters=np.arange(40)).champion

    ends = 1 / (1 + np.exp(-(logit + margin * np.array([-1, 1]))))
    assert (found.lower, found.upper) == pytest.approx(tuple(ends))


def test_repeating_every_row_within_its_cluster_changes_no_interval() -> None:
    labels, champion, shadow = labelled(5)
    once = compare_auc(labels, champion, shadow, clusters=np.arange(40))

    thrice = compare_auc(
        labels.repeat(3), champion.repeat(3), shadow.repeat(3), clusters=np.arange(40).repeat(3)
    )

    for name in ("estimate", "lower", "upper"):
        assert getattr(thrice.difference, name) == pytest.approx(getattr(once.difference, name))
        assert getattr(thrice.champion, name) == pytest.approx(getattr(once.champion, name))


def test_units_with_rows_of_both_classes_have_the_variance_of_the_jackknife() -> None:
    random = np.random.default_rng(5)
    veil = random.normal(0, 1.5, 150).repeat(4)  # shared by positives and negatives of a unit
    labels = random.random(600) < 0.4
    champion = labels + veil + random.normal(0, 0.5, 600)
    shadow = labels + random.normal(0, 1, 600)
    units = np.arange(150).repeat(4)
    left_out = []
    for unit in range(150):
        kept = units != unit
        areas = [roc_auc_score(labels[kept], scores[kept]) for scores in (champion, shadow)]
        left_out.append(areas[1] - areas[0])
    jackknife_error = (149 / 150 * np.sum((left_out - np.mean(left_out)) ** 2)) ** 0.5

    found = compare_auc(labels, champion, shadow, clusters=units).difference

    error = (found.upper - found.estimate) / stats.norm.ppf(0.975)
    assert error == pytest.approx(jackknife_error, rel=0.03)


def test_the_interval_of_the_difference_covers_zero_at_its_confidence() -> None:
    random = np.random.default_rng(20261121)
    covered = covered_by_delong = 0
    for _ in range(1_000):
        # 60 units of 4 rows and one truth; both scores see it equally well, with noise.
        labels = (random.random(60) < 0.4).repeat(4)
        veil = random.normal(0, 1, (2, 60)).repeat(4, axis=1)
        champion, shadow = labels + veil + random.normal(0, 0.5, (2, 240))
        units = np.arange(60).repeat(4)
        found = compare_auc(labels, champion, shadow, clusters=units).difference
        naive = compare_auc(labels, champion, shadow, clusters=np.arange(240)).difference
        covered += found.lower <= 0 <= found.upper
        covered_by_delong += naive.lower <= 0 <= naive.upper

    assert 0.93 <= covered / 1_000 <= 0.97
    assert covered_by_delong / 1_000 < 0.8  # the error of treating dependent rows as independent


def test_a_perfect_ranking_has_an_area_of_one_and_no_invented_width() -> None:
    labels = np.array([False, False, True, True])
    scores = np.array([0.1, 0.2, 0.8, 0.9])

    found = compare_auc(labels, scores, scores, clusters=np.arange(4))

    assert (found.champion.lower, found.champion.upper) == (1.0, 1.0)
    assert found.p_value is None


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
