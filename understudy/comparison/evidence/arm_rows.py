"""The rows of live traffic by arm, and their counts."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from understudy.comparison.evidence.rows import OutcomeCensus, RowsOfUnits
from understudy.statistics.sample_ratio import StepOfUnits
from understudy.statistics.units import Floats, effective_units, units_of

_WHOLE_BP = 10_000.0


@dataclass(frozen=True, slots=True)
class ArmPair:
    """A challenger and the champion of the same revisions, with the rows assigned to them."""

    challenger: int
    champion: int
    rows: int
    first_at: datetime
    last_at: datetime

    @property
    def versions(self) -> tuple[int, int]:
        return self.challenger, self.champion


@dataclass(frozen=True, slots=True)
class ArmCensus:
    """The rows assigned to one arm."""

    rows: int
    requests: int
    units: int
    answered_by_others: int  # rows answered in another arm: withheld, or fallen back
    degraded: int
    not_finite: int  # further rows, whose score is not finite, or above 1e60
    outcomes: OutcomeCensus


NO_OUTCOMES = OutcomeCensus(0, 0, 0, 0, 0, 0, 0, 0, 0)
NO_ROWS = ArmCensus(0, 0, 0, 0, 0, 0, NO_OUTCOMES)


@dataclass(frozen=True, slots=True)
class Step:
    """A period with one split, in the order of beginnings."""

    weight_bp: int  # of the challenger
    first_at: datetime
    rows: int


@dataclass(frozen=True, slots=True, eq=False)
class AssignedRows(RowsOfUnits):
    """Rows of both arms."""

    is_challenger: NDArray[np.bool_]
    assigned_bp: NDArray[np.uint16]  # weight of the row's arm when it was answered
    score: Floats
    level: NDArray[np.uint8]
    total_us: NDArray[np.uint32]

    def weights(self, rows: slice) -> Floats:
        """Return the inverse of the chance of each row's arm."""
        return _WHOLE_BP / self.assigned_bp[rows]

    def sides(self) -> Iterator["RowsOfArm"]:
        """Yield the rows of the champion's arm, then those of the challenger's."""
        for chosen in (~self.is_challenger, self.is_challenger):
            yield RowsOfArm.of(self, chosen)


@dataclass(frozen=True, slots=True, eq=False)
class RowsOfArm(RowsOfUnits):
    """Rows of one arm."""

    score: Floats
    weight: Floats | None  # of a mean of 1; None: all are equal, as while one split was in effect

    @classmethod
    def of(cls, rows: AssignedRows, chosen: NDArray[np.bool_]) -> "RowsOfArm":
        return cls(
            unit=rows.unit[chosen],
            label=rows.label[chosen],
            day=rows.day[chosen],
            score=rows.score[chosen],
            weight=relative_weights(rows.assigned_bp[chosen]),
        )

    @property
    def effective_units(self) -> float:
        return effective_units(units_of(self.unit).weights(self.weight))


def relative_weights(assigned_bp: NDArray[np.uint16]) -> Floats | None:
    """Return the inverse of the chances of an arm's rows, with a mean of 1; None if all are equal."""
    if assigned_bp.size == 0 or (assigned_bp == assigned_bp[0]).all():
        return None
    weights = 1 / assigned_bp.astype(np.float64)
    weights /= weights.mean()
    return weights


@dataclass(frozen=True, slots=True, eq=False)
class ArmEvidence:
    """The contents of the score log on two arms."""

    champion: ArmCensus
    challenger: ArmCensus
    steps: tuple[Step, ...]
    first_seen: tuple[StepOfUnits, ...]  # of each step: units by their first row
    in_both: int  # units assigned to both arms while one split was in effect
    rows: AssignedRows
