"""Noise: the differences that a version has from itself, and the inputs that both versions had."""

from dataclasses import dataclass

from understudy.comparison.evidence.offered import InputIdentity, OwnShadow
from understudy.statistics.intervals import exact_interval, interval_of, share_interval
from understudy.statistics.measures import Number, number_of
from understudy.statistics.paired import mean_of
from understudy.statistics.units import UnitSums, jackknives


@dataclass(frozen=True, slots=True)
class Noise:
    """A shadow of the champion's own version: the floor below which a difference means nothing."""

    rows: int
    mean: Number  # of shadow minus champion
    distance: Number  # mean of |shadow - champion|
    median: float  # of the distances
    p99: float
    largest: float
    flips: Number | None  # share of rows; None: no threshold was given


@dataclass(frozen=True, slots=True)
class Inputs:
    """The shadow rows whose answer is in the score log, with the same score."""

    compared: int
    absent: int  # without that answer in the score log
    equal: Number  # share of the others


def noise_of(own: OwnShadow | None, *, threshold: float | None, confidence: float) -> Noise | None:
    """Return the noise of batching and runtime; None if no such shadow was logged."""
    if own is None:
        return None
    mean, distance, flips = jackknives(UnitSums.of(own.sums), [mean_of(1), mean_of(2), mean_of(3)])
    share = share_interval(flips, rows=own.rows, confidence=confidence)
    return Noise(
        rows=own.rows,
        mean=number_of(mean, interval_of(mean, confidence=confidence)),
        distance=number_of(distance, interval_of(distance, confidence=confidence)),
        median=own.median,
        p99=own.p99,
        largest=own.largest,
        flips=None if threshold is None else number_of(flips, share),
    )


def inputs_of(found: InputIdentity, *, confidence: float) -> Inputs:
    """Return the share of shadow rows that mirror exactly the answer of the score log."""
    absent = found.rows - found.found
    if found.found == 0:
        why = "the score log has none of these answers"
        return Inputs(found.rows, absent, Number(None, None, None, 0.0, why))
    share = found.equal / found.found
    interval = exact_interval(share, found.found, confidence=confidence)
    equal = Number(share, interval.lower, interval.upper, float(found.found))
    return Inputs(found.rows, absent, equal)
