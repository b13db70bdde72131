"""Distances between the score distributions of two versions. Pure."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

PSI_BINS = 10
_PSI_FLOOR = 1e-4  # the share given to an empty bin, without which the index is infinite


@dataclass(frozen=True, slots=True)
class DistributionShift:
    ks_distance: float  # largest difference of the distribution functions, 0 to 1
    psi: float  # 0 for equal distributions; above 0.25 is commonly called a major shift


def distribution_shift(
    champion: NDArray[np.float64], shadow: NDArray[np.float64]
) -> DistributionShift:
    """Return both distances between the two samples of scores.

    Raises:
        ValueError: a sample is empty.
    """
    return DistributionShift(
        ks_distance(champion, shadow), population_stability_index(champion, shadow)
    )


def ks_distance(first: NDArray[np.float64], second: NDArray[np.float64]) -> float:
    """Return the two-sample Kolmogorov-Smirnov distance (Smirnov 1939): max |F1 - F2|.

    It is a distance and not a test: paired samples are dependent, so the usual p-value is invalid.

    Raises:
        ValueError: a sample is empty.
    """
    _check_not_empty(first, second)
    points = np.concatenate([first, second])
    share_first = np.searchsorted(np.sort(first), points, side="right") / first.size
    share_second = np.searchsorted(np.sort(second), points, side="right") / second.size
    return float(np.max(np.abs(share_first - share_second)))


def population_stability_index(
    expected: NDArray[np.float64], actual: NDArray[np.float64], *, bins: int = PSI_BINS
) -> float:
    """Return sum((a - e) ln(a / e)) over bins at the quantiles of `expected`.

    This is the symmetrised Kullback-Leibler divergence of the binned samples (Jeffreys 1946; the
    name is from Siddiqi 2006, "Credit risk scorecards"). Bins with equal edges are merged; an
    empty bin counts as a share of 0.0001.

    Raises:
        ValueError: a sample is empty.
    """
    _check_not_empty(expected, actual)
    edges = np.unique(np.quantile(expected, np.linspace(0, 1, bins + 1)[1:-1]))
    shares = [
        np.maximum(
            np.bincount(np.searchsorted(edges, sample, side="right"), minlength=edges.size + 1)
            / sample.size,
            _PSI_FLOOR,
        )
        for sample in (expected, actual)
    ]
    return float(np.sum((shares[1] - shares[0]) * np.log(shares[1] / shares[0])))


def _check_not_empty(*samples: NDArray[np.float64]) -> None:
    if any(sample.size == 0 for sample in samples):
        raise ValueError("expected at least one score of each version")
