"""Decisions at a threshold: counts by hand, references, and intervals that hold."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from sklearn.metrics import precision_score, recall_score

from understudy.domain.margins import Costs
from understudy.statistics.decisions import (
    decision_flips,
    decision_quality,
    matching_threshold,
    mcnemar,
)
from understudy.statistics.units import Units, units_of


def alone(rows: int) -> Units:
    return units_of(np.arange(rows))


def test_flips_are_counted_by_direction_and_the_threshold_itself_is_positive() -> None:
    champion = np.array([0.5, 0.4, 0.9, 0.1, 0.5, 0.49])
    shadow = np.array([0.4, 0.5, 0.9, 0.1, 0.49, 0.5])

    found = decision_flips(champion, shadow, threshold=0.5, units=alone(6))

    assert (found.to_positive, found.to_negative) == (2, 2)
    assert found.rate.estimate == pytest.approx(4 / 6)
    assert found.positive_share.difference.estimate == 0
    assert found.p_value == 1


def test_the_p_value_of_single_rows_is_mcnemars_exact_one() -> None:
    net = np.array([1.0] * 9 + [-1.0] * 2 + [0.0] * 20)

    found = mcnemar([net], flips=11, is_single=True)

    assert found == pytest.approx(stats.binomtest(9, 11).pvalue)


def test_a_unit_that_flips_many_rows_is_one_flip() -> None:
    net = np.array([40.0, 0.0, -1.0])

    found = mcnemar([net], flips=41, is_single=False)

    assert found == pytest.approx(stats.chi2.sf(39**2 / 1601, 1))
    assert found is not None
    assert found > 0.3


def test_without_a_flip_there_is_no_p_value() -> None:
    found = decision_flips(np.zeros(40), np.zeros(40), threshold=0.5, units=alone(40))

    assert found.p_value is None
    assert found.rate.upper == pytest.approx(1 - 0.025 ** (1 / 40))


@pytest.mark.parametrize("seed", range(4))
def test_shares_equal_those_of_scikit_learn(seed: int) -> None:
    random = np.random.default_rng(seed)
    labels = random.random(300) < 0.4
    champion, shadow = np.clip(0.4 * labels + random.random((2, 300)) * 0.8, 0, 1)

    found = decision_quality(labels, champion, shadow, threshold=0.5, units=alone(300))

    for measure, reference in ((found.recall, recall_score), (found.precision, precision_score)):
        one, two = reference(labels, champion >= 0.5), reference(labels, shadow >= 0.5)
        assert measure.champion.estimate == pytest.approx(one, abs=1e-12)
        assert measure.difference.estimate == pytest.approx(two - one, abs=1e-12)
    assert found.cost is None


def test_the_cost_is_that_of_the_wrong_decisions_per_row() -> None:
    labels = np.array([True, True, False, False])
    champion, shadow = np.array([0.9, 0.1, 0.1, 0.1]), np.array([0.9, 0.9, 0.9, 0.1])
    costs = Costs(false_positive=1, false_negative=10)

    found = decision_quality(labels, champion, shadow, threshold=0.5, units=alone(4), costs=costs)

    assert found.cost is not None
    assert (found.cost.champion.estimate, found.cost.shadow.estimate) == (10 / 4, 1 / 4)


def test_a_better_ranking_with_a_worse_threshold_shows_both() -> None:
    random = np.random.default_rng(1)
    labels = random.random(4_000) < 0.2
    champion = np.clip(0.45 * labels + random.normal(0.25, 0.2, 4_000), 0, 1)
    # It ranks better, but its scores are smaller: at the threshold it finds fewer positives.
    shadow = np.clip(0.5 * (0.45 * labels + random.normal(0.25, 0.12, 4_000)), 0, 1)

    found = decision_quality(labels, champion, shadow, threshold=0.5, units=alone(4_000))

    assert found.recall.difference.upper is not None
    assert found.recall.difference.upper < 0
    assert found.matched is not None
    assert found.matched.recall.difference.lower is not None
    assert found.matched.recall.difference.lower > 0


@given(st.lists(st.integers(0, 5), min_size=1, max_size=30), st.integers(0, 30))
def test_a_matching_threshold_gives_the_most_alarms_that_do_not_exceed_the_wanted(
    values: list[int], wanted: int
) -> None:
    scores = np.array(values, np.float64)
    wanted = min(wanted, scores.size)

    found = matching_threshold(scores, wanted)

    alarms = int((scores >= found).sum())
    assert alarms <= wanted
    possible = {int((scores >= value).sum()) for value in scores} | {0}
    assert alarms == max(count for count in possible if count <= wanted)


@pytest.mark.parametrize("positives", [5, 30])
def test_the_difference_of_recalls_covers_zero_with_few_positives(positives: int) -> None:
    random = np.random.default_rng(positives)
    labels = np.arange(300) < positives
    covered = 0
    for _ in range(120):
        veil = random.normal(0, 0.7, 300)
        champion, shadow = 2.0 * labels + veil + random.normal(0, 0.7, (2, 300))
        recall = decision_quality(labels, champion, shadow, threshold=1.0, units=alone(300)).recall
        found = recall.difference
        assert found.lower is not None
        assert found.upper is not None
        covered += found.lower <= 0 <= found.upper

    assert covered / 120 >= 0.9
