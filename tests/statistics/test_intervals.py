"""Intervals: against references, and their coverage where others lose it."""

from math import log, sqrt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from understudy.statistics.intervals import (
    Interval,
    anytime_interval,
    difference_interval,
    exact_interval,
    interval_of,
    share_interval,
)
from understudy.statistics.paired import mean_of
from understudy.statistics.units import Estimate, UnitSums, jackknife


@given(trials=st.integers(1, 500), share=st.floats(0, 1), confidence=st.floats(0.5, 0.999))
def test_the_exact_interval_equals_that_of_scipy(
    trials: int, share: float, confidence: float
) -> None:
    hits = round(share * trials)
    reference = stats.binomtest(hits, trials).proportion_ci(confidence, method="exact")

    found = exact_interval(hits / trials, trials, confidence=confidence)

    assert (found.lower, found.upper) == pytest.approx((reference.low, reference.high), abs=1e-9)


@pytest.mark.parametrize(
    ("share", "units", "rows_each", "correlation"),
    [(0.01, 200, 1, 0.0), (0.3, 200, 1, 0.0), (0.02, 100, 5, 0.1), (0.25, 50, 8, 0.12)],
)
def test_the_interval_of_a_share_covers_it_for_rows_of_units(
    share: float, units: int, rows_each: int, correlation: float
) -> None:
    random = np.random.default_rng(20261130)
    of_row = np.arange(units).repeat(rows_each)
    covered = 0
    for _ in range(400):
        shares = np.full(units, share)
        if correlation:
            spread = (1 - correlation) / correlation
            shares = random.beta(share * spread, (1 - share) * spread, units)
        hits = (random.random((units, rows_each)) < shares[:, None]).ravel()
        sums = UnitSums.of(
            np.column_stack([np.bincount(of_row, minlength=units), np.bincount(of_row, hits)])
        )
        estimate = jackknife(sums, mean_of(1))
        found = share_interval(estimate, rows=hits.size, confidence=0.95)
        assert found is not None
        covered += found.lower <= share <= found.upper

    assert covered / 400 >= 0.92


def test_a_share_that_was_never_seen_is_known_by_the_units_and_not_by_the_rows() -> None:
    # 10,000 rows, 80 % of them of one unit: 1.6 effective units exclude hardly anything.
    found = share_interval(Estimate(0.0, 0.0, 1.6), rows=10_000, confidence=0.95)

    assert found is not None
    assert found.lower == 0
    assert found.upper > 0.8


def test_an_estimate_without_a_variance_has_no_interval() -> None:
    estimate = Estimate(0.5, None, 30, "why")

    assert interval_of(estimate, confidence=0.95) is None
    assert anytime_interval(estimate, confidence=0.95, scale=1) is None


def test_the_anytime_interval_is_the_normal_mixture_of_the_published_code() -> None:
    # Waudby-Smith and others: mean +- sd sqrt(2 (n r^2 + 1) / (n^2 r^2) ln(sqrt(n r^2 + 1) / a)),
    # for n observations of standard deviation sd, which is information n / sd^2, scale r sd.
    n, sd, r, alpha = 500, 3.0, 0.1, 0.05
    inner = log(sqrt(n * r**2 + 1) / alpha)
    margin = sd * sqrt(2 * (n * r**2 + 1) / (n**2 * r**2) * inner)

    found = anytime_interval(Estimate(7.0, sd**2 / n, 500), confidence=0.95, scale=r * sd)

    assert found is not None
    assert found.upper - 7.0 == pytest.approx(margin, rel=1e-12)


def test_looking_every_day_seldom_excludes_the_truth_from_the_anytime_interval() -> None:
    random = np.random.default_rng(7)
    runs, looks, rows = 150, 30, 50
    sums = random.normal(0, 1, (runs, looks, rows)).sum(axis=2).cumsum(axis=1)
    counts = rows * np.arange(1, looks + 1)
    ever = {"anytime": 0, "fixed": 0}
    for run in sums:
        estimates = [
            Estimate(total / n, 1 / n, float(n)) for total, n in zip(run, counts, strict=True)
        ]
        anytime = [anytime_interval(each, confidence=0.95, scale=0.05) for each in estimates]
        fixed = [interval_of(each, confidence=0.95) for each in estimates]
        for name, intervals in (("anytime", anytime), ("fixed", fixed)):
            ever[name] += any(i is not None and not i.lower <= 0 <= i.upper for i in intervals)

    assert ever["anytime"] / runs <= 0.05
    assert ever["fixed"] / runs > 0.12  # the error of looking at an interval of one look each day


def test_the_difference_of_exact_intervals_contains_both_extremes() -> None:
    first, second = (0.5, Interval(0.3, 0.7)), (0.9, Interval(0.8, 0.95))

    found = difference_interval(first, second)

    assert found.lower == pytest.approx(0.4 - sqrt(0.1**2 + 0.2**2))
    assert found.upper == pytest.approx(0.4 + sqrt(0.05**2 + 0.2**2))
