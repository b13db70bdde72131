"""Measures of arms: Welch's test for single rows, and differences that traffic does not make."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from understudy.statistics.arms import (
    ArmEstimates,
    ArmMeasure,
    OfBothArms,
    arm_estimates,
    arm_mean,
    arm_share,
)
from understudy.statistics.sample_ratio import FALSE_ALARM, StepOfUnits, sample_ratios
from understudy.statistics.units import Floats, OfTotals, UnitSums, ratio


def side(start: int) -> OfTotals:
    """The columns of one arm: the weight and the weighted value."""
    return OfTotals(
        lambda totals: ratio(totals[..., start + 1], totals[..., start]),
        lambda sums: sums[:, start],
    )


def of_arms(champion: Floats, challenger: Floats) -> UnitSums:
    """Return sums of units with a row each."""
    nothing = np.zeros_like
    sums = np.column_stack(
        [
            np.concatenate([np.ones_like(champion), nothing(challenger)]),
            np.concatenate([champion, nothing(challenger)]),
            np.concatenate([nothing(champion), np.ones_like(challenger)]),
            np.concatenate([nothing(champion), challenger]),
        ]
    )
    return UnitSums.of(sums)


def estimates_of(sums: UnitSums) -> ArmEstimates:
    return arm_estimates(sums, [OfBothArms(side(0), side(2))])[0]


@given(seed=st.integers(0, 2**32 - 1), rows=st.integers(2, 60), fewer=st.integers(2, 20))
def test_single_rows_give_the_interval_of_welch(seed: int, rows: int, fewer: int) -> None:
    random = np.random.default_rng(seed)
    champion, challenger = random.normal(0, 1, rows), random.normal(0.2, 3, fewer)

    found = arm_mean(estimates_of(of_arms(champion, challenger)), confidence=0.9)

    expected = stats.ttest_ind(challenger, champion, equal_var=False).confidence_interval(0.9)
    ends = (found.difference.lower, found.difference.upper)
    assert ends == pytest.approx((expected.low, expected.high), rel=1e-9)


def test_an_arm_of_one_unit_has_a_difference_without_an_interval() -> None:
    found = arm_mean(estimates_of(of_arms(np.arange(9.0), np.array([2.0]))), confidence=0.95)

    assert found.difference.estimate == pytest.approx(-2.0)
    assert (found.difference.lower, found.difference.why) == (None, "all its rows are of one unit")


def test_a_share_that_neither_arm_has_still_has_a_width() -> None:
    sums = of_arms(np.zeros(400), np.zeros(40))

    found = arm_share(estimates_of(sums), rows=(400, 40), confidence=0.95)

    assert found.difference.upper == pytest.approx(1 - 0.025 ** (1 / 40), rel=1e-6)
    assert found.difference.lower is not None
    assert -0.01 < found.difference.lower < 0


def drifting(seed: int) -> ArmMeasure:
    """Two equal arms of sticky units: the weight rises from 10 to 50 %, and so does the value."""
    random = np.random.default_rng(seed)
    units = 800
    latent, own = random.random(units), random.normal(0, 0.3, units)
    sums = np.zeros((units, 4))
    for weight, level in ((0.1, 0.2), (0.5, 0.7)):
        rows = random.poisson(3, units)
        values = rows * (level + own) + random.normal(0, 0.1, units) * np.sqrt(rows)
        is_challenger = latent < weight
        for start, is_side, chance in ((0, ~is_challenger, 1 - weight), (2, is_challenger, weight)):
            sums[:, start] += np.where(is_side, rows / chance, 0)
            sums[:, start + 1] += np.where(is_side, values / chance, 0)
    return arm_mean(estimates_of(UnitSums.of(sums)), confidence=0.95)


def test_a_shift_between_steps_of_the_weight_is_no_difference_of_arms() -> None:
    found = [drifting(seed) for seed in range(200)]

    covered = sum(
        each.difference.lower is not None
        and each.difference.upper is not None
        and each.difference.lower <= 0 <= each.difference.upper
        for each in found
    )
    # 95 % of 200 less three standard errors; rows without weights would give 0.
    assert covered >= 181
    mean = np.mean([each.difference.estimate for each in found if each.difference.estimate])
    assert abs(mean) < 0.02


@pytest.mark.long
def test_units_that_fit_their_share_are_no_mismatch_at_any_look() -> None:
    random = np.random.default_rng(5)
    alarms = 0
    for _ in range(400):
        in_challenger = random.random(5_000) < 0.1
        looks = np.cumsum(in_challenger)[49::50]
        steps = [
            StepOfUnits(50 * look - int(hits), int(hits), 0.1)
            for look, hits in enumerate(looks, start=1)
        ]
        # Each look is a first step of its own.
        alarms += any(sample_ratios([step])[0].is_mismatch for step in steps)

    assert alarms <= 3  # of 400 at 0.1 %, over 100 looks each


def test_a_lost_tenth_of_the_challengers_units_is_a_mismatch() -> None:
    found = sample_ratios([StepOfUnits(95_000, 4_500, 0.05), StepOfUnits(90, 10, 0.1)])

    assert [each.is_mismatch for each in found] == [True, False]
    assert found[0].upper is not None
    assert found[0].upper < 0.05
    assert found[0].evidence > 1 / FALSE_ALARM


@given(units=st.integers(0, 200), share=st.floats(0.01, 0.99))
def test_the_evidence_has_a_mean_of_one_under_the_declared_share(units: int, share: float) -> None:
    hits = np.arange(units + 1)
    chance = stats.binom.pmf(hits, units, share)
    evidence = [
        sample_ratios([StepOfUnits(units - int(count), int(count), share)])[0].evidence
        for count in hits
    ]

    assert float(chance @ np.array(evidence)) == pytest.approx(1.0, rel=1e-6)
