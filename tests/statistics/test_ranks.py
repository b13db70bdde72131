"""Ranks and ordered pairs, against scipy and brute force, with ties and over the ends of parts."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from understudy.statistics.distributions import quantiles_of_counts
from understudy.statistics.ranks import midranks_doubled, wins_doubled
from understudy.statistics.units import PART_ROWS


@given(st.lists(st.tuples(st.booleans(), st.integers(-4, 4)), min_size=1, max_size=40))
def test_a_row_wins_against_each_row_of_the_other_class_that_it_is_ordered_well_with(
    rows: list[tuple[bool, int]],
) -> None:
    labels = np.array([label for label, _ in rows])
    scores = np.array([float(score) for _, score in rows])

    found = wins_doubled(labels, scores)

    expected = [
        sum((mine > other) * 2 + (mine == other) for is_positive, other in rows if not is_positive)
        if label
        else sum((other > mine) * 2 + (mine == other) for is_positive, other in rows if is_positive)
        for label, mine in rows
    ]
    assert found.tolist() == expected


@pytest.mark.parametrize("values", [None, 50, 3, 1])
def test_ranks_and_wins_of_many_rows_are_those_of_scipy(values: int | None) -> None:
    random = np.random.default_rng(5)
    scores = random.random(3 * PART_ROWS + 11)
    if values is not None:  # ties that are longer than a part
        scores = np.floor(scores * values)
    labels = random.random(scores.size) < 0.3

    ranks, wins = midranks_doubled(scores), wins_doubled(labels, scores)

    assert (ranks == 2 * stats.rankdata(scores)).all()
    won = stats.mannwhitneyu(scores[labels], scores[~labels]).statistic
    assert wins[labels].sum(dtype=np.int64) / 2 == won
    assert wins[~labels].sum(dtype=np.int64) / 2 == won


@given(
    st.lists(st.integers(0, 9), min_size=1, max_size=60),
    st.lists(st.floats(0, 1), min_size=1, max_size=4),
)
def test_quantiles_of_counted_rows_are_those_of_the_rows(
    rows: list[int], levels: list[float]
) -> None:
    values, counts = np.unique(rows, return_counts=True)

    found = quantiles_of_counts(values, counts, levels)

    assert found == pytest.approx(np.quantile(rows, levels), abs=1e-9)
