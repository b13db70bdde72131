"""Arms with a known truth: differences by slice and of distributions, and few false alarms."""

from collections import Counter

import pytest

from tests.comparison.arm_worlds import ArmWorld, arm_world
from understudy.comparison.evidence.arm_rows import AssignedRows
from understudy.comparison.sections.arm_curves import curves_of_arms
from understudy.comparison.sections.arm_distributions import (
    ArmDistributions,
    distributions_of_arms,
)
from understudy.comparison.sections.arm_slices import compare_arm_slices

RUNS, FEW_RUNS = 200, 20
MOST_FALSE_ALARMS = 20  # of RUNS at a nominal 5 %: three standard errors above
MOST_OF_FEW = 4  # of FEW_RUNS, the same


def shown(world: ArmWorld) -> list[str]:
    """Return the slices that are called different, of the declared ones and of pairs."""
    found = compare_arm_slices(world.rows, world.columns, confidence=0.95)
    assert found is not None
    return [
        each.value for each in (*found.declared.findings, *found.found.findings) if each.is_shown
    ]


def false_alarms(runs: int, *, with_outcomes: bool) -> int:
    return sum(bool(shown(arm_world(seed, with_outcomes=with_outcomes))) for seed in range(runs))


@pytest.mark.parametrize("with_outcomes", [True, False])
def test_equal_arms_are_seldom_called_different_on_a_slice(with_outcomes: bool) -> None:
    assert false_alarms(FEW_RUNS, with_outcomes=with_outcomes) <= MOST_OF_FEW


@pytest.mark.long
@pytest.mark.parametrize("with_outcomes", [True, False])
def test_equal_arms_are_seldom_called_different_in_many_runs(with_outcomes: bool) -> None:
    assert false_alarms(RUNS, with_outcomes=with_outcomes) <= MOST_FALSE_ALARMS


def found_and_false(runs: int) -> tuple[int, int]:
    """Return the runs that name the segment which is worse, and those that name another one.

    A quarter, of which a tenth of the rows is worse, is truly worse, and may be named.
    """
    found = false = 0
    for seed in range(runs):
        named = shown(arm_world(seed, 4_000, harm=0.35))
        found += "c" in named
        false += any(each[0] in "abd" for each in named)
    return found, false


def test_a_challenger_that_is_worse_on_one_slice_is_worse_there_alone() -> None:
    found, false = found_and_false(4)

    assert (found, false) == (4, 0)


@pytest.mark.long
def test_a_worse_slice_is_found_and_no_other_in_many_runs() -> None:
    found, false = found_and_false(RUNS)

    assert found >= RUNS * 9 // 10
    assert false <= MOST_FALSE_ALARMS


def distributions(rows: AssignedRows) -> ArmDistributions:
    found = distributions_of_arms(rows, confidence=0.95)
    assert found is not None
    return found


def distances_above_chance(runs: int) -> Counter[str]:
    above: Counter[str] = Counter()
    for seed in range(runs):
        shift = distributions(arm_world(seed).rows).shift
        above["KS"] += shift.ks_distance > shift.ks_by_chance
        above["PSI"] += shift.psi > shift.psi_by_chance
    return above


def test_equal_arms_are_seldom_farther_apart_than_by_chance() -> None:
    assert max(distances_above_chance(FEW_RUNS).values()) <= MOST_OF_FEW


@pytest.mark.long
def test_equal_arms_are_seldom_farther_apart_than_by_chance_in_many_runs() -> None:
    assert max(distances_above_chance(RUNS).values()) <= MOST_FALSE_ALARMS


def test_arms_of_another_law_are_farther_apart_than_by_chance() -> None:
    rows = arm_world(1, 4_000).rows
    rows.score[rows.is_challenger] **= 1.3

    shift = distributions(rows).shift

    assert shift.ks_distance > shift.ks_by_chance
    assert shift.psi > shift.psi_by_chance


def test_a_rising_weight_bends_no_curve_of_equal_arms() -> None:
    world = arm_world(2, 6_000)
    found = curves_of_arms(distributions(world.rows), world.rows, confidence=0.95)
    arms = (found.champion, found.challenger)
    shares = [dict(each.scores.points) for each in arms]
    apart = max(abs(shares[0][place] - shares[1][place]) for place in shares[0])
    recalls = [
        {place: (low, high) for place, low, high in each.classes.roc_band.points}
        for each in arms
        if each.classes
    ]

    assert apart < 0.1  # rows without weights are 0.15 apart, because scores rise with the weight
    common = recalls[0].keys() & recalls[1].keys()
    assert common
    for place in common:
        (one_low, one_high), (two_low, two_high) = recalls[0][place], recalls[1][place]
        assert max(one_low, two_low) <= min(one_high, two_high)
