"""Sample ratio: whether the arms have as many units as their weights promise. Pure.

A mismatch means that units were lost or moved by their arm, so that no comparison of the arms is
one of equal units: Fabijan and others 2019, "Diagnosing sample ratio mismatch in online controlled
experiments". Units, never requests: a unit sends many, and their number may be an effect.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import exp, lgamma, log

from understudy.statistics.intervals import exact_interval

FALSE_ALARM = 0.001  # of all looks and steps together
_CONCENTRATION = 10_000.0  # of the alternative: deviations of about a percentage point
_LARGEST_EXPONENT = 700.0


@dataclass(frozen=True, slots=True)
class StepOfUnits:
    """The units that first appeared while one split was in effect."""

    champion: int
    challenger: int
    expected_share: float  # of the challenger among both, in (0, 1)


@dataclass(frozen=True, slots=True)
class SampleRatio:
    """One step: the units seen, and the evidence against the declared split."""

    champion: int
    challenger: int
    expected_share: float
    share: float | None  # None: no unit
    lower: float | None  # exact interval at 99.9 %, for one look
    upper: float | None
    evidence: float  # an e-value: by chance it ever reaches 1 / a with a chance of at most a
    is_mismatch: bool  # it reaches the limit that this step has of FALSE_ALARM


def sample_ratios(steps: Sequence[StepOfUnits]) -> tuple[SampleRatio, ...]:
    """Test the units of each step, in the order in which the steps began.

    The e-value is the ratio of a beta-binomial likelihood to the declared binomial one, exact and
    valid at every look: Lindon and Malek 2022, "Anytime-valid inference for multinomial count
    data". Step k has the share 1 / (k (k + 1)) of FALSE_ALARM.
    """
    return tuple(_ratio(step, number) for number, step in enumerate(steps, start=1))


def _ratio(step: StepOfUnits, number: int) -> SampleRatio:
    hits, misses = step.challenger, step.champion
    share = step.expected_share
    units = hits + misses
    evidence = exp(min(_log_evidence(hits, misses, share), _LARGEST_EXPONENT))
    limit = number * (number + 1) / FALSE_ALARM
    found = exact_interval(hits / units, units, confidence=1 - FALSE_ALARM) if units else None
    return SampleRatio(
        champion=misses,
        challenger=hits,
        expected_share=share,
        share=hits / units if units else None,
        lower=None if found is None else found.lower,
        upper=None if found is None else found.upper,
        evidence=evidence,
        is_mismatch=evidence >= limit,
    )


def _log_evidence(hits: int, misses: int, share: float) -> float:
    prior = _CONCENTRATION * share, _CONCENTRATION * (1 - share)
    mixed = _log_beta(prior[0] + hits, prior[1] + misses) - _log_beta(*prior)
    return mixed - hits * log(share) - misses * log(1 - share)


def _log_beta(one: float, two: float) -> float:
    return lgamma(one) + lgamma(two) - lgamma(one + two)
