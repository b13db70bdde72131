"""Distances between the score distributions of two versions. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import special

from understudy.statistics.units import PART_ROWS

PSI_BINS = 10
_EMPTY_ROWS = 0.5  # the rows that an empty bin counts as; with none the index is infinite


@dataclass(frozen=True, slots=True)
class DistributionShift:
    ks_distance: float  # largest difference of the distribution functions, 0 to 1
    psi: float  # 0 for equal distributions
    psi_by_chance: float  # 95 % of independent samples of one distribution are below this
    psi_bins: int


def distribution_shift(
    champion: NDArray[np.float64],
    shadow: NDArray[np.float64],
    *,
    rows: float | None = None,
) -> DistributionShift:
    """Return both distances between the two samples of scores.

    Args:
        champion: shape (n,), finite.
        shadow: shape (m,), finite.
        rows: the effective number of rows, if units have several. None: the smaller of n and m.

    Raises:
        ValueError: a sample is empty.
    """
    psi, bins = population_stability_index(champion, shadow)
    effective = min(champion.size, shadow.size) if rows is None else rows
    return DistributionShift(
        ks_distance(champion, shadow), psi, psi_by_chance(bins, effective, effective), bins
    )


def psi_by_chance(bins: int, expected_rows: float, actual_rows: float) -> float:
    """Return the value that the index of two samples of one distribution exceeds in 5 %.

    Yurdakul and Naranjo 2020, "Statistical properties of the population stability index": the
    index is about (1/n + 1/m) times chi-squared with bins - 1 degrees of freedom. Fixed limits
    such as 0.25 mean nothing without it: two samples of 50 often exceed 0.4.
    """
    if bins < 2:  # noqa: PLR2004 - one bin has nothing to differ in
        return 0.0
    return float(special.chdtri(bins - 1, 0.05)) * (1 / expected_rows + 1 / actual_rows)


def ks_distance(first: NDArray[np.float64], second: NDArray[np.float64]) -> float:
    """Return the two-sample Kolmogorov-Smirnov distance (Smirnov 1939): max |F1 - F2|.

    It is a distance and not a test: paired samples are dependent, so the usual p-value is invalid.

    Raises:
        ValueError: a sample is empty.
    """
    _check_not_empty(first, second)
    samples = np.sort(first), np.sort(second)
    largest = 0.0
    for points in samples:  # the distance is largest at a score of either sample
        for start in range(0, points.size, PART_ROWS):
            at = points[start : start + PART_ROWS]
            one, two = (np.searchsorted(each, at, side="right") / each.size for each in samples)
            largest = max(largest, float(np.max(np.abs(one - two))))
    return largest


def quantiles_of_counts(
    values: NDArray[Any], counts: NDArray[Any], levels: Sequence[float]
) -> tuple[float, ...]:
    """Return quantiles of rows that are counted by value, by linear interpolation.

    Args:
        values: ascending, each once, shape (m,).
        counts: rows of each value, at least 1, shape (m,).
        levels: in [0, 1].

    Returns:
        NaN for each level if there is no value.
    """
    if values.size == 0:
        return (float("nan"),) * len(levels)
    last = np.cumsum(counts) - 1  # place of the last row of each value
    places = np.asarray(levels) * last[-1]
    low, high = np.floor(places), np.ceil(places)
    below, above = (values[np.searchsorted(last, each)].astype(np.float64) for each in (low, high))
    return tuple(map(float, below + (above - below) * (places - low)))


def population_stability_index(
    expected: NDArray[np.float64], actual: NDArray[np.float64], *, bins: int = PSI_BINS
) -> tuple[float, int]:
    """Return sum((a - e) ln(a / e)) over bins at the quantiles of `expected`, and the bins.

    This is the symmetrised Kullback-Leibler divergence of the binned samples (Jeffreys 1946; the
    name is from Siddiqi 2006, "Credit risk scorecards"). A score with the mass of a bin has a
    bin of its own, so that two different constants differ; an empty bin counts as half a row.

    Raises:
        ValueError: a sample is empty.
    """
    _check_not_empty(expected, actual)
    edges = _edges(expected, bins)
    shares = [_shares(sample, edges) for sample in (expected, actual)]
    index = float(np.sum((shares[1] - shares[0]) * np.log(shares[1] / shares[0])))
    return index, edges.size + 1


def _shares(sample: NDArray[np.float64], edges: NDArray[np.float64]) -> NDArray[np.float64]:
    bin_of = np.searchsorted(edges, sample, side="right")
    rows = np.bincount(bin_of, minlength=edges.size + 1)
    return np.maximum(rows, _EMPTY_ROWS) / sample.size


def _edges(expected: NDArray[np.float64], bins: int) -> NDArray[np.float64]:
    quantiles = np.quantile(expected, np.linspace(0, 1, bins + 1))
    inner = np.unique(quantiles[1:-1])
    values, counts = np.unique(quantiles, return_counts=True)
    heavy = values[counts > 1]  # scores that fill a bin
    return np.unique(np.concatenate([inner, heavy, np.nextafter(heavy, np.inf)]))


def _check_not_empty(*samples: NDArray[np.float64]) -> None:
    if any(sample.size == 0 for sample in samples):
        raise ValueError("expected at least one score of each version")
