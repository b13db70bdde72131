"""Dependence of the loss of rows on their values: scores or outcomes. Pure."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from understudy.statistics.measures import Number
from understudy.statistics.ranking import auc_of, can_compare_auc
from understudy.statistics.units import Labels

CONFIDENCE = 0.99


@dataclass(frozen=True, slots=True)
class LossDependence:
    """The chance that a lost row has the higher value, of a lost and a kept one; 0.5 if equal.

    `shift` is that chance less 0.5, times the share of lost rows: how far the kept rows differ
    in rank from all rows.
    """

    lost: int
    kept: int
    chance: Number  # with an interval at CONFIDENCE
    shift: float | None

    @property
    def is_shown(self) -> bool:
        """The interval excludes independence."""
        lower, upper = self.chance.lower, self.chance.upper
        return lower is not None and upper is not None and not lower <= 0.5 <= upper  # noqa: PLR2004 - equal chances


def loss_dependence(
    is_lost: NDArray[np.bool_], values: NDArray[np.float64], units: Labels
) -> LossDependence:
    """Compare a value of lost and kept rows, e.g. the champion's score or the outcome.

    The chance is the area under the ROC curve of the value as a sign of loss (Mann and Whitney
    1947), with its interval for rows of units.

    Args:
        is_lost: per row, shape (n,).
        values: known for lost and kept rows alike, shape (n,), finite.
        units: label of each row's unit, shape (n,).
    """
    lost = int(np.count_nonzero(is_lost))
    kept = is_lost.size - lost
    if not can_compare_auc(is_lost, units):
        why = "no row was lost" if lost == 0 else "too few rows were lost, or kept, to compare"
        return LossDependence(lost, kept, Number(None, None, None, 0.0, why), None)
    area, chance = auc_of(is_lost, values, clusters=units, confidence=CONFIDENCE)
    shift = None if area.value is None else (area.value - 0.5) * lost / is_lost.size
    return LossDependence(lost, kept, chance, shift)
