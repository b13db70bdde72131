"""Differences between the scores of two versions on the same requests. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from understudy.statistics.measures import PairedMeasure, paired_mean
from understudy.statistics.ranks import midranks_doubled
from understudy.statistics.units import PART_ROWS, OfTotals, Units, dot, ratio

MIN_PAIRS = 2


@dataclass(frozen=True, slots=True)
class Agreement:
    """Limits of agreement: the range of 95 % of the differences of single rows, if normal."""

    lower: float
    upper: float


@dataclass(frozen=True, slots=True)
class Correlation:
    """Correlations of the scores; None if a version gave a constant score."""

    pearson: float | None
    spearman: float | None


def mean_scores(
    champion: NDArray[np.float64],
    shadow: NDArray[np.float64],
    *,
    units: Units,
    confidence: float = 0.95,
) -> PairedMeasure:
    """Estimate both mean scores and the mean of shadow minus champion over paired rows.

    With one row per unit the interval of the difference is that of the paired t-test.

    Args:
        champion: score per row, shape (n,), finite.
        shadow: the same rows in the same order, shape (n,), finite.
        units: of the rows.
        confidence: coverage of the intervals, in (0, 1).

    Raises:
        ValueError: as in `paired_differences`.
    """
    paired_differences(champion, shadow)
    centre = float(champion.mean())
    sums = units.sums(lambda rows: (champion[rows] - centre, shadow[rows] - centre))
    return paired_mean(sums, mean_of(1), mean_of(2), confidence=confidence, centre=centre)


def mean_of(column: int) -> OfTotals:
    """Return the mean of a column of sums whose column 0 is the number of rows."""
    return OfTotals(
        lambda totals: ratio(totals[..., column], totals[..., 0]), lambda sums: sums[:, 0]
    )


def agreement(champion: NDArray[np.float64], shadow: NDArray[np.float64]) -> Agreement:
    """Return the mean difference plus and minus 1.96 standard deviations of single differences.

    Bland and Altman 1986, "Statistical methods for assessing agreement between two methods of
    clinical measurement". Raises the errors of `paired_differences`.
    """
    differences = paired_differences(champion, shadow)
    mean, spread = float(differences.mean()), 1.96 * float(differences.std(ddof=1))
    return Agreement(mean - spread, mean + spread)


def paired_differences(
    champion: NDArray[np.float64], shadow: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return shadow minus champion per row.

    Raises:
        ValueError: the shapes differ, there are fewer than MIN_PAIRS rows, or a score is not
            finite.
    """
    if champion.ndim != 1 or champion.shape != shadow.shape:
        raise ValueError(
            f"expected two 1-D arrays of equal length, got {champion.shape} and {shadow.shape}"
        )
    if champion.size < MIN_PAIRS:
        raise ValueError(f"expected at least {MIN_PAIRS} pairs, got {champion.size}")
    differences = shadow - champion
    if not np.isfinite(differences).all():
        raise ValueError("scores must be finite")
    return differences


def absolute_quantiles(
    champion: NDArray[np.float64], shadow: NDArray[np.float64], levels: Sequence[float]
) -> tuple[float, ...]:
    """Return quantiles of |shadow - champion|, by linear interpolation (Hyndman and Fan 7).

    Raises:
        ValueError: as in `paired_differences`.
    """
    distances = paired_differences(champion, shadow)
    np.abs(distances, out=distances)
    found = np.quantile(distances, levels, overwrite_input=True)
    return tuple(float(value) for value in found)


def correlate(champion: NDArray[np.float64], shadow: NDArray[np.float64]) -> Correlation:
    """Return Pearson's r of the scores and of their ranks (Spearman's rho, ties averaged).

    Raises:
        ValueError: as in `paired_differences`.
    """
    paired_differences(champion, shadow)
    return Correlation(
        _pearson(champion, shadow),
        _pearson(midranks_doubled(champion), midranks_doubled(shadow)),
    )


def _pearson(first: NDArray[Any], second: NDArray[Any]) -> float | None:
    spans = float(np.ptp(first)), float(np.ptp(second))
    if 0 in spans:
        return None
    means = float(first.mean()), float(second.mean())
    products = np.zeros(3)
    for start in range(0, first.size, PART_ROWS):
        part = slice(start, start + PART_ROWS)
        one, two = (first[part] - means[0]) / spans[0], (second[part] - means[1]) / spans[1]
        products += dot(one, two), dot(one, one), dot(two, two)
    scale = sqrt(products[1]) * sqrt(products[2])
    return None if scale == 0 else float(np.clip(products[0] / scale, -1.0, 1.0))
