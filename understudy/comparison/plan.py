"""The plan of a comparison, written down before it is made."""

from dataclasses import dataclass

from understudy.domain.margins import Costs, Margins

LEAST_KEPT = 0.9


@dataclass(frozen=True, slots=True)
class Plan:
    """The rules by which the rows of a pair are judged."""

    threshold: float | None = None  # the lowest score that is a positive decision
    costs: Costs | None = None
    margins: Margins | None = None  # None: no verdict is asked for
    confidence: float = 0.95
    least_kept: float = LEAST_KEPT  # of the rows sent to the shadow; below, nothing is concluded
