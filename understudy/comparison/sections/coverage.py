"""Coverage: which rows were compared, and whether the others allow a conclusion."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np

from understudy.comparison.evidence.offered import OfferedRows
from understudy.comparison.evidence.rows import SentRows
from understudy.comparison.evidence.unit_forms import warnings_of
from understudy.domain.logged_ids import StatedIds
from understudy.logs.readable_files import LeftOut
from understudy.statistics.loss import LossDependence, loss_dependence
from understudy.statistics.units import FEW_EFFECTIVE_UNITS, effective_units, units_of

MOST_SHIFT = 0.005  # of the mean rank of kept rows; beyond, the lost rows would change the answer


@dataclass(frozen=True, slots=True)
class CoveredPeriod:
    """A day or an hour of the rows offered to the shadow."""

    since: datetime  # UTC, without a zone
    offered: int
    answered: int
    sampled_out: int
    dropped: int  # before they were sent, by any cause
    failed: int  # errors and timeouts
    degraded: int  # whose answer was below level 0


@dataclass(frozen=True, slots=True)
class Cause:
    """The rows of one status of the shadow log."""

    status: str
    rows: int
    mean_score: float | None  # of the champion; None: no finite one


@dataclass(frozen=True, slots=True)
class Coverage:
    """The rows that the shadow was to score: how many it did, and whether the loss is neutral."""

    sent: int  # or dropped before; without those that were left out by declaration
    kept: int
    lost: int
    kept_share: float | None  # None: none was sent
    by_score: LossDependence  # on the champion's score
    by_outcome: LossDependence  # on outcomes, of rows that have one
    effective_units: float
    causes: tuple[Cause, ...]
    periods: tuple[CoveredPeriod, ...]
    refusals: tuple[str, ...]  # reasons against any conclusion; empty if there are none
    warnings: tuple[str, ...]


def coverage_of(
    sent: SentRows,
    *,
    least_kept: float,
    offered: Sequence[OfferedRows] = (),
    unit_forms: Sequence[StatedIds] = (),
    left_out: Sequence[LeftOut] = (),
) -> Coverage:
    """Count the rows that the shadow was to score, and judge whether those kept stand for all.

    Args:
        sent: of the pair.
        least_kept: share of these rows, in [0, 1].
        offered: all rows, by status and time.
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
            f"the shadow answered {kept_share:.1%} of the rows that it was to score; "
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
        causes=tuple(_causes(offered)),
        periods=tuple(_periods(offered)),
        refusals=tuple(refusals),
        warnings=tuple(warnings),
    )


def _causes(offered: Sequence[OfferedRows]) -> Iterator[Cause]:
    for status in sorted({each.status for each in offered}):
        of_status = [each for each in offered if each.status == status]
        rows = sum(each.rows for each in of_status)
        known = [each for each in of_status if each.mean_score is not None]
        scored = sum(each.rows for each in known)
        total = sum(each.rows * (each.mean_score or 0.0) for each in known)
        yield Cause(status, rows, total / scored if scored else None)


def _periods(offered: Sequence[OfferedRows]) -> Iterator[CoveredPeriod]:
    for since in sorted({each.since for each in offered}):
        rows = Counter({each.status: each.rows for each in offered if each.since == since})
        total, failed = rows.total(), rows["error"] + rows["timeout"]
        yield CoveredPeriod(
            since=since,
            offered=total,
            answered=rows["ok"],
            sampled_out=rows["sampled_out"],
            dropped=total - rows["ok"] - rows["sampled_out"] - failed,
            failed=failed,
            degraded=sum(each.degraded for each in offered if each.since == since),
        )


def _loss_by_outcome(sent: SentRows) -> LossDependence:
    labelled = ~np.isnan(sent.label)
    return loss_dependence(sent.is_lost[labelled], sent.label[labelled], sent.unit[labelled])
