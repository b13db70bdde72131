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
    Sample,
    distribution_shift,
    independent_rows,
    ks_distance,
    population_stability_index,
)
from understudy.statistics.intervals import share_interval
from understudy.statistics.paired import mean_of
from understudy.statistics.units import Units, UnitSums, jackknife, units_of

SAMPLES = hnp.arrays(np.float64, st.integers(2, 40), elements=st.integers(0, 20).map(float))


@given(first=SAMPLES, second=SAMPLES)
def test_the_ks_distance_equals_that_of_scipy(
    first: NDArray[np.float64], second: NDArray[np.float64]
) -> None:
    reference = stats.ks_2samp(first, second, method="asymp").statistic

    assert ks_distance(Sample(first), Sample(second)) == pytest.approx(reference)


def test_the_stability_index_equals_its_sum_written_out() -> None:
    expected = np.arange(1.0, 101.0)
    # Deciles at 10.9, 20.8, ...: the first bin holds 10 of 100, and here 40 of 100.
    actual = np.concatenate([np.full(40, 5.0), np.repeat(np.arange(15.0, 100.0, 10), 60 // 9 + 1)])
    actual = actual[:100]
    counts = [40, 7, 7, 7, 7, 7, 7, 7, 7, 4]
    index = sum((n / 100 - 0.1) * log(n / 100 / 0.1) for n in counts)

    found, bins = population_stability_index(Sample(expected), Sample(actual))

    assert found == pytest.approx(index)
    assert bins == 10


def test_an_empty_bin_counts_as_half_a_row() -> None:
    found, bins = population_stability_index(
        Sample(np.array([0.0, 1.0])), Sample(np.zeros(4)), bins=2
    )

    assert bins == 2
    assert found == pytest.approx(0.5 * log(2) + (0.125 - 0.5) * log(0.125 / 0.5))


def test_two_different_constants_are_far_apart() -> None:
    found = distribution_shift(Sample(np.full(100, 0.3)), Sample(np.full(100, 0.7)))

    assert found.ks_distance == 1
    assert found.psi > 5


@pytest.mark.parametrize("rows", [50, 2_000])
def test_samples_of_one_distribution_seldom_exceed_the_index_by_chance(rows: int) -> None:
    random = np.random.default_rng(rows)
    shifts = [distribution_shift(*map(Sample, random.random((2, rows)))) for _ in range(400)]

    exceeding = sum(each.psi > each.psi_by_chance for each in shifts)

    assert 4 <= exceeding <= 40  # 5 % of 400; somewhat more in small samples
    assert (shifts[0].psi_by_chance > 0.25) == (rows == 50)  # the usual limit for a major shift


def test_rows_of_their_own_are_independent_and_equal_rows_of_a_unit_are_one() -> None:
    scores = np.random.default_rng(1).random(400)

    assert independent_rows(scores, alone(400)) == pytest.approx(400, rel=1e-9)
    of_units = independent_rows(np.repeat(scores, 5), units_of(np.repeat(np.arange(400), 5)))
    assert of_units == pytest.approx(400, rel=1e-9)
    assert independent_rows(np.full(400, 0.3), units_of(np.arange(400) // 4)) == 100


def test_independent_rows_are_all_rows_over_the_mean_design_effect() -> None:
    random = np.random.default_rng(2)
    unit = random.integers(0, 60, 900)
    scores, weights = random.normal(0, 1, 60)[unit] + random.random(900), random.random(900) + 0.5
    spread = variance = 0.0
    for place in np.quantile(scores, np.linspace(0.1, 0.9, 9)):
        share = np.average(scores <= place, weights=weights)
        without = [
            np.average(scores[unit != one] <= place, weights=weights[unit != one])
            for one in range(60)
        ]
        spread += share * (1 - share)
        variance += 59 / 60 * np.sum((np.array(without) - share) ** 2)

    found = independent_rows(scores, units_of(unit), weights)

    assert found == pytest.approx(spread / variance * 60 / 59, rel=1e-9)
    assert found < 300


def test_equal_samples_have_no_distance_even_if_constant() -> None:
    for sample in (np.arange(50.0), np.full(50, 0.3)):
        found = distribution_shift(Sample(sample), Sample(sample))
        assert (found.ks_distance, found.psi) == (0.0, 0.0)


def test_an_empty_sample_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one"):
        distribution_shift(Sample(np.array([])), Sample(np.ones(3)))


def alone(rows: int) -> Units:
    return units_of(np.arange(rows))


@pytest.mark.parametrize("seed", range(4))
def test_scoring_rules_equal_those_of_scikit_learn(seed: int) -> None:
    random = np.random.default_rng(seed)
    labels, champion, shadow = random.random(200) < 0.3, random.random(200), random.random(200)

    found = calibration_of(labels, champion, shadow, units=alone(200))

    assert found is not None
    for measure, reference in ((found.brier, brier_score_loss), (found.log_loss, log_loss)):
        one, two = reference(labels, champion), reference(labels, shadow)
        assert measure.champion.estimate == pytest.approx(one, abs=1e-9)
        assert measure.difference.estimate == pytest.approx(two - one, abs=1e-9)


def test_the_difference_of_briers_has_the_interval_of_the_paired_t_test() -> None:
    random = np.random.default_rng(4)
    labels, champion, shadow = random.random(99) < 0.3, random.random(99), random.random(99)
    truth = labels.astype(float)
    reference = stats.ttest_rel((shadow - truth) ** 2, (champion - truth) ** 2)

    found = calibration_of(labels, champion, shadow, units=alone(99))

    assert found is not None
    difference, expected = found.brier.difference, reference.confidence_interval(0.95)
    assert (difference.lower, difference.upper) == pytest.approx((expected.low, expected.high))


def test_calibration_error_is_the_mean_difference_over_rows() -> None:
    labels = np.array([False, True, True, True])
    scores = np.array([0.05, 0.05, 0.95, 1.0])

    found = calibration_of(labels, scores, scores, units=alone(4))

    assert found is not None
    bins = found.champion.bins
    assert [(b.lower, b.rows, b.positive_share.estimate) for b in bins] == [
        (0.0, 2, 0.5),
        (0.9, 2, 1),
    ]
    assert found.champion.expected_calibration_error == pytest.approx((2 * 0.45 + 2 * 0.025) / 4)


def test_a_bin_of_few_units_has_the_interval_of_leaving_out_one_at_a_time() -> None:
    random = np.random.default_rng(4)
    unit = np.arange(200) % 40
    labels, scores = random.random(200) < 0.3, np.full(200, 0.25)

    found = calibration_of(labels, scores, scores, units=units_of(unit))

    sums = UnitSums.of(np.column_stack([np.bincount(unit), np.bincount(unit, labels)]))
    expected = share_interval(jackknife(sums, mean_of(1)), rows=200.0, confidence=0.95)
    assert found is not None
    (one,) = found.champion.bins
    assert expected is not None
    assert (one.positive_share.lower, one.positive_share.upper) == pytest.approx(
        (expected.lower, expected.upper), abs=1e-9
    )


def test_a_wrong_score_of_certainty_has_a_large_but_finite_loss() -> None:
    scores = np.array([0.0, 1.0])
    found = calibration_of(np.array([True, False]), scores, scores, units=alone(2))

    assert found is not None
    assert found.brier.champion.estimate == 1.0
    assert found.log_loss.champion.estimate is not None
    assert 30 < found.log_loss.champion.estimate < 40


def test_scores_outside_0_to_1_have_no_calibration() -> None:
    labels, well = np.array([True, False]), np.array([0.5, 0.2])

    assert calibration_of(labels, np.array([0.5, 1.2]), well, units=alone(2)) is None
    assert calibration_of(labels, well, np.array([-0.1, 0.2]), units=alone(2)) is None


def test_a_score_that_was_rounded_above_1_is_counted_and_costs_nothing_else() -> None:
    labels = np.arange(1_000) % 2 == 1
    scores = np.linspace(0, 1, 1_000)
    exact = calibration_of(labels, scores, scores, units=alone(1_000))
    scores = np.where(scores == 1, 1.0000001, scores)

    found = calibration_of(labels, scores, scores, units=alone(1_000))

    assert found is not None
    assert exact is not None
    assert (exact.champion.clipped, found.champion.clipped) == (0, 1)
    assert found.brier == exact.brier


def test_no_rows_are_refused() -> None:
    nothing = np.array([])

    with pytest.raises(ValueError, match="with rows"):
        calibration_of(np.array([], bool), nothing, nothing, units=units_of(nothing))
