"""Slices: the one that differs is found, and slices that do not are seldom called different."""

import numpy as np
import pytest
from scipy import stats

from understudy.statistics.slices import (
    Slice,
    SliceFindings,
    find_differences,
    paired_difference,
)
from understudy.statistics.units import Floats, Labels, units_of


def fifths(rows: int, values: int = 5) -> list[Slice]:
    place = np.arange(rows) % values
    return [Slice("column", str(value), place == value) for value in range(values)]


def judged(
    slices: list[Slice], differences: Floats, unit: Labels, *, is_against_rest: bool
) -> SliceFindings:
    units = units_of(unit)
    of_slice = paired_difference(differences, units, is_against_rest=is_against_rest)
    return find_differences(slices, of_slice)


def test_single_rows_give_the_test_of_student_adjusted_for_any_dependence() -> None:
    random = np.random.default_rng(1)
    differences = random.normal(0.02, 0.1, 500)
    slices = fifths(500)

    found = judged(slices, differences, np.arange(500), is_against_rest=False)

    by_value = {each.value: each for each in found.findings}
    expected = [stats.ttest_1samp(differences[each.chosen], 0).pvalue for each in slices]
    adjusted = stats.false_discovery_control(expected, method="by")
    for each, p_value, other in zip(slices, expected, adjusted, strict=True):
        assert by_value[each.value].p_value == pytest.approx(p_value, rel=1e-9)
        assert by_value[each.value].adjusted_p == pytest.approx(other, rel=1e-9)


def test_a_slice_that_differs_is_shown_alone_and_first() -> None:
    random = np.random.default_rng(2)
    differences = random.normal(0, 0.1, 2_000)
    differences[np.arange(2_000) % 5 == 3] += 0.05

    for against_rest in (False, True):
        found = judged(fifths(2_000), differences, np.arange(2_000), is_against_rest=against_rest)
        assert (found.findings[0].value, found.findings[0].is_shown) == ("3", True)
    alone = judged(fifths(2_000), differences, np.arange(2_000), is_against_rest=False)
    assert [each.is_shown for each in alone.findings] == [True, False, False, False, False]


def test_a_shift_of_all_rows_is_no_difference_of_a_slice_against_the_rest() -> None:
    random = np.random.default_rng(3)
    differences = 0.3 + random.normal(0, 0.1, 2_000)

    found = judged(fifths(2_000), differences, np.arange(2_000), is_against_rest=True)

    assert not any(each.is_shown for each in found.findings)


def test_slices_of_few_units_are_counted_and_not_tested() -> None:
    differences = np.ones(500)
    one_unit_has_most = np.where(np.arange(500) < 450, 0, np.arange(500))

    found = judged(fifths(500), differences, one_unit_has_most, is_against_rest=False)

    assert (found.findings, found.too_small) == ((), 5)


def overlapping(rows: int, random: np.random.Generator) -> list[Slice]:
    columns = random.integers(0, 4, (3, rows))
    return [
        Slice(f"{one}", f"{value}", columns[one] == value) for one in range(3) for value in range(4)
    ]


def runs_with_a_false_discovery(runs: int) -> int:
    ever = 0
    for seed in range(runs):
        random = np.random.default_rng(seed)
        units = np.arange(600) // 3
        differences: Floats = random.normal(0, 0.1, 200)[units] + random.normal(0, 0.1, 600)
        found = judged(overlapping(600, random), differences, units, is_against_rest=False)
        ever += any(each.is_shown for each in found.findings)
    return ever


@pytest.mark.long
def test_equal_versions_seldom_differ_on_any_of_many_overlapping_slices() -> None:
    assert runs_with_a_false_discovery(200) <= 20
