"""Data as analysts bring it, in pairs, arms and A/A tests: each number right, or its reason.

The expected numbers are those of numpy, scipy and scikit-learn on the same rows.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats
from sklearn import metrics

from understudy.comparison.evidence.arm_rows import NO_ROWS, ArmEvidence, AssignedRows
from understudy.comparison.evidence.rows import PairedRows
from understudy.comparison.plan import Plan
from understudy.comparison.sections.arms import ArmComparison, compare_arms
from understudy.comparison.sections.curves import curves_of
from understudy.comparison.sections.days import days_of
from understudy.comparison.sections.decisions import compare_decisions
from understudy.comparison.sections.quality import compare_quality
from understudy.comparison.sections.scores import compare_scores
from understudy.domain.margins import Costs
from understudy.statistics.measures import Number

Floats = NDArray[np.float64]
ROWS, THRESHOLD = 240, 0.5
PLAN = Plan(threshold=THRESHOLD, costs=Costs(1, 20))
REASONS = (
    "no row that it could be computed from",
    "all its rows are of one unit",
    "without one of its units it has no value",
)
Compared = Iterator[tuple[str, Number, float]]  # measure, ours, theirs


@dataclass(frozen=True)
class Given:
    """Rows of an analyst's."""

    champion: Floats
    shadow: Floats
    label: Floats
    unit: NDArray[np.int64]


def plain(seed: int = 7) -> Given:
    random = np.random.default_rng(seed)
    label = (random.random(ROWS) < 0.3).astype(np.float64)
    champion = np.clip(0.3 + 0.3 * label + random.normal(0, 0.15, ROWS), 0.01, 0.99)
    shadow = np.clip(champion + random.normal(0.01, 0.1, ROWS), 0.01, 0.99)
    return Given(champion, shadow, label, np.arange(ROWS))


def far(size: float, spread: float) -> Given:
    """Return outcomes that are numbers of that size, and scores near them."""
    random = np.random.default_rng(3)
    label = size + random.normal(0, spread, ROWS)
    champion, shadow = label + random.normal(0, spread / 9, (2, ROWS))
    return Given(champion, shadow, label, np.arange(ROWS))


def few_positives(count: int) -> Given:
    return replace(
        plain(), label=(np.arange(ROWS) % 60 < 1).astype(float) * (np.arange(ROWS) < 60 * count)
    )


def most_of_one_unit() -> Given:
    return replace(plain(), unit=np.maximum(np.arange(ROWS) - ROWS * 4 // 5, 0))


def some_labels(values: tuple[float, ...]) -> Given:
    return replace(plain(), label=np.resize(np.array(values), ROWS))


GIVEN = {
    "plain": plain(),
    "constant scores": replace(plain(), champion=np.full(ROWS, 0.3), shadow=np.full(ROWS, 0.7)),
    "equal constants": replace(plain(), champion=np.full(ROWS, 0.3), shadow=np.full(ROWS, 0.3)),
    "only negatives": some_labels((0.0,)),
    "only positives": some_labels((1.0,)),
    "no outcome": some_labels((np.nan,)),
    "one outcome": replace(plain(), label=np.where(np.arange(ROWS) == 9, 1.0, np.nan)),
    "one positive": few_positives(1),
    "two positives": few_positives(2),
    "classes of -1 and 1": some_labels((-1.0, 1.0)),
    "one label of 2": replace(plain(), label=np.where(np.arange(ROWS) == 9, 2.0, plain().label)),
    "prices": far(1e6, 1e5),
    "times": far(1.7e9, 100.0),
    "prices below 0": far(-1e-3, 1e-4),
    "most rows of one unit": most_of_one_unit(),
    "scores clipped at both ends": replace(
        plain(),
        champion=np.clip(3 * plain().champion - 1, 0, 1),
        shadow=np.clip(3 * plain().shadow - 1, 0, 1),
    ),
    "log odds": replace(
        plain(),
        champion=np.log(plain().champion / (1 - plain().champion)),
        shadow=np.log(plain().shadow / (1 - plain().shadow)),
    ),
    "perfect ranking": replace(plain(), champion=0.2 + 0.5 * plain().label),
    "largest numbers": replace(
        plain(), champion=plain().champion * 1e60, shadow=plain().shadow * 1e60
    ),
    "an A/A test": replace(plain(), shadow=plain().champion),
}


def of_paired(data: Given) -> PairedRows:
    return PairedRows(
        data.champion, data.shadow, unit=data.unit, label=data.label, day=np.arange(ROWS) // 120
    )


def of_arms(data: Given) -> tuple[NDArray[np.bool_], ArmComparison]:
    """Return the rows of the challenger's arm, every fourth unit, and the comparison."""
    seats = data.unit % 4 == 0
    nothing = np.zeros(ROWS)
    rows = AssignedRows(
        is_challenger=seats,
        assigned_bp=np.where(seats, 2_500, 7_500).astype(np.uint16),
        score=np.where(seats, data.shadow, data.champion),
        label=data.label,
        level=nothing.astype(np.uint8),
        total_us=nothing.astype(np.uint32),
        day=nothing.astype(np.int32),
        unit=data.unit,
    )
    return seats, compare_arms(ArmEvidence(NO_ROWS, NO_ROWS, (), (), 0, rows), PLAN)


def numbers_of_pairs(data: Given) -> Compared:
    """Yield the shadow's measures beside those of the libraries."""
    scores = compare_scores(of_paired(data), confidence=0.95)
    assert scores is not None
    yield "mean score", scores.mean.shadow, float(np.mean(data.shadow))
    known = ~np.isnan(data.label)
    quality = compare_quality(of_paired(data), PLAN)
    if quality is None:
        assert not known.any()
        return
    label, score = data.label[known], data.shadow[known]
    if quality.numbers is not None:
        yield from (
            (
                "absolute",
                quality.numbers.absolute.shadow,
                metrics.mean_absolute_error(label, score),
            ),
            ("squared", quality.numbers.squared.shadow, metrics.mean_squared_error(label, score)),
            ("bias", quality.numbers.bias.shadow, float(np.mean(score - label))),
        )
        return
    assert quality.classes is not None
    if quality.classes.auc is not None:
        yield "AUC", quality.classes.auc.shadow, metrics.roc_auc_score(label, score)
    if quality.classes.calibration is not None:
        found, truth = quality.classes.calibration, label == 1
        brier = float(np.mean((score - label) ** 2))
        yield "Brier", found.brier.shadow, brier
        yield (
            "log loss",
            found.log_loss.shadow,
            metrics.log_loss(truth, score, labels=[False, True]),
        )
    (acting,) = compare_decisions(of_paired(data), PLAN)
    assert acting.quality is not None
    alarm = score >= THRESHOLD
    for name, number in (
        ("recall", acting.quality.recall),
        ("precision", acting.quality.precision),
    ):
        theirs = getattr(metrics, f"{name}_score")(label, alarm, zero_division=np.nan)
        yield name, number.shadow, theirs


def numbers_of_arms(data: Given) -> Compared:
    """Yield the measures of the challenger's arm beside those of the libraries."""
    seats, found = of_arms(data)
    known = seats & ~np.isnan(data.label)
    label, score = data.label[known], data.shadow[known]
    (acting,) = found.decisions
    measures = {**found.measures, **acting.measures}
    theirs = {
        "mean score": float(np.mean(data.shadow[seats])),
        "share of positive decisions": float(np.mean(data.shadow[seats] >= THRESHOLD)),
    }
    if label.size:
        theirs |= {
            "mean outcome": float(np.mean(label)),
            "mean absolute error": metrics.mean_absolute_error(label, score),
            "mean squared error": metrics.mean_squared_error(label, score),
            "bias": float(np.mean(score - label)),
            "Brier": float(np.mean((score - label) ** 2)),
        }
    if np.isin(label, (0, 1)).all() and label.size:
        alarm = score >= THRESHOLD
        theirs["recall"] = metrics.recall_score(label, alarm, zero_division=np.nan)
        theirs["precision"] = metrics.precision_score(label, alarm, zero_division=np.nan)
        if np.unique(label).size == 2:
            theirs["AUC"] = metrics.roc_auc_score(label, score)
        if score.min() >= 0 and score.max() <= 1:
            theirs["log loss"] = metrics.log_loss(label == 1, score, labels=[False, True])
    for name in measures.keys() & theirs.keys():
        yield name, measures[name].challenger, theirs[name]


def check(name: str, ours: Number, theirs: float) -> None:
    if np.isnan(theirs):
        assert (ours.estimate, ours.lower) == (None, None), name
        assert ours.why in REASONS, name
        return
    assert ours.estimate is not None, name
    assert ours.estimate == pytest.approx(theirs, rel=1e-9, abs=1e-12), name
    if ours.lower is None or ours.upper is None:
        assert ours.why in REASONS, name
        return
    slack = 1e-9 * abs(ours.estimate)
    assert ours.lower - slack <= ours.estimate <= ours.upper + slack, name


@pytest.mark.parametrize("name", GIVEN)
def test_each_number_is_right_or_has_its_reason(name: str) -> None:
    data = GIVEN[name]

    found = [*numbers_of_pairs(data), *numbers_of_arms(data)]

    assert found
    for measure, ours, theirs in found:
        check(measure, ours, theirs)
    # Nothing else of the report fails: warnings of numpy are errors here.
    curves_of(of_paired(data))
    days_of(of_paired(data), PLAN)


@pytest.mark.parametrize("name", [each for each in GIVEN if "most rows" not in each])
def test_intervals_of_means_are_those_of_the_t_tests(name: str) -> None:
    data = GIVEN[name]
    scores = compare_scores(of_paired(data), confidence=0.95)
    assert scores is not None
    seats, of_both = of_arms(data)

    # Theirs about a centre: far from 0 they round, too.
    centre = data.champion.mean()
    one, two = data.champion - centre, data.shadow - centre
    differences = two - one
    if np.ptp(differences) > 0:
        paired = stats.ttest_1samp(differences, 0).confidence_interval(0.95)
        found = scores.mean.difference
        assert (found.lower, found.upper) == pytest.approx(tuple(paired), rel=1e-9)
    if np.ptp(two[seats]) > 0 and np.ptp(one[~seats]) > 0:
        welch = stats.ttest_ind(two[seats], one[~seats], equal_var=False).confidence_interval(0.95)
        found = of_both.measures["mean score"].difference
        assert (found.lower, found.upper) == pytest.approx(tuple(welch), rel=1e-9)


@settings(max_examples=15)
@given(size=st.floats(-1e9, 1e9), seed=st.integers(0, 99))
def test_a_constant_in_both_scores_moves_no_difference(size: float, seed: int) -> None:
    data = plain(seed)
    away = replace(data, champion=data.champion + size, shadow=data.shadow + size)

    near, moved = (compare_scores(of_paired(each), confidence=0.95) for each in (data, away))

    assert near is not None
    assert moved is not None
    ends = [(each.mean.difference.lower, each.mean.difference.upper) for each in (near, moved)]
    assert ends[1] == pytest.approx(ends[0], abs=abs(size) * 1e-14 + 1e-12)
    assert moved.mean.champion.estimate == pytest.approx((near.mean.champion.estimate or 0) + size)


def test_a_unit_with_most_rows_widens_the_intervals_and_is_counted() -> None:
    alone, dominated = (
        compare_scores(of_paired(each), confidence=0.95) for each in (plain(), most_of_one_unit())
    )

    assert alone is not None
    assert dominated is not None
    assert dominated.mean.difference.effective_units < 2
    widths = [
        (each.mean.difference.upper or 0) - (each.mean.difference.lower or 0)
        for each in (alone, dominated)
    ]
    assert widths[1] > 5 * widths[0]
