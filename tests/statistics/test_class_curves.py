"""Curves over all thresholds: against scikit-learn, by leaving out units, and their coverage."""

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats
from sklearn.metrics import precision_recall_curve, roc_curve

from understudy.statistics.class_curves import Band, class_curves
from understudy.statistics.intervals import share_interval
from understudy.statistics.units import Estimate, units_of

Floats = NDArray[np.float64]
SHIFT = 1.2  # of positives, in standard deviations of either class


def drawn(seed: int, rows: int = 300, *, per_unit: int = 1) -> tuple[NDArray[np.bool_], Floats]:
    """Return labels and binormal scores; the rows of a unit share half of their variance."""
    random = np.random.default_rng(seed)
    shared = random.normal(size=rows // per_unit).repeat(per_unit)
    labels = random.random(rows) < 0.4
    own = random.normal(size=rows)
    noise = own if per_unit == 1 else np.sqrt(0.5) * (shared + own)
    return labels, SHIFT * labels + noise


@pytest.mark.parametrize("decimals", [1, 12])
def test_the_points_are_those_of_scikit_learn(decimals: int) -> None:
    labels, scores = drawn(1, 90)
    scores = np.round(scores, decimals)

    found = class_curves(labels, scores, units=units_of(np.arange(90)))

    rates, recall, _ = roc_curve(labels, scores, drop_intermediate=False)
    np.testing.assert_allclose(np.array(found.roc), np.column_stack([rates, recall]), atol=1e-12)
    precision, recall, _ = precision_recall_curve(labels, scores)
    expected = np.column_stack([recall, precision])[:-1][::-1]  # without the point of no alarm
    np.testing.assert_allclose(np.array(found.precision_recall), expected, atol=1e-12)


def test_a_band_of_few_units_leaves_out_one_at_a_time() -> None:
    labels, scores = drawn(2, 240)
    unit = np.arange(240) % 40

    band = class_curves(labels, scores, units=units_of(unit)).roc_band

    rate, lower, upper = band.points[len(band.points) // 2]

    def recall(chosen: NDArray[np.bool_]) -> float:
        rates, recalls, _ = roc_curve(labels[chosen], scores[chosen], drop_intermediate=False)
        return float(np.interp(rate, rates, recalls))

    whole = recall(np.ones(240, bool))
    moves = np.array([recall(unit != each) - whole for each in range(40)])
    weights = np.array([np.sum(labels[unit == each]) for each in range(40)], float)
    others = np.array([np.sum(~labels[unit == each]) for each in range(40)], float)
    effective = min(each.sum() ** 2 / (each @ each) for each in (weights, others))
    estimate = Estimate(whole, 39 / 40 * float(moves @ moves), effective)
    expected = share_interval(estimate, rows=float(labels.sum()), confidence=0.95)
    assert expected is not None
    assert (lower, upper) == pytest.approx((expected.lower, expected.upper), abs=1e-9)


@pytest.mark.long
@pytest.mark.parametrize(("rows", "per_unit"), [(400, 1), (1_200, 4)])
def test_each_point_of_the_true_curve_is_in_the_band_at_its_confidence(
    rows: int, per_unit: int
) -> None:
    runs, inside = 100, []
    for seed in range(runs):
        labels, scores = drawn(seed, rows, per_unit=per_unit)
        units = units_of(np.arange(rows) // per_unit)
        band = class_curves(labels, scores, units=units).roc_band
        rates, lower, upper = np.array(band.points).T
        truth = stats.norm.sf(stats.norm.isf(rates) - SHIFT)
        inside.append(np.mean((lower <= truth) & (truth <= upper)))

    # The points of a band depend on each other, so the spread is that of whole bands.
    assert 0.92 <= np.mean(inside) <= 0.985


def test_a_class_of_few_units_has_no_band_and_says_why() -> None:
    labels, scores = np.arange(90) < 4, np.linspace(1, 0, 90)

    found = class_curves(labels, scores, units=units_of(np.arange(90)))

    why = "a class rests on 4.0 effective units; at least 10 are needed"
    assert found.roc_band == found.precision_recall_band == Band((), why)


def test_rows_that_are_one_unit_and_alike_widen_the_band() -> None:
    labels, scores = drawn(5, 1_000)
    scores[:150] -= 1.5 * labels[:150]

    def width(unit: NDArray[np.int64]) -> float:
        _, lower, upper = np.array(
            class_curves(labels, scores, units=units_of(unit)).roc_band.points
        ).T
        return float(np.mean(upper - lower))

    alone, dominated = np.arange(1_000), np.maximum(np.arange(1_000) - 150, 0)

    assert width(dominated) > 1.2 * width(alone)
