"""Comparison of served values with the history, one feature at a time."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from understudy.domain.features import FeatureStatus


@dataclass(frozen=True, slots=True)
class WorstCase:
    key: str
    served: float
    expected: float
    status: str  # of the served value


@dataclass(frozen=True, slots=True)
class FeatureParity:
    """Agreement between the served values of one feature and its history."""

    name: str
    compared: int
    mismatches: int
    from_request: int  # sent with the request, so not part of the history
    largest_difference: float  # among finite values
    worst: tuple[WorstCase, ...]

    @property
    def mismatch_rate(self) -> float:
        return self.mismatches / self.compared if self.compared else 0.0


def parity_of(
    name: str,
    served: npt.NDArray[np.float32],
    statuses: npt.NDArray[np.uint8],
    *,
    expected: npt.NDArray[np.float32],
    keys: Sequence[str],
    tolerance: float,
    worst: int,
) -> FeatureParity:
    """Compare n served values of a feature with the expected ones.

    Args:
        name: of the feature.
        served: shape (n,).
        statuses: the FeatureStatus of each value, shape (n,).
        expected: shape (n,); NaN where there is no value. Two NaN count as equal.
        keys: entity ids, which name the worst cases.
        tolerance: relative difference up to which two numbers count as equal.
        worst: number of cases to keep: first absent against present, then the largest differences.
    """
    is_compared = statuses != FeatureStatus.FROM_REQUEST
    with np.errstate(invalid="ignore"):
        differences = np.abs(served.astype(np.float64) - expected.astype(np.float64))
        limits = tolerance * np.maximum(np.abs(served), np.abs(expected))
        equal = (differences <= limits) | (served == expected)
    equal |= np.isnan(served) & np.isnan(expected)
    differs = is_compared & ~equal
    finite = differences[differs & np.isfinite(differences)]
    ranked = np.where(np.isnan(differences), np.inf, differences)
    places = np.flatnonzero(differs)
    order = places[np.argsort(-ranked[places], kind="stable")][:worst]
    return FeatureParity(
        name=name,
        compared=int(is_compared.sum()),
        mismatches=int(differs.sum()),
        from_request=int((~is_compared).sum()),
        largest_difference=float(finite.max()) if len(finite) else 0.0,
        worst=tuple(
            WorstCase(
                keys[place],
                float(served[place]),
                float(expected[place]),
                FeatureStatus(int(statuses[place])).name.lower(),
            )
            for place in order.tolist()
        ),
    )
