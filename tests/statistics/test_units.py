"""Variances over units: brute force, and the number of units that a few large ones leave."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from understudy.statistics.units import Floats, effective_units, jackknife, ratio, units_of


def share(totals: Floats) -> Floats:
    return ratio(totals[..., 1], totals[..., 0])


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
    sums = units.sums(below, above)

    found = jackknife(sums, share, weights=sums[:, 0])

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
    sums = units_of(np.arange(50)).sums(np.ones(50), values)

    found = jackknife(sums, share, weights=sums[:, 0])

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
    sums = np.zeros((3, 2))

    found = jackknife(sums, share, weights=sums[:, 0])

    assert (found.value, found.variance) == (None, None)
    assert found.why == "no row that it could be computed from"


def test_a_number_that_one_unit_alone_makes_possible_has_no_variance() -> None:
    def precision(totals: Floats) -> Floats:
        return ratio(totals[..., 1], totals[..., 0])

    # Only the first unit has positive decisions; all have rows.
    sums = np.array([[3.0, 2.0, 5.0], [0.0, 0.0, 4.0], [0.0, 0.0, 4.0]])

    found = jackknife(sums, precision, weights=sums[:, 2])

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
