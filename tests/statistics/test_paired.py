"""Paired statistics, against references, brute force and simulation."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray
from scipy import stats

from understudy.statistics.paired import (
    absolute_quantiles,
    agreement,
    correlate,
    mean_scores,
    paired_differences,
)
from understudy.statistics.units import Units, units_of

Scores = NDArray[np.float64]


def pairs_of(seed: int, rows: int = 60) -> tuple[Scores, Scores]:
    random = np.random.default_rng(seed)
    champion = random.random(rows)
    return champion, champion + random.normal(0.05, 0.2, rows)


def alone(rows: int) -> Units:
    """Make each row its own unit."""
    return units_of(np.arange(rows))


@pytest.mark.parametrize("seed", range(5))
def test_with_one_row_per_cluster_the_interval_equals_that_of_the_paired_t_test(seed: int) -> None:
    champion, shadow = pairs_of(seed)
    reference = stats.ttest_rel(shadow, champion).confidence_interval(0.9)

    found = mean_scores(champion, shadow, units=alone(60), confidence=0.9)

    assert found.champion.estimate == pytest.approx(champion.mean())
    assert found.difference.estimate == pytest.approx((shadow - champion).mean())
    ends = found.difference.lower, found.difference.upper
    assert ends == pytest.approx((reference.low, reference.high))
    assert found.difference.effective_units == pytest.approx(60)


def covered_share(sizes: NDArray[np.int64], draws: int, *, as_units: bool = True) -> float:
    """Return how often the interval of a mean of 0.1 holds it, for rows that share effects."""
    random = np.random.default_rng(20261121)
    count, rows = sizes.size, int(sizes.sum())
    units = units_of(np.arange(count).repeat(sizes)) if as_units else alone(rows)
    covered = 0
    for _ in range(draws):
        effects = random.normal(0, 1, count).repeat(sizes)
        differences = 0.1 + effects + random.normal(0, 0.5, rows)
        found = mean_scores(np.zeros(rows), differences, units=units).difference
        assert found.lower is not None
        assert found.upper is not None
        covered += found.lower <= 0.1 <= found.upper
    return covered / draws


def test_the_interval_covers_the_mean_of_rows_of_units_at_its_confidence() -> None:
    sizes = np.full(30, 6)

    assert 0.91 <= covered_share(sizes, 400) <= 0.98
    assert covered_share(sizes, 100, as_units=False) < 0.75  # dependent rows as independent ones


@pytest.mark.parametrize(
    "sizes",
    [
        np.array([200, *[1] * 50]),  # one unit has 80 % of the rows
        np.array([100, 100, *[1] * 50]),
        np.maximum(1, (1000 * (np.arange(200) + 10.0) ** -1.1).astype(np.int64)),
    ],
)
def test_the_interval_covers_the_mean_where_a_few_units_have_most_rows(
    sizes: NDArray[np.int64],
) -> None:
    assert covered_share(sizes, 200) >= 0.91


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


def test_one_unit_gives_no_interval_and_the_reason() -> None:
    found = mean_scores(np.zeros(3), np.ones(3), units=units_of(np.zeros(3))).difference

    assert (found.estimate, found.lower, found.upper) == (1.0, None, None)
    assert found.why == "all its rows are of one unit"


def test_limits_of_agreement_hold_95_percent_of_normal_differences() -> None:
    champion = np.zeros(100_000)
    shadow = np.random.default_rng(1).normal(0.3, 2, 100_000)

    found = agreement(champion, shadow)

    assert ((found.lower <= shadow) & (shadow <= found.upper)).mean() == pytest.approx(
        0.95, abs=0.005
    )


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


@given(hnp.arrays(np.float64, st.tuples(st.just(2), st.integers(2, 40)), elements=st.floats(0, 1)))
def test_exchanging_the_versions_reverses_the_signs(scores: Scores) -> None:
    champion, shadow = scores
    rows = alone(champion.size)

    there = mean_scores(champion, shadow, units=rows).difference
    back = mean_scores(shadow, champion, units=rows).difference

    assert None not in (there.estimate, there.lower, there.upper)
    assert (back.estimate, back.upper, back.lower) == pytest.approx(
        tuple(-1 * (each or 0.0) for each in (there.estimate, there.lower, there.upper))
    )
