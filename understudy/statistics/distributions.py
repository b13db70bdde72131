"""Distances between the score distributions of two versions, or of two arms. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import special

from understudy.statistics.units import (
    PART_ROWS,
    Floats,
    OfTotals,
    Units,
    effective_units,
    jackknives,
    ratio,
)

PSI_BINS = 10
_DECILES = np.linspace(0.1, 0.9, 9)
_BY_CHANCE = 0.05  # of independent samples of one distribution exceed a value by chance
_EMPTY_ROWS = 0.5  # the rows that an empty bin counts as; with none the index is infinite


@dataclass(frozen=True, slots=True)
class DistributionShift:
    """Both distances. They have no interval: they are biased away from 0, by about what chance gives."""

    ks_distance: float  # largest difference of the distribution functions, 0 to 1
    ks_by_chance: float  # 95 % of independent samples of one distribution are below this
    psi: float  # 0 for equal distributions
    psi_by_chance: float  # as of the other distance
    psi_bins: int


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """The scores of a version, shape (n,), finite."""

    scores: Floats
    weights: Floats | None = None  # of the rows, above 0; None: all are equal
    effective_rows: float | None = None  # if units have several; None: n

    @classmethod
    def of(cls, scores: Floats, units: Units, weights: Floats | None = None) -> "Sample":
        """Return the sample of rows of units."""
        return cls(scores, weights, independent_rows(scores, units, weights))

    @property
    def independent_rows(self) -> float:
        return self.scores.size if self.effective_rows is None else self.effective_rows


class Distribution:
    """The distribution function of a sample: the share of its rows at or below a score."""

    def __init__(self, sample: Sample) -> None:
        if sample.weights is None:
            self.scores, self._total = np.sort(sample.scores), float(sample.scores.size)
            self._weight_up_to = None
            return
        order = np.argsort(sample.scores)
        self.scores = sample.scores[order]
        self._weight_up_to = np.concatenate([[0.0], np.cumsum(sample.weights[order])])
        self._total = float(self._weight_up_to[-1])

    def up_to(self, scores: Floats) -> Floats:
        places = np.searchsorted(self.scores, scores, side="right")
        found = places if self._weight_up_to is None else self._weight_up_to[places]
        shares: Floats = found / self._total
        return shares


def distribution_shift(champion: Sample, other: Sample) -> DistributionShift:
    """Return both distances between two samples of scores.

    Their values by chance are those of independent samples, as arms are; scores of the same rows
    are closer by chance.

    Raises:
        ValueError: a sample is empty.
    """
    psi, bins = population_stability_index(champion, other)
    rows = champion.independent_rows, other.independent_rows
    return DistributionShift(
        ks_distance=ks_distance(champion, other),
        ks_by_chance=ks_by_chance(*rows),
        psi=psi,
        psi_by_chance=psi_by_chance(bins, *rows),
        psi_bins=bins,
    )


def independent_rows(scores: Floats, units: Units, weights: Floats | None = None) -> float:
    """Return how many independent rows would have distribution functions that vary as much.

    n over the mean design effect of the shares at or below each decile: the first-order correction
    of Rao and Scott 1981, "The analysis of categorical data from complex sample surveys". Without a
    variance (a constant score, a single unit) each effective unit counts as one row.

    Args:
        scores: shape (n,), at least one.
        units: of the rows.
        weights: of the rows, above 0. None: all are equal.
    """
    deciles = np.unique(np.quantile(scores, _DECILES))

    def columns(rows: slice) -> list[NDArray[Any]]:
        weight = np.ones(scores[rows].size) if weights is None else weights[rows]
        return [weight, *(weight * (scores[rows] <= each) for each in deciles)]

    shares = [_share_of_weight(2 + place) for place in range(deciles.size)]
    found = jackknives(units.sums(columns), shares)
    variance = sum(each.variance or 0.0 for each in found)
    if variance == 0:
        return effective_units(units.weights(weights))
    spread = sum(each.value * (1 - each.value) for each in found if each.value is not None)
    return min(spread / variance * units.count / (units.count - 1), float(scores.size))


def ks_by_chance(first_rows: float, second_rows: float) -> float:
    """Return the distance that two samples of one continuous distribution exceed in 5 %.

    Smirnov 1939: the limit of Kolmogorov's distribution, which is somewhat large for few rows, and
    for scores with ties.
    """
    return min(1.0, float(special.kolmogi(_BY_CHANCE)) * sqrt(1 / first_rows + 1 / second_rows))


def psi_by_chance(bins: int, expected_rows: float, actual_rows: float) -> float:
    """Return the value that the index of two samples of one distribution exceeds in 5 %.

    Yurdakul and Naranjo 2020, "Statistical properties of the population stability index": the
    index is about (1/n + 1/m) times chi-squared with bins - 1 degrees of freedom. Fixed limits
    such as 0.25 mean nothing without it: two samples of 50 often exceed 0.4.
    """
    if bins < 2:  # noqa: PLR2004 - one bin has nothing to differ in
        return 0.0
    rows = 1 / expected_rows + 1 / actual_rows
    return float(special.chdtri(bins - 1, _BY_CHANCE)) * rows


def ks_distance(first: Sample, second: Sample) -> float:
    """Return the two-sample Kolmogorov-Smirnov distance (Smirnov 1939): max |F1 - F2|.

    It is a distance and not a test: paired samples are dependent, so the usual p-value is invalid.

    Raises:
        ValueError: a sample is empty.
    """
    _check_not_empty(first, second)
    samples = Distribution(first), Distribution(second)
    largest = 0.0
    for each in samples:  # the distance is largest at a score of either sample
        for start in range(0, each.scores.size, PART_ROWS):
            at = each.scores[start : start + PART_ROWS]
            one, two = (sample.up_to(at) for sample in samples)
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
    expected: Sample, actual: Sample, *, bins: int = PSI_BINS
) -> tuple[float, int]:
    """Return sum((a - e) ln(a / e)) over bins at the quantiles of `expected`, and the bins.

    This is the symmetrised Kullback-Leibler divergence of the binned samples (Jeffreys 1946; the
    name is from Siddiqi 2006, "Credit risk scorecards"). A score with the mass of a bin has a
    bin of its own, so that two different constants differ; an empty bin counts as half a row.

    Raises:
        ValueError: a sample is empty.
    """
    _check_not_empty(expected, actual)
    edges = _edges(expected.scores, bins)
    shares = [_shares(sample, edges) for sample in (expected, actual)]
    index = float(np.sum((shares[1] - shares[0]) * np.log(shares[1] / shares[0])))
    return index, edges.size + 1


def _share_of_weight(column: int) -> OfTotals:
    return OfTotals(
        lambda totals: ratio(totals[..., column], totals[..., 1]), lambda sums: sums[:, 1]
    )


def _shares(sample: Sample, edges: Floats) -> Floats:
    bin_of = np.searchsorted(edges, sample.scores, side="right")
    rows = np.bincount(bin_of, weights=sample.weights, minlength=edges.size + 1)
    total = sample.scores.size if sample.weights is None else float(sample.weights.sum())
    least = _EMPTY_ROWS * total / sample.scores.size
    return np.maximum(rows, least) / total


def _edges(expected: Floats, bins: int) -> Floats:
    quantiles = np.quantile(expected, np.linspace(0, 1, bins + 1))
    inner = np.unique(quantiles[1:-1])
    values, counts = np.unique(quantiles, return_counts=True)
    heavy = values[counts > 1]  # scores that fill a bin
    return np.unique(np.concatenate([inner, heavy, np.nextafter(heavy, np.inf)]))


def _check_not_empty(*samples: Sample) -> None:
    if any(sample.scores.size == 0 for sample in samples):
        raise ValueError("expected at least one score of each version")
