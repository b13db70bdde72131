"""Distributions of scores of live arms: how far apart they are, and their shapes."""

from dataclasses import dataclass
from math import sqrt

import numpy as np
from numpy.typing import NDArray
from scipy import special

from understudy.comparison.evidence.arm_rows import AssignedRows, relative_weights
from understudy.statistics.class_curves import Band, Points
from understudy.statistics.distributions import (
    Distribution,
    DistributionShift,
    Sample,
    distribution_shift,
)
from understudy.statistics.units import Floats, units_of

_POINTS = 200


@dataclass(frozen=True, slots=True)
class ArmDistribution:
    """The distribution of the scores of one arm, with its weights."""

    points: Points  # a score, and the share of rows at or below it
    band: Band  # of the share, at all scores together


@dataclass(frozen=True, slots=True)
class ArmDistributions:
    """The distributions of both arms."""

    shift: DistributionShift
    champion: ArmDistribution
    challenger: ArmDistribution


def distributions_of_arms(rows: AssignedRows, *, confidence: float) -> ArmDistributions | None:
    """Return the distributions, with bands at `confidence`; None if an arm has no row."""
    of_challenger = int(np.count_nonzero(rows.is_challenger))
    if of_challenger in (0, rows.score.size):
        return None
    places = np.unique(np.quantile(rows.score, np.linspace(0, 1, _POINTS)))
    samples = _sample(rows, ~rows.is_challenger), _sample(rows, rows.is_challenger)
    shift = distribution_shift(*samples)
    champion, challenger = (_distribution(each, places, confidence) for each in samples)
    return ArmDistributions(shift, champion, challenger)


def _sample(rows: AssignedRows, chosen: NDArray[np.bool_]) -> Sample:
    weights = relative_weights(rows.assigned_bp[chosen])
    return Sample.of(rows.score[chosen], units_of(rows.unit[chosen]), weights)


def _distribution(sample: Sample, places: Floats, confidence: float) -> ArmDistribution:
    """Return the shares at some scores, with Kolmogorov's band, which holds at all of them together."""
    shares = Distribution(sample).up_to(places)
    margin = float(special.kolmogi(1 - confidence)) / sqrt(sample.independent_rows)
    ends = places, np.maximum(shares - margin, 0.0), np.minimum(shares + margin, 1.0)
    return ArmDistribution(
        points=tuple(zip(places.tolist(), shares.tolist(), strict=True)),
        band=Band(tuple(zip(*(each.tolist() for each in ends), strict=True))),
    )
