"""Distances between score distributions, and calibration, against references."""

from math import log

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray
from scipy import stats
from sklearn.metrics import brier_score_loss, log_loss

from understudy.statistics.calibration import calibration_of
from understudy.statistics.distributions import (
    distribution_shift,
    ks_distance,
    population_stability_index,
)

SAMPLES = hnp.arrays(np.float64, st.integers(2, 40), elements=st.integers(0, 20).map(float))


@given(first=SAMPLES, second=SAMPLES)
def test_the_ks_distance_equals_that_of_scipy(
    first: NDArray[np.float64], second: NDArray[np.float64]
) -> None:
    reference = stats.ks_2samp(first, second, method="asymp").statistic

    assert ks_distance(first, second) == pytest.approx(reference)


def test_the_stability_index_equals_its_sum_written_out() -> None:
    expected = np.arange(1.0, 101.0)
    # Deciles at 10.9, 20.8, ...: the first bin holds 10 of 100, and here 40 of 100.
    actual = np.concatenate([np.full(40, 5.0), np.repeat(np.arange(15.0, 100.0, 10), 60 // 9 + 1)])
    actual = actual[:100]
    counts = [40, 7, 7, 7, 7, 7, 7, 7, 7, 4]
    index = sum((n / 100 - 0.1) * log(n / 100 / 0.1) for n in counts)

    assert population_stability_index(expected, actual) == pytest.approx(index)


def test_an_empty_bin_counts_as_a_share_of_a_ten_thousandth() -> None:
    found = population_stability_index(np.array([0.0, 1.0]), np.array([0.0, 0.0]), bins=2)

    assert found == pytest.approx(0.5 * log(2) + (1e-4 - 0.5) * log(1e-4 / 0.5))


def test_equal_samples_have_no_distance_even_if_constant() -> None:
    for sample in (np.arange(50.0), np.full(50, 0.3)):
        found = distribution_shift(sample, sample)
        assert (found.ks_distance, found.psi) == (0.0, 0.0)


def test_an_empty_sample_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one"):
        distribution_shift(np.array([]), np.ones(3))


@pytest.mark.parametrize("seed", range(4))
def test_scoring_rules_equal_those_of_scikit_learn(seed: int) -> None:
    random = np.random.default_rng(seed)
    labels, scores = random.random(200) < 0.3, random.random(200)

    found = calibration_of(labels, scores)

    assert found is not None
    assert found.brier == pytest.approx(brier_score_loss(labels, scores))
    assert found.log_loss == pytest.approx(log_loss(labels, scores))


def test_calibration_error_is_the_mean_difference_over_rows() -> None:
    labels = np.array([False, True, True, True])
    scores = np.array([0.05, 0.05, 0.95, 1.0])

    found = calibration_of(labels, scores)

    assert found is not None
    assert [(b.lower, b.rows, b.positive_share) for b in found.bins] == [(0.0, 2, 0.5), (0.9, 2, 1)]
    assert found.expected_calibration_error == pytest.approx((2 * 0.45 + 2 * 0.025) / 4)


def test_a_wrong_score_of_certainty_has_a_large_but_finite_loss() -> None:
    found = calibration_of(np.array([True, False]), np.array([0.0, 1.0]))

    assert found is not None
    assert found.brier == 1.0
    assert 30 < found.log_loss < 40


def test_scores_outside_0_to_1_have_no_calibration() -> None:
    labels = np.array([True, False])

    assert calibration_of(labels, np.array([0.5, 1.2])) is None
    assert calibration_of(labels, np.array([-0.1, 0.2])) is None


def test_no_rows_are_refused() -> None:
    with pytest.raises(ValueError, match="with rows"):
        calibration_of(np.array([], bool), np.array([]))
