"""Errors of two versions on outcomes that are numbers. Pure."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from understudy.statistics.measures import PairedMeasure, paired_mean
from understudy.statistics.paired import mean_of
from understudy.statistics.units import Floats, Units


@dataclass(frozen=True, slots=True)
class ErrorComparison:
    """Errors in the unit of the outcome, squared ones in its square; lower is better."""

    rows: int
    absolute: PairedMeasure
    squared: PairedMeasure
    bias: PairedMeasure  # mean of score minus outcome; best at 0


def compare_errors(
    outcomes: NDArray[np.float64],
    champion: NDArray[np.float64],
    shadow: NDArray[np.float64],
    *,
    units: Units,
    confidence: float = 0.95,
) -> ErrorComparison:
    """Estimate mean absolute and squared errors and biases of both versions.

    Args:
        outcomes: shape (n,), finite.
        champion: score per row, shape (n,), finite.
        shadow: the same rows in the same order, shape (n,), finite.
        units: of the rows.
        confidence: coverage of each interval, in (0, 1).
    """

    def columns(rows: slice) -> tuple[Floats, ...]:
        one, two = champion[rows] - outcomes[rows], shadow[rows] - outcomes[rows]
        return np.abs(one), np.abs(two), one**2, two**2, one, two

    sums = units.sums(columns)
    absolute, squared, bias = (
        paired_mean(sums, mean_of(place), mean_of(place + 1), confidence=confidence)
        for place in (1, 3, 5)
    )
    return ErrorComparison(outcomes.size, absolute, squared, bias)
