"""Ranks of scores, and pairs that they order, in little memory besides the scores. Pure.

All numbers are doubled, so that halves of ties are exact integers.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from understudy.statistics.units import PART_ROWS, Floats

_MOST_INT32 = 2**30  # rows whose doubled ranks fit into 32 bits

Counts = NDArray[np.signedinteger[Any]]


@dataclass(frozen=True, slots=True, eq=False)
class _Run:
    """Some rows in ascending order of their scores, which end with the last row of a score."""

    rows: NDArray[np.int64]
    start: int  # of the run among all rows
    firsts: NDArray[np.int64]  # place in the run of the first row of each score
    score_of: NDArray[np.int64]  # of each row: the number of its score


def midranks_doubled(scores: NDArray[np.float64]) -> Counts:
    """Return twice the rank of each score, from 1, that of equal ones averaged; shape (n,)."""
    ranks = _counts(scores.size)
    for run in _runs(scores):
        sizes = np.diff(run.firsts, append=run.rows.size)
        ranks[run.rows] = (2 * (run.start + run.firsts) + sizes + 1)[run.score_of]
    return ranks


def wins_doubled(labels: NDArray[np.bool_], scores: NDArray[np.float64]) -> Counts:
    """Return, for each row, twice the rows of the other class that it is ordered well with.

    Those are the negative rows below a positive row, and the positive rows above a negative one;
    equal scores count half.

    Args:
        labels: true class per row, shape (n,).
        scores: shape (n,), finite.
    """
    wins = _counts(scores.size)
    positives = int(np.count_nonzero(labels))
    below = np.zeros(2, np.int64)  # negative rows, positive rows
    for run in _runs(scores):
        is_positive = labels[run.rows]
        of_positives = np.add.reduceat(is_positive, run.firsts, dtype=np.int64)
        of_negatives = np.diff(run.firsts, append=run.rows.size) - of_positives
        before = below[0] + np.cumsum(of_negatives) - of_negatives
        above = positives - below[1] - np.cumsum(of_positives)
        won = np.where(
            is_positive,
            (2 * before + of_negatives)[run.score_of],
            (2 * above + of_positives)[run.score_of],
        )
        wins[run.rows] = won
        below += of_negatives.sum(), of_positives.sum()
    return wins


def _counts(rows: int) -> Counts:
    return np.empty(rows, np.int32 if rows < _MOST_INT32 else np.int64)


def _runs(scores: Floats) -> Iterator[_Run]:
    order = np.argsort(scores)
    start = 0
    while start < order.size:
        end = _end_of_run(scores, order, start)
        rows = order[start:end]
        values = scores[rows]
        is_first = np.ones(rows.size, np.bool_)
        np.not_equal(values[1:], values[:-1], out=is_first[1:])
        yield _Run(rows, start, np.flatnonzero(is_first), np.cumsum(is_first) - 1)
        start = end


def _end_of_run(scores: Floats, order: NDArray[np.int64], start: int) -> int:
    """Return an end about PART_ROWS later that leaves no equal scores behind."""
    size = PART_ROWS
    while start + size < order.size:
        values = scores[order[start : start + size]]
        last = int(np.searchsorted(values, values[-1]))  # the first row of the last score
        if last > 0:
            return start + last
        size *= 2
    return order.size
