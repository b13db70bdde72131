"""Variances over units: brute force, and the number of units that a few large ones leave."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from understudy.statistics.units import (
    PART_ROWS,
    Floats,
    OfTotals,
    UnitSums,
    effective_units,
    jackknife,
    ratio,
    units_of,
    whole_units,
)


def quotient(above: int, below: int) -> OfTotals:
    return OfTotals(
        lambda totals: ratio(totals[..., above], totals[..., below]), lambda sums: sums[:, below]
    )


@given(
    st.lists(
        st.tuples(st.integers(0, 6), st.integers(-5, 5), st.integers(1, 5)), min_size=4, max_size=40
    )
)
def test_the_variance_is_that_of_leaving_out_one_unit_at_a_time(
    rows: list[tuple[int, int, int]],
) -> None:
    labels, above, below = (np.array(column) for column in zip(*rows, strict=True))
    units = units_of(labels)
    sums = units.sums(lambda part: (below[part], above[part]))

    found = jackknife(sums, quotient(2, 1))

    assert found.value == pytest.approx(above.sum() / below.sum())
    distinct = np.unique(labels)
    if distinct.size < 2:
        assert (found.variance, found.why) == (None, "all its rows are of one unit")
        return
    without = [above[labels != u].sum() / below[labels != u].sum() for u in distinct]
    squares = sum((each - found.value) ** 2 for each in without)
    assert found.variance == pytest.approx((distinct.size - 1) / distinct.size * squares)


def test_the_mean_of_single_rows_has_the_variance_of_the_sample() -> None:
    values = np.random.default_rng(1).normal(3, 2, 50)
    sums = units_of(np.arange(50)).sums(lambda part: (values[part],))

    found = jackknife(sums, quotient(1, 0))

    assert found.variance == pytest.approx(stats.sem(values) ** 2)
    assert found.effective_units == pytest.approx(50)


@pytest.mark.parametrize(
    ("weights", "expected"), [([1, 1, 1, 1], 4), ([8, 1, 1], 100 / 66), ([5, 0, 5], 2), ([0], 0)]
)
def test_units_count_by_the_information_that_they_carry(
    weights: list[float], expected: float
) -> None:
    assert effective_units(np.array(weights, np.float64)) == pytest.approx(expected)


def test_a_number_without_rows_says_so() -> None:
    found = jackknife(UnitSums.of(np.zeros((3, 2))), quotient(1, 0))

    assert (found.value, found.variance) == (None, None)
    assert found.why == "no row that it could be computed from"


def test_a_number_that_one_unit_alone_makes_possible_has_no_variance() -> None:
    precision = OfTotals(quotient(1, 0).statistic, lambda sums: sums[:, 2])
    # Only the first unit has positive decisions; all have rows.
    sums = np.array([[3.0, 2.0, 5.0], [0.0, 0.0, 4.0], [0.0, 0.0, 4.0]])

    found = jackknife(UnitSums.of(sums), precision)

    assert (found.value, found.variance) == (2 / 3, None)
    assert found.why == "without one of its units it has no value"


@given(
    st.lists(st.integers(-50, 50), max_size=60),
    st.sampled_from([0, 1, -(2**62), 2**40]),
    st.sampled_from([1, 1_000_000]),
)
def test_units_are_numbered_in_the_order_of_their_labels(
    labels: list[int], offset: int, step: int
) -> None:
    given = np.array([offset + step * label for label in labels], np.int64)

    found = units_of(given)

    distinct, of_row = np.unique(given, return_inverse=True)
    assert found.count == distinct.size
    assert found.of_row.tolist() == of_row.tolist()


def sizes_of(seed: int) -> list[int]:
    """Return units of which several lie across the ends of the parts, and one is longer than two."""
    random = np.random.default_rng(seed)
    sizes = random.geometric(0.01, 1_000).tolist()
    return [*sizes[:300], PART_ROWS * 2 + 17, *sizes[300:], PART_ROWS, 1, 1]


@pytest.mark.parametrize("seed", range(3))
def test_sums_that_are_made_in_parts_are_those_of_all_rows(seed: int) -> None:
    sizes = sizes_of(seed)
    labels = np.repeat(np.arange(len(sizes)), sizes)
    values = np.random.default_rng(seed).normal(0, 1, labels.size)

    parts = list(units_of(labels).sums(lambda part: (values[part],)).parts())

    assert max(map(len, parts)) < len(sizes)
    found: Floats = np.concatenate(parts)
    assert found[:, 0].tolist() == sizes
    assert found[:, 1] == pytest.approx(np.bincount(labels, weights=values), abs=1e-9)


def test_whole_units_have_all_their_rows_once() -> None:
    sizes = sizes_of(7)
    units = units_of(np.repeat(np.arange(len(sizes)), sizes))

    parts = list(whole_units(units))

    assert [size for _, of_row, _ in parts for size in np.bincount(of_row)] == sizes
    assert all(rows.stop == later.start for (rows, *_), (later, *_) in pairwise(parts))
    assert all(
        of_row.size <= PART_ROWS or count == 1 for _, of_row, count in parts
    )  # only a unit that is larger itself makes a larger part
