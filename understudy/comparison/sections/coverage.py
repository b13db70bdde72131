"""Coverage: which rows were compared, and whether the others allow a conclusion."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from understudy.comparison.evidence.rows import SentRows
from understudy.comparison.evidence.unit_forms import warnings_of
from understudy.domain.logged_ids import StatedIds
from understudy.logs.readable_files import LeftOut
from understudy.statistics.loss import LossDependence, loss_dependence
from understudy.statistics.units import FEW_EFFECTIVE_UNITS, effective_units, units_of

MOST_SHIFT = 0.005  # of the mean rank of kept rows; beyond, the lost rows would change the answer


@dataclass(frozen=True, slots=True)
class Coverage:
    """The rows sent to the shadow: how many were answered, and whether the loss is neutral."""

    sent: int
    kept: int
    lost: int
    kept_share: float | None  # None: none was sent
    by_score: LossDependence  # on the champion's score
    by_outcome: LossDependence  # on outcomes, of rows that have one
    effective_units: float
    refusals: tuple[str, ...]  # reasons against any conclusion; empty if there are none
    warnings: tuple[str, ...]


def coverage_of(
    sent: SentRows,
    *,
    least_kept: float,
    unit_forms: Sequence[StatedIds] = (),
    left_out: Sequence[LeftOut] = (),
) -> Coverage:
    """Count the rows sent to the shadow, and judge whether those kept stand for all.

    Args:
        sent: of the pair.
        least_kept: share of the sent rows, in [0, 1].
        unit_forms: the forms and keys of the unit keys in the files of the rows.
        left_out: files of the logs that could not be read.
    """
    lost = int(np.count_nonzero(sent.is_lost))
    total = sent.is_lost.size
    by_score = loss_dependence(sent.is_lost, sent.champion, sent.unit)
    by_outcome = _loss_by_outcome(sent)
    kept_share = None if total == 0 else (total - lost) / total
    effective = effective_units(units_of(sent.unit[~sent.is_lost]).rows)
    refusals = []
    if kept_share is not None and kept_share < least_kept:
        refusals.append(
            f"the shadow answered {kept_share:.1%} of the rows sent to it; "
            f"at least {least_kept:.1%} are needed"
        )
    refusals += [
        f"rows were lost by their {what}: a lost row has the higher one with a chance of "
        f"{each.chance.estimate:.3f}, a neutral loss 0.5"
        for what, each in (("score", by_score), ("outcome", by_outcome))
        if each.is_shown and each.shift is not None and abs(each.shift) > MOST_SHIFT
    ]
    warnings = []
    if 0 < effective < FEW_EFFECTIVE_UNITS:
        warnings.append(
            f"a few units have most of the rows: they are worth {effective:.1f} equal units"
        )
    warnings += warnings_of(unit_forms, left_out)
    return Coverage(
        sent=total,
        kept=total - lost,
        lost=lost,
        kept_share=kept_share,
        by_score=by_score,
        by_outcome=by_outcome,
        effective_units=effective,
        refusals=tuple(refusals),
        warnings=tuple(warnings),
    )


def _loss_by_outcome(sent: SentRows) -> LossDependence:
    labelled = ~np.isnan(sent.label)
    return loss_dependence(sent.is_lost[labelled], sent.label[labelled], sent.unit[labelled])
