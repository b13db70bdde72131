"""Estimates without each of some groups of units, for shares along whole curves. Pure.

A curve over all rows would cost as much for each unit that is left out as for all of them. So units
are dealt into at most MOST_GROUPS groups, and a group is left out at a time: Kott 2001, "The
delete-a-group jackknife". With up to MOST_GROUPS units each is a group of its own.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from understudy.statistics.intervals import share_interval
from understudy.statistics.measures import Number, number_of
from understudy.statistics.units import (
    MIN_UNITS,
    Estimate,
    Floats,
    Labels,
    Units,
    dot,
    effective_units,
)

MOST_GROUPS = 50


@dataclass(frozen=True, slots=True, eq=False)
class Groups:
    """Groups of the units of n rows. Units are dealt in turn, so the sizes differ by one unit."""

    units: Units
    count: int

    @classmethod
    def of(cls, units: Units) -> "Groups":
        return cls(units, min(MOST_GROUPS, units.count))

    def counts(
        self, rows: slice, places: NDArray[np.int64], size: int, weights: Floats | None = None
    ) -> NDArray[Any]:
        """Return how many of some rows each group has at each place, shape (count, size).

        Args:
            rows: the rows.
            places: of these rows, from 0 to size - 1.
            size: the number of places.
            weights: of all rows. None: each counts once.
        """
        cells = self._group_of(rows) * size + places
        of_rows = None if weights is None else weights[rows]
        counts = np.bincount(cells, weights=of_rows, minlength=self.count * size)
        return counts.reshape(self.count, size)

    def _group_of(self, rows: slice) -> Labels:
        return self.units.of_row[rows].astype(np.int64) % self.count


def share_without_groups(
    share: float,
    without: Floats,
    weights: NDArray[Any],
    *,
    rows: float,
    units: float,
    confidence: float,
) -> Number:
    """Return a share with the interval from its values without each group.

    The degrees of freedom are those of the effective groups. A share of 0 or 1 that no group moves
    has the interval of as many independent rows as there are effective units.

    Args:
        share: of all groups; NaN if it has no value.
        without: the same without each group, shape (groups,).
        weights: of each group, e.g. its rows, shape (groups,).
        rows: that the share rests on.
        units: effective ones, that it rests on.
        confidence: coverage of the interval, in (0, 1).
    """
    if not np.isfinite(share):
        return Number(None, None, None, units, "no row that it could be computed from")
    groups = without.size
    moves = without - share
    variance = (groups - 1) / groups * dot(moves, moves)
    if groups < MIN_UNITS or not np.isfinite(variance):
        why = "without one of its groups of units it has no value"
        return number_of(Estimate(share, None, units, why), None)
    of_groups = units if share in (0.0, 1.0) else effective_units(weights.astype(np.float64))
    estimate = Estimate(share, variance, of_groups)
    interval = share_interval(estimate, rows=rows, confidence=confidence)
    return number_of(Estimate(share, variance, units), interval)
