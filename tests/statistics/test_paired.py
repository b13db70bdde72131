"""Paired statistics, against references, brute force and simulation."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray
from scipy import stats

from understudy.statistics.flips import decision_flips, wilson_interval
from understudy.statistics.paired import (
    absolute_quantiles,
    correlate,
    mean_difference,
    paired_differences,
)

Scores = NDArray[np.float64]


def pairs_of(seed: int, rows: int = 60) -> tuple[Scores, Scores]:
    random = np.random.default_rng(seed)
    champion = random.random(rows)
    return champion, champion + random.normal(0.05, 0.2, rows)


def alone(rows: int) -> NDArray[np.int64]:
    """Label each row as its own cluster."""
    return np.arange(rows)


def clustered_differences(
    random: np.random.Generator, clusters: int, rows_each: int
) -> tuple[Scores, NDArray[np.int64]]:
    """Draw differences of mean 0.1 whose rows share an effect per cluster."""
    effects = random.normal(0, 1, clusters).repeat(rows_each)
    labels = np.arange(clusters).repeat(rows_each)
    return 0.1 + effects + random.normal(0, 0.5, clusters * rows_each), labels


@pytest.mark.parametrize("seed", range(5))
def test_with_one_row_per_cluster_the_interval_equals_that_of_the_paired_t_test(seed: int) -> None:
    champion, shadow = pairs_of(seed)
    reference = stats.ttest_rel(shadow, champion).confidence_interval(0.9)

    found = mean_difference(champion, shadow, clusters=alone(60), confidence=0.9)

    assert found.estimate == pytest.approx((shadow - champion).mean())
    assert (found.lower, found.upper) == pytest.approx((reference.low, reference.high))
    assert (found.pairs, found.clusters) == (60, 60)


def test_the_clustered_variance_equals_the_formula_written_out() -> None:
    random = np.random.default_rng(3)
    differences, labels = clustered_differences(random, 12, 4)
    estimate = sum(differences) / 48
    total = 0.0
    for cluster in range(12):
        residuals = [d - estimate for d, c in zip(differences, labels, strict=True) if c == cluster]
        total += sum(residuals) ** 2
    error = (12 / 11 * total) ** 0.5 / 48

    found = mean_difference(np.zeros(48), differences, clusters=labels)

    assert found.upper - found.estimate == pytest.approx(error * stats.t.ppf(0.975, 11))


def test_the_interval_covers_the_mean_of_clustered_rows_at_its_confidence() -> None:
    random = np.random.default_rng(20261121)
    covered = covered_by_naive = 0
    for _ in range(2_000):
        differences, labels = clustered_differences(random, 30, 6)
        zeros = np.zeros(180)
        found = mean_difference(zeros, differences, clusters=labels)
        naive = mean_difference(zeros, differences, clusters=alone(180))
        covered += found.lower <= 0.1 <= found.upper
        covered_by_naive += naive.lower <= 0.1 <= naive.upper

    assert 0.935 <= covered / 2_000 <= 0.965
    assert covered_by_naive / 2_000 < 0.7  # the error of treating dependent rows as independent


@pytest.mark.parametrize(
    ("champion", "shadow", "problem"),
    [
        (np.zeros(3), np.zeros(4), "1-D arrays of equal length"),
        (np.zeros((2, 2)), np.zeros((2, 2)), "1-D arrays of equal length"),
        (np.zeros(1), np.zeros(1), "at least 2 pairs"),
        (np.array([0.0, np.nan]), np.zeros(2), "finite"),
        (np.zeros(2), np.array([0.0, np.inf]), "finite"),
    ],
)
def test_rows_that_cannot_be_paired_are_refused(
    champion: Scores, shadow: Scores, problem: str
) -> None:
    with pytest.raises(ValueError, match=problem):
        paired_differences(champion, shadow)


def test_one_cluster_gives_no_interval() -> None:
    with pytest.raises(ValueError, match="at least 2 clusters"):
        mean_difference(np.zeros(3), np.ones(3), clusters=np.zeros(3, np.int64))


def test_quantiles_of_the_distance_equal_those_of_the_sorted_distances() -> None:
    champion = np.zeros(5)
    shadow = np.array([-4.0, 1.0, 3.0, -2.0, 0.0])

    assert absolute_quantiles(champion, shadow, (0, 0.25, 0.5, 0.875, 1)) == (0, 1, 2, 3.5, 4)


@pytest.mark.parametrize("seed", range(5))
def test_correlations_equal_those_of_scipy_including_ties(seed: int) -> None:
    champion, shadow = (np.round(scores, 1) for scores in pairs_of(seed))

    found = correlate(champion, shadow)

    assert found.pearson == pytest.approx(stats.pearsonr(champion, shadow).statistic)
    assert found.spearman == pytest.approx(stats.spearmanr(champion, shadow).statistic)


@pytest.mark.parametrize("constant", [0.0, 0.1, 1e300])
def test_a_constant_score_correlates_with_nothing(constant: float) -> None:
    found = correlate(np.full(9, constant), np.arange(9.0))

    assert (found.pearson, found.spearman) == (None, None)


@pytest.mark.parametrize(
    ("successes", "trials", "lower", "upper"),
    [  # Newcombe 1998, "Two-sided confidence intervals for the single proportion", table I
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_wilsons_interval_is_the_published_one(
    successes: int, trials: int, lower: float, upper: float
) -> None:
    assert wilson_interval(successes / trials, trials) == pytest.approx((lower, upper), abs=5e-5)


@given(trials=st.integers(1, 500), share=st.floats(0, 1), confidence=st.floats(0.5, 0.999))
def test_wilsons_interval_equals_that_of_scipy(
    trials: int, share: float, confidence: float
) -> None:
    successes = round(share * trials)
    reference = stats.binomtest(successes, trials).proportion_ci(confidence, method="wilson")

    found = wilson_interval(successes / trials, trials, confidence=confidence)

    assert found == pytest.approx((reference.low, reference.high), abs=1e-9)


@pytest.mark.parametrize(("share", "trials"), [(-0.1, 5), (1.1, 5), (0.5, 0)])
def test_an_impossible_proportion_is_refused(share: float, trials: float) -> None:
    with pytest.raises(ValueError, match="share in"):
        wilson_interval(share, trials)


def test_flips_are_counted_by_direction_and_the_threshold_itself_is_positive() -> None:
    champion = np.array([0.5, 0.4, 0.9, 0.1, 0.5, 0.49])
    shadow = np.array([0.4, 0.5, 0.9, 0.1, 0.49, 0.5])

    found = decision_flips(champion, shadow, threshold=0.5, clusters=alone(6))

    assert (found.to_positive, found.to_negative, found.rate) == (2, 2, 4 / 6)


def test_flips_of_independent_rows_have_the_plain_interval() -> None:
    champion, shadow = pairs_of(1, 300)
    is_flip = (champion >= 0.5) != (shadow >= 0.5)
    inflation = 300 / 299  # the sample variance behind deff has n - 1

    found = decision_flips(champion, shadow, threshold=0.5, clusters=alone(300))

    assert (found.lower, found.upper) == pytest.approx(
        wilson_interval(is_flip.mean(), 300 / inflation)
    )


@pytest.mark.parametrize("shadow", [np.zeros(40), np.ones(40)])
def test_without_variance_each_cluster_counts_once(shadow: Scores) -> None:
    found = decision_flips(np.zeros(40), shadow, threshold=0.5, clusters=np.arange(4).repeat(10))

    assert (found.lower, found.upper) == wilson_interval(shadow[0], 4)


def test_the_interval_covers_the_flip_rate_of_clustered_rows_at_its_confidence() -> None:
    random = np.random.default_rng(20261121)
    covered = 0
    for _ in range(2_000):
        rates = random.beta(2, 6, 50).repeat(8)  # mean 0.25
        shadow = (random.random(400) < rates).astype(np.float64)
        found = decision_flips(
            np.zeros(400), shadow, threshold=0.5, clusters=np.arange(50).repeat(8)
        )
        covered += found.lower <= 0.25 <= found.upper

    assert 0.935 <= covered / 2_000 <= 0.965


@given(hnp.arrays(np.float64, st.tuples(st.just(2), st.integers(2, 40)), elements=st.floats(0, 1)))
def test_exchanging_the_versions_reverses_the_signs(scores: Scores) -> None:
    champion, shadow = scores
    rows = alone(champion.size)

    there = mean_difference(champion, shadow, clusters=rows)
    back = mean_difference(shadow, champion, clusters=rows)

    assert (back.estimate, back.lower, back.upper) == pytest.approx(
        (-there.estimate, -there.upper, -there.lower)
    )
