"""The decisions of two versions at the threshold that acts. Pure."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import special

from understudy.domain.margins import Costs
from understudy.statistics.intervals import share_interval
from understudy.statistics.measures import (
    Number,
    PairedMeasure,
    number_of,
    paired_mean,
    paired_share,
)
from understudy.statistics.units import Floats, OfTotals, Units, UnitSums, dot, jackknife, ratio


@dataclass(frozen=True, slots=True)
class Flips:
    """Rows on which the two versions decide differently at a given threshold."""

    threshold: float
    pairs: int
    to_positive: int  # champion below, shadow at or above
    to_negative: int
    rate: Number
    positive_share: PairedMeasure  # of all rows: the alarm rate
    p_value: float | None  # of equal alarm rates (McNemar); None if no row flips


@dataclass(frozen=True, slots=True)
class DecisionQuality:
    """Decisions against known outcomes, on labelled rows."""

    recall: PairedMeasure  # share of positives that are decided positive
    precision: PairedMeasure  # share of positive decisions that are right
    false_positive_rate: PairedMeasure
    cost: PairedMeasure | None  # mean per labelled row; None: no costs were given
    matched: "MatchedRate | None"  # None: the champion decides all rows alike


@dataclass(frozen=True, slots=True)
class MatchedRate:
    """The shadow at the threshold at which it decides as many rows positive as the champion."""

    threshold: float
    shadow_positives: int
    recall: PairedMeasure


class _Sums(NamedTuple):
    """Places of the columns in sums over units."""

    rows: int = 0
    was: int = 1
    would_be: int = 2
    true: int = 3
    was_true: int = 4
    would_be_true: int = 5


_AT = _Sums()


def decision_flips(
    champion: NDArray[np.float64],
    shadow: NDArray[np.float64],
    *,
    threshold: float,
    units: Units,
    confidence: float = 0.95,
) -> Flips:
    """Count the decisions that would change; a score equal to the threshold is positive.

    The p-value is McNemar's exact one (1947, "Note on the sampling error of the difference
    between correlated proportions") where each unit has one row, otherwise that of Durkalski,
    Palesch, Lipsitz and Rust 2003, "Analysis of clustered matched-pair data".

    Args:
        champion: score per row, shape (n,), finite.
        shadow: the same rows in the same order, shape (n,), finite.
        threshold: the lowest score that is a positive decision.
        units: of the rows.
        confidence: coverage of the intervals, in (0, 1).
    """
    was, would_be = champion >= threshold, shadow >= threshold
    is_flip = was != would_be
    sums = units.sums(lambda rows: (was[rows], would_be[rows], is_flip[rows]))
    rate = jackknife(sums, _share(3, _AT.rows))
    interval = share_interval(rate, rows=was.size, confidence=confidence)
    return Flips(
        threshold=threshold,
        pairs=was.size,
        to_positive=int(np.count_nonzero(is_flip & would_be)),
        to_negative=int(np.count_nonzero(is_flip & was)),
        rate=number_of(rate, interval),
        positive_share=paired_share(
            sums, _share(_AT.was, _AT.rows), _share(_AT.would_be, _AT.rows), confidence=confidence
        ),
        p_value=mcnemar(
            (part[:, _AT.would_be] - part[:, _AT.was] for part in sums.parts()),
            flips=int(is_flip.sum()),
            is_single=units.count == was.size,
        ),
    )


def mcnemar(net: Iterable[Floats], *, flips: int, is_single: bool) -> float | None:
    """Return the p-value of equal shares of positive decisions; None without a flip.

    Args:
        net: flips to positive less flips to negative of each unit, some units at a time.
        flips: rows that flip.
        is_single: whether each unit has a single row.
    """
    if flips == 0:
        return None
    total = squares = 0.0
    for part in net:
        total += float(part.sum())
        squares += dot(part, part)
    if is_single:
        to_positive = round((flips + total) / 2)
        fewer = min(to_positive, flips - to_positive)
        return min(1.0, 2 * float(special.bdtr(fewer, flips, 0.5)))  # both tails are alike
    return float(special.chdtrc(1, total**2 / squares)) if squares > 0 else 1.0


def decision_quality(
    labels: NDArray[np.bool_],
    champion: NDArray[np.float64],
    shadow: NDArray[np.float64],
    *,
    threshold: float,
    units: Units,
    costs: Costs | None = None,
    confidence: float = 0.95,
) -> DecisionQuality:
    """Judge the decisions of both versions on labelled rows.

    Args:
        labels: true class per row, shape (n,).
        champion: score per row, shape (n,), finite.
        shadow: the same rows in the same order, shape (n,), finite.
        threshold: the lowest score that is a positive decision.
        units: of the rows.
        costs: of wrong decisions.
        confidence: coverage of each interval, in (0, 1).
    """
    sums = _sums(labels, champion >= threshold, shadow >= threshold, units)
    return DecisionQuality(
        recall=_recall(sums, confidence),
        precision=paired_share(
            sums,
            _share(_AT.was_true, _AT.was),
            _share(_AT.would_be_true, _AT.would_be),
            confidence=confidence,
        ),
        false_positive_rate=paired_share(
            sums,
            _false_alarms(_AT.was, _AT.was_true),
            _false_alarms(_AT.would_be, _AT.would_be_true),
            confidence=confidence,
        ),
        cost=None if costs is None else _cost(sums, costs, confidence),
        matched=_matched(labels, champion, shadow, threshold, units, confidence),
    )


def matching_threshold(scores: NDArray[np.float64], positives: int) -> float:
    """Return the threshold at which at most `positives` rows are decided positive.

    Rows with equal scores are decided alike, so that there may be fewer.

    Args:
        scores: shape (n,), finite.
        positives: wanted, from 0 to n.
    """
    ordered = np.sort(scores)
    if positives >= ordered.size:
        return float(ordered[0])
    bound = ordered[-1 - positives]  # the highest score that must stay below
    first = int(np.searchsorted(ordered, bound, side="right"))
    return float(ordered[first] if first < ordered.size else np.nextafter(bound, np.inf))


def _matched(
    labels: NDArray[np.bool_],
    champion: NDArray[np.float64],
    shadow: NDArray[np.float64],
    threshold: float,
    units: Units,
    confidence: float,
) -> MatchedRate | None:
    was = champion >= threshold
    wanted = int(was.sum())
    if wanted in (0, was.size):
        return None
    matched = matching_threshold(shadow, wanted)
    would_be = shadow >= matched
    sums = _sums(labels, was, would_be, units)
    return MatchedRate(matched, int(would_be.sum()), _recall(sums, confidence))


def _sums(
    labels: NDArray[np.bool_], was: NDArray[np.bool_], would_be: NDArray[np.bool_], units: Units
) -> UnitSums:
    def columns(rows: slice) -> tuple[NDArray[np.bool_], ...]:
        decided, would, true = was[rows], would_be[rows], labels[rows]
        return decided, would, true, decided & true, would & true

    return units.sums(columns)


def _recall(sums: UnitSums, confidence: float) -> PairedMeasure:
    return paired_share(
        sums,
        _share(_AT.was_true, _AT.true),
        _share(_AT.would_be_true, _AT.true),
        confidence=confidence,
    )


def _cost(sums: UnitSums, costs: Costs, confidence: float) -> PairedMeasure:
    def of(decided: int, decided_true: int) -> Callable[[Floats], Floats]:
        def mean(totals: Floats) -> Floats:
            false_alarms = totals[..., decided] - totals[..., decided_true]
            missed = totals[..., _AT.true] - totals[..., decided_true]
            spent = costs.false_positive * false_alarms + costs.false_negative * missed
            return ratio(spent, totals[..., _AT.rows])

        return mean

    def rows(per_unit: Floats) -> Floats:
        return per_unit[:, _AT.rows]

    return paired_mean(
        sums,
        OfTotals(of(_AT.was, _AT.was_true), rows),
        OfTotals(of(_AT.would_be, _AT.would_be_true), rows),
        confidence=confidence,
    )


def _share(numerator: int, denominator: int) -> OfTotals:
    return OfTotals(
        lambda totals: ratio(totals[..., numerator], totals[..., denominator]),
        lambda sums: sums[:, denominator],
    )


def _false_alarms(decided: int, decided_true: int) -> OfTotals:
    return OfTotals(
        lambda totals: ratio(
            totals[..., decided] - totals[..., decided_true],
            totals[..., _AT.rows] - totals[..., _AT.true],
        ),
        lambda sums: sums[:, _AT.rows] - sums[:, _AT.true],
    )
